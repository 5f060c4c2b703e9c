"""`deploy up`: all stacks with one command."""

from __future__ import annotations

import json

from scripts.deploy.layout import STACKS
from tests.deploy.commands import Installation
from tests.deploy.support import SUBSCRIPTION, forget_tfvars, write_tfvars

ALL = ["bootstrap", "observability", "platform", "foundry", "workload"]


def results_of(out: str) -> dict[str, str]:
    return {row["stack"]: row["result"] for row in json.loads(out)["stacks"]}


def test_it_deploys_all_stacks_in_order_and_ends_with_a_call(made: Installation) -> None:
    result = made.commands.run("deploy", "up", "--yes", "-o", "json")
    assert result.returncode == 0, result.stderr
    assert list(results_of(result.stdout).items()) == [(name, "applied") for name in ALL]
    assert json.loads(result.stdout)["url"] == made.gateway.url
    secret = f"{made.vault.url}/secrets/gateway-client-key-0"
    assert f"az keyvault secret show --id {secret} --query value" in result.stderr
    assert f"curl {made.gateway.url}/openai/v1/chat/completions" in result.stderr


def test_a_second_run_changes_nothing(made: Installation) -> None:
    made.begin_with("bootstrap", "observability", "platform")
    made.commands.run("deploy", "up", "--yes")
    result = made.commands.run("deploy", "up", "--yes", "-o", "json")
    assert (result.returncode, set(results_of(result.stdout).values())) == (0, {"no changes"})


def test_it_does_not_read_from_a_storage_that_is_half_made(made: Installation) -> None:
    made.begin_with("bootstrap")
    there = made.root / "state" / "dev" / f"{STACKS['bootstrap'].directory}.tfstate"
    on_disk = made.layout.private(made.layout.working) / "bootstrap.tfstate"
    on_disk.write_text(there.read_text())
    there.write_text("no state")
    result = made.commands.run("deploy", "up", "--plan", "-o", "json")
    assert (result.returncode, results_of(result.stdout)) == (10, dict.fromkeys(ALL, "make it")), (
        result.stderr
    )


def test_the_summary_comes_first_and_changes_nothing(made: Installation) -> None:
    made.begin_with("bootstrap", "observability", "platform")
    before = sorted((made.root / "state").rglob("*"))
    result = made.commands.run("deploy", "up", "--plan", "-o", "json")
    assert result.returncode == 10
    assert results_of(result.stdout) == {
        **dict.fromkeys(ALL[:3], "no changes"),
        **dict.fromkeys(ALL[3:], "make it"),
    }
    assert sorted((made.root / "state").rglob("*")) == before


def test_it_asks_once(made: Installation) -> None:
    made.begin_with("bootstrap", "observability", "platform")
    with made.commands.terminal("deploy", "up") as terminal:
        terminal.expect("Deploy 2 stacks? [y/N]")
        terminal.type("y\n")
        assert terminal.end() == 0, terminal.seen
    assert terminal.seen.count("[y/N]") == 1


def test_it_asks_again_before_it_deletes_something(made: Installation) -> None:
    made.begin_with("bootstrap", "observability", "platform")
    main = made.layout.directory(STACKS["observability"]) / "main.tf"
    main.write_text(
        main.read_text()
        .replace('"terraform_data" "logs"', '"terraform_data" "other"')
        .replace(".logs.", ".other.")
    )
    with made.commands.terminal("deploy", "up") as terminal:
        terminal.expect("stacks? [y/N]")
        terminal.type("y\n")
        terminal.expect("Apply 2 changes? [y/N]")
        terminal.type("n\n")
        assert terminal.end() == 1


def test_a_stack_without_settings_is_left_out(made: Installation) -> None:
    forget_tfvars(made.layout, "foundry")
    result = made.commands.run("deploy", "up", "--yes", "-o", "json")
    assert (result.returncode, list(results_of(result.stdout))) == (0, [*ALL[:3], "workload"])


def test_everything_wrong_is_told_before_anything_is_done(made: Installation) -> None:
    made.settings(app_settings={"GATEWAY_CLIENT_NAME_0": "team-a", "COOLDOWN_MAX_SECONDS": "soon"})
    write_tfvars(made.layout, "observability", vaullt=1)
    result = made.commands.run("deploy", "up", "--yes")
    assert result.returncode == 2
    assert "COOLDOWN_MAX_SECONDS" in result.stderr
    assert "observability.vaullt" in result.stderr
    assert (made.root / "state").exists() is False


def test_without_a_terminal_wrong_settings_are_told_before_yes_is_asked_for(made: Installation) -> None:
    made.settings(app_settings={"GATEWAY_CLIENT_NAME_0": "team-a", "COOLDOWN_MAX_SECONDS": "soon"})
    write_tfvars(made.layout, "observability", vaullt=1)
    result = made.commands.run("deploy", "up")
    told = [text in result.stderr for text in ("COOLDOWN_MAX_SECONDS", "observability.vaullt", "--yes")]
    assert (result.returncode, told) == (2, [True, True, False])


def test_a_placeholder_hides_no_other_mistake(made: Installation) -> None:
    made.settings(app_settings={"GATEWAY_CLIENT_NAME_0": "team-a", "COOLDOWN_MAX_SECONDS": "soon"})
    text = made.layout.settings.read_text()
    made.layout.settings.write_text(text.replace(SUBSCRIPTION, "<subscription id>"))
    result = made.commands.run("deploy", "up", "--yes")
    told = [text in result.stderr for text in ("still is the placeholder", "COOLDOWN_MAX_SECONDS")]
    assert (result.returncode, told) == (2, [True, True]), result.stderr


def test_without_a_terminal_good_settings_lead_to_yes(made: Installation) -> None:
    result = made.commands.run("deploy", "up")
    assert (result.returncode, "Add --yes" in result.stderr) == (2, True)


def test_a_value_that_terraform_refuses_is_told_before_anything_is_done(made: Installation) -> None:
    variables = made.layout.directory(STACKS["foundry"]) / "variables.tf"
    variables.write_text('variable "quota" {\n  type    = map(number)\n  default = {}\n}\n')
    write_tfvars(made.layout, "foundry", quota={"gpt-5-mini": "ten"})
    result = made.commands.run("deploy", "up", "--yes")
    assert result.returncode == 2
    assert "foundry.quota.gpt-5-mini: a number is required." in result.stderr
    assert (made.root / "state").exists() is False
