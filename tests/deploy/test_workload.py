"""The gateway's deployment from tfvars to the first request, on small stacks and loopback servers."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.deploy.azure_cli import AzureCli, AzureCliError
from scripts.deploy.base_images import COLLECTOR, REDIS
from scripts.deploy.deploy_errors import DeployError, InvalidSettingsError, NotReadyError
from scripts.deploy.deployed_stage import find_stage
from scripts.deploy.deployment import Ended, Mode, deploy
from scripts.deploy.destroy import destroy
from scripts.deploy.images import GATEWAY, RENDERER, SIMULATOR, Image, content_tag
from scripts.deploy.layout import REPOSITORY, STACKS, Layout
from scripts.deploy.session import Session
from scripts.deploy.vault_seeder import Action
from scripts.deploy.workload import Deployed, Options, Outside, deploy_workload, describe
from tests.deploy.commands import BACKEND_KEY, CLIENT_KEY, RUNNING, write_workload
from tests.deploy.gateway_server import GatewayStandIn, running_gateway
from tests.deploy.support import FakeAz, FakeTime, files_with
from tests.deploy.vault_server import FaultyVault, running
from tests.support.certificates import make_certificate

INSIGHTS = "InstrumentationKey=11111111-1111-1111-1111-111111111111"


@dataclass
class World:
    """Everything that a deployment needs."""

    session: Session
    az: FakeAz
    vault: FaultyVault
    gateway: GatewayStandIn
    outside: Outside
    root: Path

    def deploy(self, mode: Mode = Mode.YES, **options: bool) -> Deployed:
        return deploy_workload(self.session, mode, Options(**options), self.outside)

    def settings(self, **changes: Any) -> None:
        """Write the workload's tfvars."""
        write_workload(self.session.layout, self.gateway, **changes)


def make_sources(root: Path) -> None:
    """Sources of the images, small enough to digest at once."""
    for image in (GATEWAY, RENDERER, SIMULATOR):
        for source in (image.dockerfile, *image.sources):
            path = root / source
            path.parent.mkdir(parents=True, exist_ok=True)
            if "." in path.name or path.name == "Dockerfile":
                path.write_text(source)
            elif not path.exists():
                path.mkdir()


@pytest.fixture
def world(deployed: Layout, session: Session, az: FakeAz, tmp_path: Path) -> Iterator[World]:
    make_sources(tmp_path / "repository")
    az.answer("containerapp revision show", RUNNING)
    az.answer("acr repository show", error="ERROR: the specified tag does not exist.")
    az.answer("acr build")
    az.answer("acr repository show --name registry --image base/", {"digest": "sha256:0"})
    certificate = make_certificate(tmp_path)
    with running(certificate) as (vault, client), running_gateway(CLIENT_KEY) as gateway:
        outside = Outside(lambda _: client, httpx.Client, tmp_path / "repository")
        made = World(session, az, vault, gateway, outside, tmp_path)
        made.settings()
        yield made


def settings_in_state(world: World) -> dict[str, Any]:
    state = json.loads((world.root / "state" / "dev" / "20-workload.tfstate").read_text())
    value: dict[str, Any] = state["resources"][0]["instances"][0]["attributes"]["input"]["value"]
    return value


def test_a_deployment_ends_with_a_request_through_the_gateway(world: World) -> None:
    deployed = world.deploy()
    assert deployed.outcome.ended is Ended.APPLIED
    assert deployed.smoke is not None
    assert (deployed.smoke.status, deployed.smoke.backend) == (200, "sweden")
    assert world.gateway.requests == [("/openai/v1/models", None), ("/openai/v1/models", CLIENT_KEY)]


ENTRA = {
    "AZURE_OPENAI_ENDPOINT_0": "https://mine.openai.azure.com",
    "GATEWAY_CLIENT_NAME_0": "service",
    "GATEWAY_CLIENT_APP_ID_0": "aaaaaaaa-2222-3333-4444-555555555555",
    "ENABLE_ENTRA_AUTH": "true",
    "ENTRA_TENANT_ID": "11111111-2222-3333-4444-555555555555",
    "ENTRA_AUDIENCE": "api://gateway",
}


def test_the_request_is_that_of_the_first_client_with_a_key(world: World) -> None:
    keys = {"GATEWAY_CLIENT_KEY_1": CLIENT_KEY, "AZURE_OPENAI_KEY_0": BACKEND_KEY}
    world.settings(app_settings={**ENTRA, "GATEWAY_CLIENT_NAME_1": "team-a"}, secrets=keys)
    world.deploy()
    assert world.gateway.requests[-1] == ("/openai/v1/models", CLIENT_KEY)


def test_a_gateway_for_tokens_alone_is_seen_to_be_closed(world: World) -> None:
    world.settings(app_settings=ENTRA, secrets={"AZURE_OPENAI_KEY_0": BACKEND_KEY})
    deployed = world.deploy()
    assert deployed.smoke is not None
    assert (deployed.smoke.status, world.gateway.requests) == (401, [("/openai/v1/models", None)])


