"""`doctor` makes every check, also after one that fails."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from scripts.deploy.check_result import CheckResult, Verdict
from scripts.deploy.doctor import PROVIDERS, examine
from scripts.deploy.layout import REPOSITORY, STACKS
from scripts.deploy.session import Session
from tests.deploy.commands import BACKEND_KEY, CLIENT_KEY, VAULT_NAME, Installation, registered
from tests.deploy.support import forget_tfvars, make_session, write_earlier, write_tfvars

STORAGE, REGISTRY, VAULT = "staigwdev", "craigwdev", "kv-aigw-dev-"


@pytest.fixture
def session(made: Installation) -> Session:
    return make_session(made.layout, made.az.cli)


def look(session: Session) -> dict[str, CheckResult]:
    return {finding.check: finding for finding in examine(session)}


def starting(results: dict[str, CheckResult], begin: str) -> CheckResult:
    (found,) = (finding for check, finding in results.items() if check.startswith(begin))
    return found


def test_all_is_well(session: Session, made: Installation) -> None:
    made.layout.settings.chmod(0o600)
    odd = [item for item in examine(session) if item.verdict is not Verdict.OK]
    assert [(item.check, item.found) for item in odd] == [("state storage", "does not exist")]


@pytest.mark.parametrize(
    ("version", "verdict"), [("2.52.0", Verdict.BAD), ("2.53.0", Verdict.OK), ("3.0.0b1", Verdict.OK)]
)
def test_an_azure_cli_that_knows_no_container_apps_is_too_old(
    session: Session, made: Installation, version: str, verdict: Verdict
) -> None:
    made.az.answer("version", {"azure-cli": version})
    assert look(session)["Azure CLI"].verdict is verdict


def test_every_provider_that_a_stack_registers_is_looked_at() -> None:
    lists = (
        re.findall(r'"(Microsoft\.\w+)"', line)
        for path in (REPOSITORY / "infra" / "terraform" / "stacks").glob("*/providers.tf")
        for line in re.findall(r"resource_providers_to_register\s*=(.*)", path.read_text())
    )
    assert {name for names in lists for name in names} == set(PROVIDERS)


def test_providers_that_are_not_registered_are_named(session: Session, made: Installation) -> None:
    made.az.answer("provider list", registered("Microsoft.App"))
    assert look(session)["resource providers"].found == "not registered: Microsoft.App"


def test_a_login_that_has_ended_is_not_taken_for_one(session: Session, made: Installation) -> None:
    made.az.answer("account get-access-token", error="ERROR: AADSTS70043: The refresh token has expired.")
    login = look(session)["Azure login"]
    assert (login.verdict, "AADSTS70043" in login.found) == (Verdict.BAD, True)


def test_the_token_itself_is_not_asked_for(session: Session, made: Installation) -> None:
    examine(session)
    (asked,) = made.az.called("account", "get-access-token")
    assert asked[asked.index("--query") + 1] == "expiresOn"


def test_a_file_that_cannot_be_read_does_not_end_the_look(made: Installation) -> None:
    for stack in STACKS:
        write_earlier(made.layout, stack)
    made.layout.settings.unlink()
    made.layout.settings_of_stack(STACKS["bootstrap"]).write_text("accounts = {\n")
    result = made.commands.run("doctor", "-o", "json")
    found = {item["check"]: item["verdict"] for item in json.loads(result.stdout)["checks"]}
    assert (result.returncode, found["settings of bootstrap"]) == (4, "bad")
    assert (found["settings of observability"], found["resource providers"]) == ("ok", "ok")


def test_nor_does_the_one_file_that_all_stacks_have(made: Installation) -> None:
    made.settings(secrets={"GATEWAY_CLIENT_KEY_0": "${CLIENT_KEY}"})
    result = made.commands.run("doctor", "-o", "json")
    found = {item["check"]: item for item in json.loads(result.stdout)["checks"]}
    assert result.returncode == 4
    assert [item["found"] for check, item in found.items() if check.startswith("settings of")][1:] == (
        ["the same as in bootstrap"] * 4
    )
    assert "Write the value itself" in found["settings of bootstrap"]["remedy"]


def test_everything_wrong_with_a_file_is_told_at_once(session: Session, made: Installation) -> None:
    wrong = {"GATEWAY_CLIENT_NAME_0": "team-a", "COOLDOWN_MAX_SECONDS": "soon", "LB_ALG": "best"}
    made.settings(app_settings=wrong, secrets={"GATEWAY_CLIENT_KEY_0": CLIENT_KEY})
    found = look(session)["settings of workload"].found.splitlines()
    assert {line.split()[0] for line in found} == {"LB_ALG", "COOLDOWN_MAX_SECONDS"}


def test_a_fault_that_all_stacks_share_is_told_once(session: Session, made: Installation) -> None:
    made.settings(subscription_id="<subscription id>")
    found = [item.found for check, item in look(session).items() if check.startswith("settings of")]
    told = [text for text in found if text != "the same as in bootstrap"]
    assert (len(found), len(told), "az account show" in told[0]) == (5, 1, True)


MISTYPED = {
    "app_settings": {
        "GATEWAY_CLIENT_NAME_0": "team-a",
        "AZURE_OPENAI_ENDPOINT_0": "https://mine.opnai.azure.com",
    },
    "secrets": {"GATEWAY_CLIENT_KEY_0": CLIENT_KEY, "AZURE_OPENAI_KEY_0": BACKEND_KEY},
}


def test_a_value_that_cannot_work_is_a_warning_with_its_line(session: Session, made: Installation) -> None:
    path = made.settings(**MISTYPED)
    (line,) = (n for n, text in enumerate(path.read_text().splitlines(), 1) if "opnai" in text)
    finding = look(session)["AZURE_OPENAI_ENDPOINT_0"]
    assert (finding.verdict, finding.remedy) == (Verdict.WARNING, "Did you mean openai.azure.com?")
    assert finding.found.endswith(f"({path.name}, line {line})")


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--strict",), 2)])
def test_a_warning_ends_with_2_only_when_it_is_asked_for(
    made: Installation, options: tuple[str, ...], code: int
) -> None:
    made.settings(**MISTYPED)
    assert made.commands.run("doctor", *options).returncode == code


def test_secrets_that_others_can_read_are_noted(session: Session, made: Installation) -> None:
    path = made.layout.settings
    path.chmod(0o644)
    finding = look(session)[path.name]
    assert (finding.verdict, finding.remedy) == (Verdict.NOTE, f"chmod 600 {path}")


def test_a_missing_file_comes_with_the_command_that_makes_it(session: Session, made: Installation) -> None:
    made.layout.settings.unlink()
    finding = look(session)["settings"]
    assert (finding.verdict, finding.remedy) == (Verdict.NOTE, "aoai-gateway deploy init dev")


def test_a_stack_that_is_left_out_is_noted(session: Session, made: Installation) -> None:
    forget_tfvars(made.layout, "foundry")
    finding = look(session)["settings of foundry"]
    assert (finding.verdict, finding.found) == (Verdict.NOTE, "none")


@pytest.mark.usefixtures("azure")
def test_free_names_are_ok(session: Session) -> None:
    results = look(session)
    assert [starting(results, f"name {stem}").found for stem in (STORAGE, REGISTRY, VAULT)] == ["free"] * 3


TAKEN = {"nameAvailable": False, "reason": "AlreadyExists", "message": "The name is already taken."}


@pytest.mark.usefixtures("azure")
def test_a_name_that_is_taken_needs_a_suffix(session: Session, made: Installation) -> None:
    made.az.answer("acr check-name", TAKEN)
    made.az.answer("resource list", [])
    made.az.answer("keyvault list-deleted", [])
    finding = starting(look(session), f"name {REGISTRY}")
    assert (finding.verdict, finding.found) == (Verdict.BAD, "The name is already taken.")
    assert "`suffix`" in finding.remedy


@pytest.mark.usefixtures("azure")
@pytest.mark.parametrize("where", ["resource list", "keyvault list-deleted"])
def test_a_name_that_this_installation_has_is_well(session: Session, made: Installation, where: str) -> None:
    made.az.answer(VAULT_NAME, TAKEN)
    made.az.answer("resource list", [])
    made.az.answer("keyvault list-deleted", [])
    made.az.answer(where, ["/subscriptions/s/…"])
    finding = starting(look(session), f"name {VAULT}")
    assert (finding.verdict, finding.found) == (Verdict.OK, "in use by this subscription")


def offer(model: str, version: str, *skus: str) -> dict[str, Any]:
    """An entry of `az cognitiveservices model list`."""
    offered = [{"name": sku, "usageName": f"OpenAI.{sku}.gpt4.1"} for sku in skus]
    return {"kind": "OpenAI", "model": {"name": model, "version": version, "skus": offered}}


def ask_for(made: Installation, capacity: Any, used: int = 0, limit: int = 100, **deployment: Any) -> None:
    quota = [{"name": {"value": "OpenAI.GlobalStandard.gpt4.1"}, "currentValue": used, "limit": limit}]
    made.az.answer("cognitiveservices usage list", quota)
    offers = [offer("gpt-4.1", "1", "GlobalStandard"), offer("gpt-4.1-nano", "1", "GlobalStandard")]
    made.az.answer("cognitiveservices model list", offers)
    (made.layout.directory(STACKS["foundry"]) / "more.tf").write_text('variable "accounts" { type = any }\n')
    one = {"model": "gpt-4.1", "version": "1", "capacity": capacity} | deployment
    write_accounts(made, b=one)


def write_accounts(made: Installation, **deployments: Any) -> None:
    write_tfvars(made.layout, "foundry", accounts={"a": {"location": "sweden", "deployments": deployments}})


@pytest.mark.parametrize(
    ("used", "limit", "verdict", "found"),
    [
        (0, 10, Verdict.OK, "1 model fits"),
        (0, 5, Verdict.BAD, "OpenAI.GlobalStandard.gpt4.1 asks for 10 of 5"),
        (8, 15, Verdict.NOTE, "OpenAI.GlobalStandard.gpt4.1 asks for 10 of 15, 8 are in use"),
    ],
)
def test_capacity_is_compared_with_the_quota_that_azure_names(
    session: Session, made: Installation, used: int, limit: int, verdict: Verdict, found: str
) -> None:
    ask_for(made, 10, used, limit)
    finding = look(session)["models in sweden"]
    assert (finding.verdict, finding.found) == (verdict, found)


def test_models_that_share_a_quota_are_added_up(session: Session, made: Installation) -> None:
    ask_for(made, 10, 0, 15)
    names = {"one": "gpt-4.1", "two": "gpt-4.1-nano"}
    write_accounts(made, **{label: {"model": name, "version": "1"} for label, name in names.items()})
    assert look(session)["models in sweden"].found == "OpenAI.GlobalStandard.gpt4.1 asks for 20 of 15"


@pytest.mark.parametrize(
    ("deployment", "found"),
    [
        ({"model": "gpt-9"}, "gpt-9 is not offered"),
        ({"version": "2"}, "gpt-4.1 has no version 2, but 1"),
        ({"sku": "Standard"}, "gpt-4.1 1 is not offered as Standard, but as GlobalStandard"),
    ],
)
def test_what_a_region_does_not_offer_is_told_with_what_it_does(
    session: Session, made: Installation, deployment: dict[str, Any], found: str
) -> None:
    ask_for(made, 10, **deployment)
    finding = look(session)["models in sweden"]
    assert (finding.verdict, finding.found) == (Verdict.BAD, found)
    assert finding.remedy.endswith("az cognitiveservices model list --location sweden")


def test_a_model_without_a_listed_limit_is_no_fault(session: Session, made: Installation) -> None:
    ask_for(made, 10)
    made.az.answer("cognitiveservices usage list", [])
    assert look(session)["models in sweden"].verdict is Verdict.OK


@pytest.mark.parametrize("accounts", ["x", ["x"], {"a": "x"}, {"a": {"deployments": "x"}}])
def test_accounts_of_a_wrong_form_are_no_traceback(
    session: Session, made: Installation, accounts: object
) -> None:
    ask_for(made, "ten")
    assert "models in sweden" not in look(session)
    write_tfvars(made.layout, "foundry", accounts=accounts)
    assert not [check for check in look(session) if check.startswith("models")]
