"""Rules for every stack and module."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from renderer.names import is_known
from renderer.render import PORTS
from scripts.deploy.base_images import COLLECTOR, REDIS
from scripts.deploy.declarations import read_declarations
from scripts.deploy.layout import REPOSITORY, STACKS
from scripts.deploy.model_quota import DEFAULT_CAPACITY, DEFAULT_SKU
from tests.infra.schema import TERRAFORM, configurations, parse, recorded_schemas, uses

# To read the files takes seconds, so one process does it for all of these tests.
pytestmark = pytest.mark.xdist_group("terraform files")

DIRECTORIES = configurations()
STACK_DIRECTORIES = [TERRAFORM / "stacks" / stack.directory for stack in STACKS.values()]


def outputs_of(directory: Path) -> dict[str, dict[str, object]]:
    return {
        name: body
        for path in directory.glob("*.tf")
        for block in parse(path).get("output", [])
        for name, body in block.items()
    }


@pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda path: path.name)
def test_every_variable_says_what_it_is_and_what_type(directory: Path) -> None:
    for path in directory.glob("*.tf"):
        for block in parse(path).get("variable", []):
            for name, body in block.items():
                assert {"description", "type"} <= set(body), name


@pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda path: path.name)
def test_every_output_says_what_it_is(directory: Path) -> None:
    assert {name for name, body in outputs_of(directory).items() if "description" not in body} == set()


@pytest.mark.parametrize("directory", STACK_DIRECTORIES, ids=lambda path: path.name)
def test_what_stacks_have_in_common_comes_from_one_place(directory: Path) -> None:
    for common in (TERRAFORM / "common").iterdir():
        assert (directory / common.name).readlink() == Path("../../common") / common.name


@pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda path: path.name)
def test_the_oldest_accepted_version_of_the_provider_is_one_that_every_argument_is_checked_against(
    directory: Path,
) -> None:
    text = "".join(path.read_text() for path in directory.glob("*.tf"))
    oldest = min(recorded_schemas()).rsplit(".", 1)[0]
    if 'resource "azurerm_' in text:
        assert f'">= {oldest}, < 6"' in text
    assert 'required_version = ">= 1.9"' in text


@pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda path: path.name)
def test_modules_come_from_the_repository(directory: Path) -> None:
    for path in directory.glob("*.tf"):
        for block in parse(path).get("module", []):
            for body in block.values():
                assert str(body["source"]).startswith("../../modules/")


@pytest.mark.parametrize("directory", STACK_DIRECTORIES, ids=lambda path: path.name)
def test_state_is_reached_with_a_token(directory: Path) -> None:
    (backend,) = [block["backend"] for block in parse(directory / "versions.tf")["terraform"]]
    assert backend == [{"azurerm": {"use_azuread_auth": True}}]


@pytest.mark.parametrize("directory", STACK_DIRECTORIES, ids=lambda path: path.name)
def test_a_creation_that_fails_leaves_its_resource_in_the_state(directory: Path) -> None:
    (provider,) = parse(directory / "providers.tf")["provider"]
    (features,) = provider["azurerm"]["features"]
    assert features["persist_id_on_create_before_polling_for_completion"] is True
    adopts = features["skip_import_check_on_create_and_allow_overwriting_existing_resources"]
    assert adopts == "${var.adopt_existing}"


@pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda path: path.name)
def test_a_role_assignment_has_the_same_name_in_every_run(directory: Path) -> None:
    # Azure refuses a second one with another name, and a run that was stopped may have made the first.
    for path in directory.glob("*.tf"):
        for block in parse(path).get("resource", []):
            for body in block.get("azurerm_role_assignment", {}).values():
                assert "uuidv5(" in body["name"]


def test_every_input_from_another_stack_is_an_output_of_one_before() -> None:
    for stack in STACKS.values():
        declared = read_declarations(TERRAFORM / "stacks" / stack.directory)
        before = [TERRAFORM / "stacks" / STACKS[other].directory for other in (*stack.needs, *stack.uses)]
        upstream = {name for directory in before for name in outputs_of(directory)}
        text = (TERRAFORM / "stacks" / stack.directory / "variables.tf").read_text()
        promised = set(re.findall(r'variable "(\w+)" \{\n  description = "[^"]*Comes from the', text))
        assert promised <= declared.all
        assert promised - upstream == set()


def test_a_sensitive_output_is_no_input_of_a_stack() -> None:
    sensitive = {
        name
        for directory in STACK_DIRECTORIES
        for name, body in outputs_of(directory).items()
        if body.get("sensitive")
    }
    declared = {name for directory in STACK_DIRECTORIES for name in read_declarations(directory).all}
    assert sensitive & declared == set()


def test_no_resource_takes_a_secret_value() -> None:
    for use in uses():
        text = json.dumps(use.body)
        assert use.type != "azurerm_key_vault_secret", use
        assert "primary_access_key" not in text, use
        assert "shared_key" not in text, use


def test_model_accounts_take_no_keys_that_the_provider_would_read_into_the_state() -> None:
    accounts = [use for use in uses() if use.type == "azurerm_cognitive_account"]
    assert [use.body.get("local_auth_enabled") for use in accounts] == [False]


def test_what_telemetry_goes_to_takes_none_of_the_keys_that_are_in_the_state() -> None:
    components = {"azurerm_application_insights", "azurerm_log_analytics_workspace"}
    switches = {
        (use.type, use.body.get("local_authentication_enabled")) for use in uses() if use.type in components
    }
    assert switches == {(component, False) for component in components}


def test_roles_are_on_single_resources() -> None:
    for use in uses():
        if use.type == "azurerm_role_assignment":
            assert not re.search(r"subscription|resource_group", json.dumps(use.body.get("scope"))), use


def test_the_gateways_identity_is_handed_out_with_its_roles() -> None:
    outputs = outputs_of(TERRAFORM / "modules" / "gateway_identity")
    for name in ("id", "client_id"):
        assert "azurerm_role_assignment.gateway" in json.dumps(outputs[name]["depends_on"])


@pytest.mark.parametrize("output", ["latest_revision_name", "url"])
def test_the_revision_to_wait_for_and_its_address_are_read_after_the_change(output: str) -> None:
    (source,) = [use for use in uses() if use.type == "azurerm_container_app" and use.kind == "data"]
    assert source.body["depends_on"] == ["${azurerm_container_app.gateway}"]
    value = str(outputs_of(source.file.parent)[output]["value"])
    assert f"data.{source.type}.{source.name}." in value
    assert "azurerm_container_app.gateway" not in value


def test_only_the_gateway_and_simulators_can_be_reached_from_outside() -> None:
    ingresses = {
        use.file.parent.name: use.body["ingress"][0]["external_enabled"]
        for use in uses()
        if use.type == "azurerm_container_app" and use.kind == "resource"
    }
    assert ingresses == dict.fromkeys(("gateway_app", "companion_app"), "${var.external}")
    outward = {
        name: body["external"]
        for path in (TERRAFORM / "stacks" / STACKS["workload"].directory).glob("*.tf")
        for block in parse(path).get("module", [])
        for name, body in block.items()
        if "external" in body
    }
    assert outward == {
        "gateway": "${var.ingress_external}",
        "simulator": "${var.ingress_external}",
        "redis": False,
    }


def test_alerts_read_only_what_a_record_has() -> None:
    alerts = (TERRAFORM / "modules" / "observability" / "alerts.tf").read_text()
    record = (REPOSITORY / "apisix" / "plugins" / "azure-openai" / "account" / "record.lua").read_text()
    fields = set(re.findall(r"\bProperties\.(\w+)", alerts))
    assert fields
    assert fields - set(re.findall(r"^ +(\w+) = ", record, flags=re.MULTILINE)) == set()


def test_the_gateway_knows_every_setting_that_the_stack_adds() -> None:
    directory = TERRAFORM / "stacks" / STACKS["workload"].directory
    stack = "".join((directory / name).read_text() for name in ("main.tf", "e2e.tf"))
    added = set(re.findall(r"\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\s+= ", stack)) | {"AZURE_OPENAI_ENDPOINT_0"}
    assert {"AZURE_CLIENT_ID", "OTEL_COLLECTOR_ENDPOINT", "GATEWAY_E2E_TEST_MODE"} <= added
    assert {name for name in added if not is_known(name)} == set()


def test_an_environment_in_a_network_finds_every_provider_registered_that_it_asks_for() -> None:
    platform = (TERRAFORM / "stacks" / "10-platform" / "providers.tf").read_text()
    assert {"Microsoft.App", "Microsoft.ContainerService"} <= set(re.findall(r'"(Microsoft\.\w+)"', platform))


def test_probes_and_rules_use_the_ports_that_are_rendered() -> None:
    app = (TERRAFORM / "modules" / "gateway_app" / "main.tf").read_text()
    templates = "".join(path.read_text() for path in (REPOSITORY / "apisix" / "templates").glob("*.j2"))
    assert f"target_port                = {PORTS['traffic']}" in app
    assert app.count(f"port                    = {PORTS['status']}") == 3
    assert app.count("port                    = 13133") == 3
    assert "0.0.0.0:13133" in templates


def test_no_lock_file_with_unverified_checksums_is_committed() -> None:
    listed = subprocess.run(
        ["git", "ls-files", str(TERRAFORM)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if name.endswith(".terraform.lock.hcl"):
            assert "zh:" in (REPOSITORY / name).read_text(), f"{name} was not made from the registry"


@pytest.mark.parametrize(
    "path",
    [
        "stacks/20-workload/terraform.tfvars.dev",
        "stacks/20-workload/terraform.tfvars",
        "stacks/20-workload/x.auto.tfvars",
        "stacks/00-bootstrap/backend_override.tf",
        ".deploy/dev/bootstrap.tfstate",
        ".deploy/dev/run-x/plan",
    ],
)
def test_git_ignores_what_may_hold_secrets(path: str) -> None:
    ignored = subprocess.run(
        ["git", "check-ignore", "--quiet", str(TERRAFORM / path)], cwd=REPOSITORY, check=False
    )
    assert ignored.returncode == 0


def test_doctor_has_the_stacks_defaults_of_a_deployment() -> None:
    text = (TERRAFORM / "stacks" / STACKS["foundry"].directory / "variables.tf").read_text()
    found = dict(re.findall(r"(sku|capacity) += optional\(\w+, \"?(\w+)\"?\)", text))
    assert found == {"sku": DEFAULT_SKU, "capacity": str(DEFAULT_CAPACITY)}


@pytest.mark.parametrize(("variable", "image"), [("collector_image", COLLECTOR), ("redis_image", REDIS)])
def test_an_image_that_is_imported_is_the_one_that_the_stack_has_by_itself(variable: str, image: str) -> None:
    blocks = parse(TERRAFORM / "stacks" / "20-workload" / "variables.tf")["variable"]
    assert [block[variable]["default"] for block in blocks if variable in block] == [image]