def test_a_typo_is_found_before_anything_is_touched(world: World) -> None:
    world.settings(app_settings={"GATEWAY_CLIENT_NAME_0": "team-a", "AZURE_OPENAI_WIEGHT_0": "2"})
    before = len(world.az.calls)
    with pytest.raises(InvalidSettingsError, match="AZURE_OPENAI_WEIGHT_0"):
        world.deploy()
    assert (len(world.az.calls), world.vault.requests) == (before, [])


def test_a_gap_is_found_before_anything_is_touched(world: World) -> None:
    gap = {"GATEWAY_CLIENT_NAME_0": "team-a", "AZURE_OPENAI_ENDPOINT_1": "https://mine.openai.azure.com"}
    world.settings(app_settings=gap)
    with pytest.raises(InvalidSettingsError, match=r"AZURE_OPENAI_ENDPOINT_[01]"):
        world.deploy()
    assert world.vault.requests == []


def test_a_value_that_cannot_work_is_told_with_its_line(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    key = {"GATEWAY_CLIENT_KEY_0": BACKEND_KEY, "AZURE_OPENAI_KEY_0": BACKEND_KEY}
    endpoint = {"AZURE_OPENAI_ENDPOINT_0": "https://mine.openai.azure.com"}
    world.settings(app_settings={"GATEWAY_CLIENT_NAME_0": "team-a", **endpoint}, secrets=key)
    world.deploy(Mode.PLAN)
    told = capfd.readouterr().err
    assert "GATEWAY_CLIENT_KEY_0 (dev.tfvars, line " in told
    assert "is the same key as AZURE_OPENAI_KEY_0" in told


LIMITED = {"GATEWAY_CLIENT_NAME_0": "team-a", "GATEWAY_CLIENT_TOKENS_PER_MINUTE_0": "1000"}


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        ({"app_settings": LIMITED}, True),
        ({"app_settings": LIMITED, "max_replicas": 1}, False),
        ({"app_settings": {**LIMITED, "REDIS_HOST": "redis.example.com"}}, False),
        ({"app_settings": {"GATEWAY_CLIENT_NAME_0": "team-a"}}, False),
        ({"app_settings": {"GATEWAY_CLIENT_NAME_0": "team-a", "ENABLE_AI_RATE_LIMIT": "true"}}, True),
    ],
)
def test_limits_that_each_replica_counts_for_itself_are_told(
    world: World, capfd: pytest.CaptureFixture[str], changes: dict[str, Any], warned: bool
) -> None:
    changes["app_settings"]["AZURE_OPENAI_ENDPOINT_0"] = "https://mine.openai.azure.com"
    world.settings(**changes)
    world.deploy(Mode.PLAN)
    assert ("each of up to 5 replicas counts for itself" in capfd.readouterr().err) is warned


BUDGET = {"GATEWAY_CLIENT_NAME_0": "team-a", "GATEWAY_CLIENT_TOKENS_PER_MONTH_0": "1000"}


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"app_settings": BUDGET}, "a new replica begins budgets anew"),
        ({"app_settings": BUDGET, "max_replicas": 1}, "A restart forgets what was used"),
        ({"app_settings": {**BUDGET, "REDIS_HOST": "redis.example.com"}}, ""),
    ],
    ids=["replicas", "one replica", "Redis"],
)
def test_a7_budgets_that_a_restart_forgets_are_told(
    world: World, capfd: pytest.CaptureFixture[str], changes: dict[str, Any], warning: str
) -> None:
    changes["app_settings"]["AZURE_OPENAI_ENDPOINT_0"] = "https://mine.openai.azure.com"
    world.settings(**changes)
    world.deploy(Mode.PLAN)
    told = capfd.readouterr().err
    assert warning in told
    assert ("budgets" in told) is bool(warning)


def test_redis_of_the_stack_needs_no_host(world: World) -> None:
    main = world.session.layout.directory(STACKS["workload"]) / "main.tf"
    main.write_text(main.read_text() + 'variable "redis_enabled" { type = bool }\n')
    keys = {"GATEWAY_CLIENT_KEY_0": CLIENT_KEY, "AZURE_OPENAI_KEY_0": BACKEND_KEY}
    world.settings(secrets={**keys, "REDIS_PASSWORD": "a" * 20}, redis_enabled=True)
    assert world.deploy().settings.redis.host == "redis"


def test_an_account_of_the_foundry_stack_may_be_the_home_backend(world: World) -> None:
    deploy(world.session, STACKS["foundry"], Mode.YES)
    home = {"GATEWAY_CLIENT_NAME_0": "team-a", "GATEWAY_HOME_BACKEND": "sweden"}
    world.settings(app_settings=home, secrets={"GATEWAY_CLIENT_KEY_0": CLIENT_KEY})
    assert world.deploy().settings.gateway.home_backend == "sweden"


def test_a_key_among_the_settings_is_refused(world: World) -> None:
    world.settings(app_settings={"GATEWAY_CLIENT_KEY_0": CLIENT_KEY}, secrets={})
    with pytest.raises(InvalidSettingsError, match="Move it into `secrets`"):
        world.deploy()


def test_a_second_run_changes_nothing(world: World) -> None:
    world.deploy()
    world.az.answer("acr repository show", {"digest": "sha256:0"})
    builds, writes = len(world.az.called("acr", "build")), len(written(world))
    deployed = world.deploy()
    assert deployed.outcome.ended is Ended.UNCHANGED
    assert (len(world.az.called("acr", "build")), len(written(world))) == (builds, writes)


def written(world: World) -> list[str]:
    return [request for request in world.vault.requests if request.startswith("PUT")]


def test_rotating_a_key_rolls_the_revision(world: World) -> None:
    first = world.deploy()
    rotated = {"GATEWAY_CLIENT_KEY_0": CLIENT_KEY, "AZURE_OPENAI_KEY_0": BACKEND_KEY + "-rotated"}
    world.settings(secrets=rotated)
    second = world.deploy()
    assert {item.variable: item.action for item in second.seeded} == {
        "APPLICATIONINSIGHTS_CONNECTION_STRING": Action.UNCHANGED,
        "AZURE_OPENAI_KEY_0": Action.CHANGED,
        "GATEWAY_CLIENT_KEY_0": Action.UNCHANGED,
    }
    revisions = [item.outcome.outputs["latest_revision_name"].value for item in (first, second)]
    assert revisions[0] != revisions[1]


def test_the_connection_string_for_traces_comes_from_its_stack(world: World) -> None:
    world.deploy()
    assert world.vault.secrets["applicationinsights-connection-string"][0].startswith(INSIGHTS)


def test_plan_writes_no_secret_and_builds_no_image(world: World) -> None:
    deployed = world.deploy(Mode.PLAN)
    assert deployed.outcome.ended is Ended.PLANNED
    done = [call for kind in ("build", "import") for call in world.az.called("acr", kind)]
    assert (written(world), done) == ([], [])


def test_plan_without_changes_sends_no_request(world: World) -> None:
    world.deploy()
    sent = len(world.gateway.requests)
    assert world.deploy(Mode.PLAN).outcome.ended is Ended.UNCHANGED
    assert len(world.gateway.requests) == sent


def test_a_placeholder_stands_for_what_is_in_key_vault(world: World) -> None:
    world.deploy()
    world.settings(secrets={"GATEWAY_CLIENT_KEY_0": "<team-a's key>", "AZURE_OPENAI_KEY_0": "<key>"})
    deployed = world.deploy()
    assert deployed.outcome.ended is Ended.UNCHANGED
    assert world.gateway.requests[-1] == ("/openai/v1/models", CLIENT_KEY)


def test_a_key_that_is_emptied_is_no_longer_in_force(world: World) -> None:
    keys = {"GATEWAY_CLIENT_KEY_0": CLIENT_KEY, "AZURE_OPENAI_KEY_0": BACKEND_KEY}
    world.settings(secrets={**keys, "GATEWAY_CLIENT_KEY_SECONDARY_0": CLIENT_KEY[::-1]})
    world.deploy()
    world.settings(secrets={**keys, "GATEWAY_CLIENT_KEY_SECONDARY_0": ""})
    deployed = world.deploy()
    assert deployed.outcome.ended is Ended.APPLIED
    assert "GATEWAY_CLIENT_KEY_SECONDARY_0" not in settings_in_state(world)["secrets"]


def test_accounts_of_the_foundry_stack_become_backends(world: World) -> None:
    deploy(world.session, STACKS["foundry"], Mode.YES)
    deployed = world.deploy()
    assert [backend.name for backend in deployed.settings.backends] == ["mine", "sweden"]
    settings = settings_in_state(world)["settings"]
    assert settings["AZURE_OPENAI_AUTH_1"] == "managed-identity"
    assert settings["AZURE_OPENAI_CLIENT_ID_1"] == "client-id"


def test_without_any_backend_the_stack_that_makes_some_comes_first(world: World) -> None:
    world.settings(
        app_settings={"GATEWAY_CLIENT_NAME_0": "team-a"}, secrets={"GATEWAY_CLIENT_KEY_0": CLIENT_KEY}
    )
    with pytest.raises(NotReadyError, match="Run deploy-foundry first, or write AZURE_OPENAI_ENDPOINT_0"):
        world.deploy()
    assert world.vault.requests == []


def test_no_azure_openai_leaves_those_accounts_out(world: World) -> None:
    deploy(world.session, STACKS["foundry"], Mode.YES)
    deployed = world.deploy(azure_openai=False)
    assert [backend.name for backend in deployed.settings.backends] == ["mine"]


def deploy_stage(world: World, **changes: Any) -> Deployed:
    """Deploy the end-to-end stage. An earlier run has made the one key that the stand-in gateway knows."""
    world.vault.secrets.setdefault("e2e-client-one-key", [CLIENT_KEY])
    world.settings(**{"max_replicas": 1, **changes})
    return world.deploy(deploy_e2e=True)


KEYS_OF_THE_STAGE = {
    "e2e-client-one-key",
    "e2e-client-three-key",
    "e2e-client-two-key",
    "e2e-config-api-token",
    "e2e-simulator-admin-key",
    "e2e-simulator-key",
}


def test_the_end_to_end_stage_has_backends_and_clients_of_its_own(world: World) -> None:
    settings = deploy_stage(world).settings
    assert [(backend.name, backend.priority) for backend in settings.backends] == [
        ("ptu-backend-1", 1),
        ("payg-backend-1", 0),
        ("payg-backend-2", 0),
    ]
    assert [client.name for client in settings.clients] == ["client-one", "client-two", "client-three"]
    assert settings_in_state(world)["settings"] == {}


def test_the_keys_of_the_stage_replace_none_of_the_users(world: World) -> None:
    world.deploy()
    before = dict(world.vault.secrets)
    deploy_stage(world)
    assert set(world.vault.secrets) - set(before) == KEYS_OF_THE_STAGE
    assert {name: world.vault.secrets[name] for name in before} == before


def test_every_key_of_the_stage_is_another(world: World) -> None:
    deploy_stage(world)
    values = {world.vault.secrets[name][-1] for name in KEYS_OF_THE_STAGE}
    assert (len(values), sorted(map(len, values))[1:]) == (6, [43] * 5)


def test_the_stack_gets_versions_of_the_keys_and_no_key(world: World) -> None:
    deploy_stage(world)
    state = (world.root / "state" / "dev" / "20-workload.tfstate").read_text()
    assert set(settings_in_state(world)["stage"]) == KEYS_OF_THE_STAGE
    assert [name for name in KEYS_OF_THE_STAGE if world.vault.secrets[name][-1] in state] == []


def test_the_keys_of_the_stage_are_made_once(world: World) -> None:
    deploy_stage(world)
    first = dict(world.vault.secrets)
    assert world.deploy(deploy_e2e=True).outcome.ended is Ended.UNCHANGED
    assert world.vault.secrets == first


def test_the_first_request_to_the_stage_is_that_of_its_first_client(world: World) -> None:
    deploy_stage(world)
    assert world.gateway.requests[-1] == ("/openai/v1/models", CLIENT_KEY)


def test_replicas_of_the_stage_that_share_nothing_are_refused_before_it_has_keys(world: World) -> None:
    with pytest.raises(InvalidSettingsError) as caught:
        deploy_stage(world, max_replicas=2)
    (problem,) = caught.value.details
    assert "needs Redis" in problem
    assert "redis_enabled = true" in problem
    assert written(world) == []


def test_replicas_of_the_stage_may_share_a_redis_of_the_user(world: World) -> None:
    app_settings = {"REDIS_HOST": "redis.example.com"}
    assert deploy_stage(world, max_replicas=2, app_settings=app_settings).smoke is not None


def test_the_stage_may_have_settings_of_its_own(world: World) -> None:
    chosen = {"BREAKER_FAILURES": 1000, "GATEWAY_CLIENT_REQUESTS_PER_MINUTE_1": 60}
    settings = deploy_stage(world, e2e_app_settings=chosen).settings
    assert (settings.failover.breaker_failures, settings.clients[1].requests_per_minute) == (1000, 60)
    assert settings_in_state(world)["settings"]["BREAKER_FAILURES"] == "1000"


def test_settings_of_the_stage_have_no_effect_without_it(world: World) -> None:
    world.settings(e2e_app_settings={"BREAKER_FAILURES": "1000"})
    assert world.deploy().settings.failover.breaker_failures == 3


@pytest.mark.parametrize(
    "name",
    ["AZURE_OPENAI_ENDPOINT_3", "AZURE_OPENAI_KEY_0", "GATEWAY_CLIENT_NAME_0", "GATEWAY_E2E_TEST_MODE"],
)
def test_what_makes_the_stage_cannot_be_chosen(world: World, name: str) -> None:
    with pytest.raises(InvalidSettingsError) as caught:
        deploy_stage(world, e2e_app_settings={name: "https://paid.openai.azure.com"})
    assert f"e2e_app_settings.{name} cannot be chosen" in "".join(caught.value.details)
    assert written(world) == []


def test_without_the_stage_replicas_need_no_redis(world: World) -> None:
    world.settings(max_replicas=2)
    assert world.deploy().smoke is not None
    assert not KEYS_OF_THE_STAGE & set(world.vault.secrets)


def test_tests_find_the_stage_with_its_keys(world: World) -> None:
    deploy_stage(world, app_settings={"COOLDOWN_MAX_SECONDS": "20"})
    stage = find_stage(world.session, world.outside.vault)
    kept = {name: values[-1] for name, values in world.vault.secrets.items()}
    assert stage.keys == {f"client-{n}": kept[f"e2e-client-{n}-key"] for n in ("one", "two", "three")}
    assert (stage.simulator_key, stage.admin_key) == (
        kept["e2e-simulator-key"],
        kept["e2e-simulator-admin-key"],
    )
    assert (stage.url, stage.simulators) == (world.gateway.url, {"ptu-backend-1": "https://sim.example.com"})
    assert (stage.settings.failover.cooldown_max_seconds, stage.variables["COOLDOWN_MAX_SECONDS"]) == (
        20,
        "20",
    )
    assert [key for key in KEYS_OF_THE_STAGE if kept[key] in repr(stage)] == []


def test_tests_are_told_that_there_is_no_stage(world: World) -> None:
    world.deploy()
    with pytest.raises(NotReadyError, match="dev has no end-to-end stage") as caught:
        find_stage(world.session, world.outside.vault)
    assert caught.value.remedy == "Run deploy-workload dev --deploy-e2e first."


def test_tests_are_told_that_a_key_of_the_stage_is_gone(world: World) -> None:
    deploy_stage(world)
    del world.vault.secrets["e2e-client-two-key"]
    with pytest.raises(NotReadyError, match="Key Vault has no e2e-client-two-key"):
        find_stage(world.session, world.outside.vault)


def test_images_are_built_in_the_registry_with_their_digest(world: World) -> None:
    world.deploy()
    builds = world.az.called("acr", "build")
    assert [build[build.index("--image") + 1].split(":")[0] for build in builds] == [
        "azure-openai-gateway/gateway",
        "azure-openai-gateway/config-renderer",
    ]


def test_images_are_built_from_whichever_directory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.root)
    world.deploy()
    assert len(world.az.called("acr", "build")) == 2


def test_images_that_are_there_are_not_built_again(world: World) -> None:
    world.az.answer("acr repository show", {"digest": "sha256:0"})
    world.deploy()
    assert world.az.called("acr", "build") == []


def test_no_image_build_relies_on_the_images_that_are_there(world: World) -> None:
    world.az.answer("acr repository show", {"digest": "sha256:0"})
    assert world.deploy(image_build=False).smoke is not None
    assert world.az.called("acr", "build") == []


def test_no_image_build_without_an_image_touches_nothing(world: World) -> None:
    with pytest.raises(NotReadyError, match="no image of these sources"):
        world.deploy(image_build=False)
    assert written(world) == []


def test_a_changed_source_is_a_new_image(world: World) -> None:
    world.deploy()
    before = settings_in_state(world)["image"]
    (world.outside.root / "apisix" / "plugins" / "new.lua").write_text("return {}")
    world.deploy()
    assert settings_in_state(world)["image"] != before


BASE = "acr repository show --name registry --image base/"


def imported(world: World) -> list[str]:
    return [call[call.index("--source") + 1] for call in world.az.called("acr", "import")]


def lack(world: World, image: str) -> None:
    """Let the registry have an image only after an import."""
    world.az.answer(f"{BASE}{image}", error="ERROR: the specified tag does not exist.")
    world.az.answer(f"{BASE}{image}", {"digest": "sha256:new"}, after="acr import")
    world.az.answer("acr import")


def test_an_image_of_others_is_imported_once_and_named_by_its_digest(world: World) -> None:
    lack(world, "otel/")
    world.deploy()
    assert imported(world) == [COLLECTOR]
    assert settings_in_state(world)["others"][0] == (
        "registry.example.com/base/otel/opentelemetry-collector-contrib@sha256:new"
    )


def test_an_image_is_built_on_what_the_registry_has(world: World) -> None:
    dockerfile = world.outside.root / GATEWAY.dockerfile
    dockerfile.write_text("ARG APISIX_IMAGE=docker.io/apache/apisix:1\nFROM ${APISIX_IMAGE}\n")
    lack(world, "apache/")
    world.deploy()
    assert imported(world) == ["docker.io/apache/apisix:1"]
    build = " ".join(world.az.called("acr", "build")[0])
    assert "--build-arg APISIX_IMAGE=registry.example.com/base/apache/apisix@sha256:new " in build


def test_a_base_that_moved_is_taken_when_asked_for(world: World) -> None:
    dockerfile = world.outside.root / GATEWAY.dockerfile
    dockerfile.write_text("ARG APISIX_IMAGE=docker.io/apache/apisix:1\nFROM ${APISIX_IMAGE}\n")
    world.deploy()
    before = settings_in_state(world)["image"]
    world.az.answer("acr import")
    world.az.answer(f"{BASE}apache/", {"digest": "sha256:moved"}, after="acr import")
    world.deploy()
    assert (imported(world), settings_in_state(world)["image"]) == ([], before)
    world.deploy(refresh_images=True)
    assert sorted(imported(world)) == ["docker.io/apache/apisix:1", COLLECTOR]
    assert settings_in_state(world)["image"] != before


def test_a_plan_imports_nothing(world: World) -> None:
    lack(world, "otel/")
    world.deploy(Mode.PLAN)
    assert imported(world) == []


def test_an_image_that_the_user_names_is_left_alone(world: World) -> None:
    lack(world, "otel/")
    world.settings(collector_image="mine.example.com/collector:1")
    world.deploy()
    assert (imported(world), settings_in_state(world)["others"][0]) == ([], "mine.example.com/collector:1")


def test_redis_is_imported_where_it_is_used(world: World) -> None:
    main = world.session.layout.directory(STACKS["workload"]) / "main.tf"
    main.write_text(main.read_text() + 'variable "redis_enabled" { type = bool }\n')
    lack(world, "library/redis")
    keys = {"GATEWAY_CLIENT_KEY_0": CLIENT_KEY, "AZURE_OPENAI_KEY_0": BACKEND_KEY}
    world.settings(secrets={**keys, "REDIS_PASSWORD": "a" * 20}, redis_enabled=True)
    world.deploy()
    assert imported(world) == [REDIS]


def test_a_revision_that_starts_slowly_is_waited_for(world: World, time: FakeTime) -> None:
    starting = {"name": "r", "properties": {"active": True, "runningState": "Activating", "replicas": 0}}
    world.az.answer("containerapp revision show", starting)
    original = time.sleep

    def sleep(seconds: float) -> None:
        world.az.answer("containerapp revision show", RUNNING)
        original(seconds)

    world.session.waiter.sleep = sleep
    assert world.deploy().smoke is not None
    assert time.pauses == [5]


def test_a_revision_that_fails_tells_why_and_where_its_log_is(world: World) -> None:
    failed = {"name": "r", "properties": {"runningState": "Failed", "provisioningError": "ImagePullBackOff"}}
    world.az.answer("containerapp revision show", failed)
    with pytest.raises(DeployError) as caught:
        world.deploy()
    assert "ImagePullBackOff" in caught.value.details
    app = "-g rg-aigw-dev-workload -n ca-aigw-dev"
    assert f"az containerapp logs show {app} --type system." in caught.value.remedy
    # `az containerapp logs show --container` knows no init container.
    assert re.search(r"ContainerAppConsoleLogs \| where RevisionName == 'ca-test--\w+'", caught.value.remedy)
    assert "--container" not in caught.value.remedy


def test_a_bad_value_is_found_before_a_secret_is_written(world: World) -> None:
    declaration = 'variable "min_replicas" { type = number }\n'
    (world.session.layout.directory(STACKS["workload"]) / "variables.tf").write_text(declaration)
    world.settings(min_replicas="zero")
    with pytest.raises(InvalidSettingsError) as caught:
        world.deploy()
    assert caught.value.details == ["min_replicas: a number is required."]
    assert world.vault.requests == []
    assert not world.az.called("acr")


@pytest.mark.parametrize(
    ("printed", "advice"),
    [
        (
            "ERROR: (TasksOperationsNotAllowed) ACR Tasks requests for the registry are not permitted.",
            "free credit does not include",
        ),
        (
            "toomanyrequests: You have reached your unauthenticated pull rate limit.\nERROR: Run failed",
            "limits how many images",
        ),
    ],
    ids=["tasks-not-allowed", "pull-limit"],
)
def test_a_build_that_fails_for_a_known_reason_comes_with_advice(
    world: World, printed: str, advice: str
) -> None:
    world.az.answer("acr build", error=printed)
    with pytest.raises(AzureCliError) as caught:
        world.deploy()
    assert advice in caught.value.remedy
    assert "--local-docker" in caught.value.remedy


def test_a_gateway_that_lets_everybody_in_is_a_failure(world: World) -> None:
    world.gateway.open_to_all = True
    with pytest.raises(DeployError, match="without a key; 401 was expected"):
        world.deploy()


def test_the_ingress_may_need_a_moment(world: World, time: FakeTime) -> None:
    world.gateway.statuses = [503, 404]
    assert world.deploy().smoke is not None
    assert time.pauses == [5, 5]


def test_the_result_names_backends_and_clients_and_no_keys(world: World) -> None:
    values, tables = describe(world.deploy())
    assert values["url"] == world.gateway.url
    assert [row["name"] for row in tables["clients"]] == ["team-a"]
    assert [row["name"] for row in tables["backends"]] == ["mine"]
    assert "canary" not in repr((values, tables))


def test_secrets_are_in_no_argument_log_output_plan_state_or_file(
    world: World,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """This looks at every file, also while a plan exists."""
    caplog.set_level(logging.DEBUG)
    deploy(world.session, STACKS["foundry"], Mode.YES)
    during: list[Path] = []

    def look(question: str) -> bool:
        during.extend(files_with("canary", world.session.layout.working, world.root / "state"))
        return True

    monkeypatch.setattr(world.session.screen, "confirm", look)
    world.deploy(Mode.ASK)
    world.settings(secrets={"GATEWAY_CLIENT_KEY_0": CLIENT_KEY, "AZURE_OPENAI_KEY_0": BACKEND_KEY + "-2"})
    world.deploy(Mode.ASK)
    tfvars = world.session.layout.settings
    left = set(files_with("canary", world.root)) - {tfvars}
    shown = capfd.readouterr()
    assert "canary" in tfvars.read_text()
    assert (during, left) == ([], set())
    assert "canary" not in repr(world.az.calls)
    assert "canary" not in shown.out + shown.err
    assert "canary" not in caplog.text


def test_the_canary_would_be_found_in_a_plan(world: World) -> None:
    """The search itself works: a value that does reach Terraform is found in its saved plan."""
    found: list[Path] = []

    def look(question: str) -> bool:
        found.extend(files_with("canary-name", world.session.layout.working))
        return False

    world.session.screen.confirm = look  # type: ignore[method-assign]
    world.settings(
        app_settings={
            "GATEWAY_CLIENT_NAME_0": "canary-name",
            "AZURE_OPENAI_ENDPOINT_0": "https://a.openai.azure.com",
            "AZURE_OPENAI_AUTH_0": "managed-identity",
        },
        secrets={"GATEWAY_CLIENT_KEY_0": "<key>"},
    )
    world.vault.secrets["gateway-client-key-0"] = [CLIENT_KEY]
    insights = (
        "InstrumentationKey=11111111-1111-1111-1111-111111111111;IngestionEndpoint=https://in.example.com/"
    )
    world.vault.secrets["applicationinsights-connection-string"] = [insights]
    world.deploy(Mode.ASK)
    assert found


def test_the_images_sources_are_in_the_repository() -> None:
    missing = [
        source
        for image in (GATEWAY, RENDERER, SIMULATOR)
        for source in (image.dockerfile, *image.sources)
        if not (REPOSITORY / source).exists()
    ]
    assert missing == []


def test_everything_wrong_with_the_gateways_settings_is_told_at_once(world: World) -> None:
    world.settings(
        app_settings={
            "GATEWAY_CLIENT_NAME_0": "team-a",
            "AZURE_OPENAI_ENDPOINT_0": "https://mine.openai.azure.com",
            "AZURE_OPENAI_KEY_0": BACKEND_KEY,
            "KEY_VAULT_URL": "https://other.vault.azure.net",
            "TIMEZONE": "UTC",
            "COOLDOWN_MAX_SECONDS": "soon",
        },
        secrets={"GATEWAY_CLIENT_KEY_0": CLIENT_KEY, "GATEWAY_CLIENT_KEI_1": "x" * 20, "NOTE": "canary"},
    )
    with pytest.raises(InvalidSettingsError) as caught:
        world.deploy()
    told = re.sub(r" \(dev\.tfvars, line \d+\)", "", "\n".join(caught.value.details))
    assert "app_settings.AZURE_OPENAI_KEY_0 is a secret" in told
    assert "app_settings.KEY_VAULT_URL has no use here" in told
    assert "GATEWAY_CLIENT_KEI_1 is not a setting of the gateway. Did you mean GATEWAY_CLIENT_KEY_1?" in told
    assert "TIMEZONE is not a setting of the gateway" in told
    assert "NOTE is not a setting of the gateway" in told
    assert "COOLDOWN_MAX_SECONDS is not a whole number" in told
    assert (len(caught.value.details), "canary" in told) == (6, False)


def test_maps_that_are_none_are_told_together(world: World) -> None:
    path = world.session.layout.settings
    path.write_text(
        path.read_text().split("app_settings")[0] + 'app_settings = "x"\nsecrets = { A = ["canary"] }\n'
    )
    with pytest.raises(InvalidSettingsError) as caught:
        world.deploy()
    assert caught.value.details[:2] == [
        'app_settings must be a map: app_settings = { NAME = "value" }.',
        "secrets.A must be a text, a number or a boolean.",
    ]


def test_accounts_described_by_another_version_say_what_to_run(world: World) -> None:
    main = world.session.layout.directory(STACKS["foundry"]) / "main.tf"
    main.write_text(main.read_text().replace('region = "swedencentral", ', ""))
    deploy(world.session, STACKS["foundry"], Mode.YES)
    with pytest.raises(NotReadyError, match="Run deploy-foundry once more"):
        world.deploy()


def test_a_gateway_of_its_environment_alone_is_not_asked(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    main = world.session.layout.directory(STACKS["workload"]) / "main.tf"
    main.write_text(main.read_text() + 'variable "ingress_external" { type = bool }\n')
    world.settings(ingress_external=False)
    deployed = world.deploy()
    assert (deployed.outcome.ended, deployed.smoke, world.gateway.requests) == (Ended.APPLIED, None, [])
    assert "only inside its environment" in capsys.readouterr().err


def test_a_backend_that_does_not_know_the_new_role_yet_is_waited_for(world: World, time: FakeTime) -> None:
    deploy(world.session, STACKS["foundry"], Mode.YES)
    world.gateway.attempts = ["sweden:401", "sweden:identity"]
    assert world.deploy().smoke is not None
    assert time.pauses == [5, 5]


def test_a_backend_that_refuses_its_key_is_not_waited_for(world: World, time: FakeTime) -> None:
    world.gateway.attempts = ["mine:401"]
    with pytest.raises(DeployError, match="the backend refuses its key") as caught:
        world.deploy()
    assert (time.pauses, caught.value.details[0]) == ([], "attempts: mine:401")


def test_an_address_that_is_not_let_in_is_not_taken_for_a_backends_refusal(world: World) -> None:
    world.gateway.statuses = [403, 403]
    with pytest.raises(DeployError, match="No backend was asked"):
        world.deploy()


def test_a_gateway_that_hides_its_attempts_is_not_said_to_have_made_none(world: World) -> None:
    hiding = {
        "GATEWAY_CLIENT_NAME_0": "team-a",
        "AZURE_OPENAI_ENDPOINT_0": "https://mine.openai.azure.com",
        "GATEWAY_EXPOSE_BACKEND_HEADERS": "false",
    }
    world.settings(app_settings=hiding)
    world.gateway.statuses = [401, 429]
    with pytest.raises(DeployError, match="does not say whether a backend was asked") as caught:
        world.deploy()
    assert caught.value.details[0] == "attempts: unknown"


def install_docker(world: World, monkeypatch: pytest.MonkeyPatch, failing: str = "nothing") -> Path:
    """A stand-in for Docker; returns the file to which it writes its arguments."""
    log = world.root / "docker.log"
    program = world.root / "bin" / "docker"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = info ] || {{ echo "$@" >> {log}; echo chatter; }}\n[ "$1" != {failing} ]\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", world.az.path)
    return log


def test_local_docker_builds_here_and_pushes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    log = install_docker(world, monkeypatch)
    world.az.answer("acr login")
    world.deploy(local_docker=True)
    calls = [line.split() for line in log.read_text().splitlines()]
    assert [call[0] for call in calls] == ["build", "push", "build", "push"]
    assert calls[0][1:3] == ["--platform", "linux/amd64"]
    assert calls[1][1].startswith("registry.example.com/azure-openai-gateway/gateway:")
    assert world.az.called("acr", "build") == []


def test_what_docker_says_is_not_part_of_the_result(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    install_docker(world, monkeypatch)
    world.az.answer("acr login")
    world.deploy(local_docker=True)
    shown = capfd.readouterr()
    assert ("chatter" in shown.out, "chatter" in shown.err) == (False, True)


def test_a_build_that_fails_stops_before_anything_is_applied(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_docker(world, monkeypatch, failing="build")
    world.az.answer("acr login")
    with pytest.raises(DeployError, match="docker build of"):
        world.deploy(local_docker=True)
    assert not (world.root / "state" / "dev" / "20-workload.tfstate").exists()


def test_without_an_engine_of_docker_nothing_is_touched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_docker(world, monkeypatch, failing="info")
    with pytest.raises(NotReadyError, match="Docker does not run"):
        world.deploy(local_docker=True)
    assert written(world) == []


def test_without_docker_nothing_is_touched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    terraform = shutil.which(world.session.binary)
    assert terraform is not None
    world.session.binary = terraform
    monkeypatch.setenv("PATH", str(world.az.directory))
    world.session.az = AzureCli(str(world.az.directory / "az"))
    with pytest.raises(NotReadyError, match="Leave --local-docker out"):
        world.deploy(local_docker=True)
    assert written(world) == []


@pytest.mark.parametrize("image", [GATEWAY, RENDERER, SIMULATOR], ids=lambda image: image.repository)
def test_what_an_image_is_built_from_is_in_its_digest(image: Image) -> None:
    """The build has only the sources. A COPY of anything else would fail, but only in the registry."""
    text = (REPOSITORY / image.dockerfile).read_text()
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, flags=re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert copied
    strangers = [
        source
        for source in copied
        if not any(
            Path(known) == Path(source)
            or Path(source) in Path(known).parents
            or Path(known) in Path(source).parents
            for known in image.sources
        )
    ]
    assert strangers == []


def test_an_executable_bit_a_name_and_the_bases_are_part_of_the_digest(tmp_path: Path) -> None:
    make_sources(tmp_path)
    script = tmp_path / "apisix" / "plugins" / "run.sh"
    script.write_text("#!/bin/sh\n")
    tags = {content_tag(tmp_path, GATEWAY, {})}
    script.chmod(0o755)
    tags.add(content_tag(tmp_path, GATEWAY, {}))
    script.rename(script.with_name("start.sh"))
    tags.add(content_tag(tmp_path, GATEWAY, {}))
    (tmp_path / "apisix" / "plugins" / "__pycache__").mkdir()
    (tmp_path / "apisix" / "plugins" / "__pycache__" / "x.pyc").write_text("noise")
    tags.add(content_tag(tmp_path, GATEWAY, {}))
    tags.add(content_tag(tmp_path, GATEWAY, {"APISIX_IMAGE": "sha256:1"}))
    assert len(tags) == 4


PASSWORD_NEEDED = """
variable "redis_enabled" {
  type = bool
  validation {
    condition     = !var.redis_enabled || contains(keys(var.secret_versions), "REDIS_PASSWORD")
    error_message = "redis_enabled needs REDIS_PASSWORD in secrets."
  }
}
"""


def test_what_a_stack_demands_of_its_secrets_does_not_stand_in_the_way_of_its_end(world: World) -> None:
    main = world.session.layout.directory(STACKS["workload"]) / "main.tf"
    main.write_text(main.read_text() + PASSWORD_NEEDED)
    keys = {"GATEWAY_CLIENT_KEY_0": CLIENT_KEY, "AZURE_OPENAI_KEY_0": BACKEND_KEY}
    world.settings(secrets={**keys, "REDIS_PASSWORD": "canary-" + "a" * 20}, redis_enabled=True)
    world.deploy()
    assert destroy(world.session, ["workload"], Mode.YES)[0].result == "destroyed"
