"""An installation as its operator has it: commands as processes, a terminal, the login of the Azure CLI."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from scripts.deploy.azure_cli import AzureCliError
from scripts.deploy.layout import STACKS
from tests.deploy.commands import Installation
from tests.deploy.support import SUBSCRIPTION, files_with

UP_TO_PLATFORM = ("bootstrap", "observability", "platform")


def record_terraform(made: Installation) -> Path:
    """Record each start of Terraform with its arguments and its environment."""
    record = made.root / "record"
    record.mkdir()
    made.before_terraform(f'printf "%s\\n" "$@" >> {record}/arguments\nenv >> {record}/environment')
    return record


def test_secrets_reach_no_argument_environment_log_output_state_or_file(made: Installation) -> None:
    """The operator has even asked Terraform for its most talkative log."""
    record = record_terraform(made)
    temporary, home = made.root / "tmp", made.root / "home"
    temporary.mkdir()
    home.mkdir()
    made.commands.environment |= {
        "TF_LOG": "TRACE",
        "TF_LOG_PATH": str(made.root / "terraform.log"),
        "TMPDIR": str(temporary),
        "HOME": str(home),
    }
    made.begin_with("bootstrap")
    made.deploy("observability", "platform", "foundry")
    shown = [made.commands.run("workload", option) for option in ("--plan", "--yes", "--plan")]
    made.settings(secrets={"GATEWAY_CLIENT_KEY_0": "<kept>", "AZURE_OPENAI_KEY_0": "canary-rotated-77aa"})
    shown += [made.commands.run(name, "-o", "json") for name in ("status", "doctor")]
    shown.append(made.commands.run("workload", "--yes", "-o", "json"))
    assert [item.returncode for item in shown] == [10, 0, 0, 0, 0, 0], [item.stderr for item in shown]
    assert made.vault.secrets["azure-openai-key-0"][-1] == "canary-rotated-77aa"
    assert "canary" not in "".join(item.stdout + item.stderr for item in shown)
    assert "apply" in (record / "arguments").read_text()
    tfvars, answers = made.layout.settings, made.az.directory / "answers"
    assert set(files_with("canary", made.root)) == {tfvars, answers}
    assert list(temporary.iterdir()) == []
    assert not (made.root / "terraform.log").exists()


def test_the_environment_cannot_change_what_a_plan_shows(made: Installation) -> None:
    main = made.layout.directory(STACKS["bootstrap"]) / "main.tf"
    main.write_text(
        main.read_text() + 'variable "extra" { default = "mine" }\noutput "extra" { value = var.extra }\n'
    )
    made.commands.environment |= {
        "TF_VAR_extra": "theirs",
        "TF_WORKSPACE": "other",
        "TF_CLI_ARGS_plan": "-destroy",
    }
    result = made.commands.run("bootstrap", "--yes", "-o", "json")
    assert json.loads(result.stdout)["extra"] == "mine"


def test_yes_at_the_question_applies(made: Installation) -> None:
    with made.commands.terminal("bootstrap") as terminal:
        terminal.expect("Apply 1 change? [y/N]")
        terminal.type("y\n")
        assert terminal.end() == 0
    assert "applied" in terminal.seen


def test_return_at_the_question_changes_nothing(made: Installation) -> None:
    with made.commands.terminal("bootstrap") as terminal:
        terminal.expect("[y/N]")
        terminal.type("\n")
        assert terminal.end() == 1
    assert "the plan was not applied" in terminal.seen
    assert made.commands.run("status", "-o", "json").stdout.count('"not deployed"') == 5


def test_what_was_written_before_the_question_is_not_denied(made: Installation) -> None:
    made.begin_with(*UP_TO_PLATFORM)
    with made.commands.terminal("workload") as terminal:
        terminal.expect("Write 3 secrets to Key Vault? [y/N]")
        terminal.type("y\n")
        terminal.expect("Apply 1 change? [y/N]")
        terminal.type("n\n")
        assert terminal.end() == 1
    assert ("the plan was not applied" in terminal.seen, "nothing was changed" in terminal.seen) == (
        True,
        False,
    )
    assert made.vault.secrets


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["ctrl-c", "ctrl-d"])
def test_leaving_at_the_question_changes_nothing(made: Installation, key: str) -> None:
    with made.commands.terminal("bootstrap") as terminal:
        terminal.expect("[y/N]")
        terminal.type(key)
        assert terminal.end() == (130 if key == "\x03" else 1)
    assert "Traceback" not in terminal.seen
    assert not list(made.layout.working.glob("run-*"))
    assert not (made.layout.working / "bootstrap.tfstate").exists()


@pytest.mark.parametrize(
    ("typed", "code", "result"), [("dev", 0, "destroyed"), ("yes", 1, "kept"), ("", 1, "kept")]
)
def test_destroy_wants_the_environment_typed(made: Installation, typed: str, code: int, result: str) -> None:
    made.begin_with("bootstrap", "observability")
    with made.commands.terminal("destroy", "observability") as terminal:
        terminal.expect("Type 'dev' to go on: ")
        terminal.type(f"{typed}\n")
        assert terminal.end() == code
    assert result in terminal.seen


def test_a_login_that_has_ended_says_what_to_do(made: Installation) -> None:
    made.begin_with(*UP_TO_PLATFORM)
    expired = "ERROR: AADSTS70043: The refresh token has expired. Please run: az login"
    made.az.answer("account get-access-token", error=expired)
    result = made.commands.run("workload", "--yes")
    told = [line for line in result.stderr.splitlines() if not line.startswith("✓")]
    assert (result.returncode, told) == (
        3,
        [
            f"✗ Key Vault {made.vault.url} did not accept the login.",
            "→ Run `az login` for the vault's tenant.",
        ],
    )


EXPIRED = "ERROR: AADSTS70043: The refresh token has expired. To re-authenticate, please run: az login"


@pytest.mark.usefixtures("azure")
def test_a_login_that_ended_since_it_was_seen_says_what_to_do(made: Installation) -> None:
    made.az.answer("storage account show", error=EXPIRED)
    result = made.commands.run("observability", "--plan")
    assert (result.returncode, result.stderr.splitlines()) == (
        1,
        [
            "✗ az storage account show failed.",
            f"  {EXPIRED.removeprefix('ERROR: ')}",
            "→ Run `az login` again.",
        ],
    )


@pytest.mark.usefixtures("azure")
@pytest.mark.parametrize("command", [("status",), ("destroy", "all", "--yes"), ("bootstrap", "--yes")])
def test_a_subscription_that_the_login_cannot_see_is_not_an_empty_one(
    made: Installation, command: tuple[str, ...]
) -> None:
    unseen = f"The subscription '{SUBSCRIPTION}' could not be found."
    made.az.answer("storage account show", error=f"ERROR: (SubscriptionNotFound) {unseen}")
    result = made.commands.run(*command)
    assert (result.returncode, result.stdout) == (1, "")
    assert "→ Run `az login` with an account that can see the subscription" in result.stderr


@pytest.mark.usefixtures("azure")
def test_a_login_that_gives_terraform_no_token_says_what_to_do(made: Installation) -> None:
    made.az.answer("storage account show", {"id": "storage"})
    made.az.answer("account get-access-token", error=EXPIRED)
    result = made.commands.run("observability", "--plan")
    assert (result.returncode, "✗ Terraform gets no token for Azure." in result.stderr) == (1, True)
    assert "→ Run `az login` again" in result.stderr


def test_a_failed_command_of_az_is_named_without_its_options(made: Installation) -> None:
    made.az.answer("acr login", error="ERROR: no such registry")
    with pytest.raises(AzureCliError) as caught:
        made.az.cli.log_in_docker("registry")
    assert (caught.value.message, caught.value.details) == ("az acr login failed.", ["no such registry"])


def test_without_the_azure_cli_its_absence_is_the_message(made: Installation) -> None:
    made.begin_with(*UP_TO_PLATFORM)
    (made.root / "bin" / "az").unlink()
    result = made.commands.run("workload", "--yes")
    assert (result.returncode, "https://aka.ms/install-azure-cli" in result.stderr) == (4, True)
    assert made.vault.secrets == {}


def test_the_command_that_releases_a_lock_finds_the_state(made: Installation) -> None:
    """A local lock ends with its holder, so Terraform's "not locked" shows that it found the state."""
    made.begin_with("bootstrap", "observability")
    state = made.root / "state" / "dev" / "05-observability.tfstate"
    lock = {
        "ID": "5b6f2a60-0000-0000-0000-000000000000",
        "Operation": "OperationTypeApply",
        "Who": "alice@laptop",
    }
    lock |= {"Created": "2026-01-02T03:04:05Z", "Path": str(state), "Version": "1.11.4", "Info": ""}
    state.with_name(f".{state.name}.lock.info").write_text(json.dumps(lock))
    holder = subprocess.Popen(
        [
            "python3",
            "-c",
            f"import fcntl; f = open({str(state)!r}, 'r+'); fcntl.lockf(f, 2); print(1, flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    result = made.commands.run("observability", "--yes")
    holder.communicate("\n")
    assert (result.returncode, "held by: alice@laptop" in result.stderr) == (5, True)
    command = (
        result.stderr.split("holds it any more: ")[1]
        .splitlines()[0]
        .replace("force-unlock", "force-unlock -force")
    )
    said = subprocess.run(
        command, shell=True, capture_output=True, text=True, env=made.commands.environment, check=False
    )
    assert shlex.split(command)[0].startswith("TF_DATA_DIR=")
    assert "Failed to unlock state: LocalState not locked" in said.stderr


def test_a_terminal_without_such_characters_gets_others(made: Installation) -> None:
    made.commands.environment["PYTHONIOENCODING"] = "ascii"
    result = made.commands.run("bootstrap", "--yes")
    assert (result.returncode, "applied" in result.stdout) == (0, True)


def test_what_the_system_refuses_is_no_traceback(made: Installation) -> None:
    (made.layout.stacks.parent / ".deploy").write_text("in the way")
    result = made.commands.run("bootstrap", "--yes")
    assert (result.returncode, "Traceback" in result.stderr, ".deploy" in result.stderr) == (1, False, True)


def test_an_answer_of_az_that_is_no_json_is_no_traceback(made: Installation) -> None:
    made.begin_with(*UP_TO_PLATFORM)
    made.az.answer("containerapp revision show", raw="oops")
    result = made.commands.run("workload", "--yes")
    assert (result.returncode, "did not print JSON" in result.stderr) == (1, True)


def test_a_build_may_print_what_is_no_text(made: Installation) -> None:
    made.begin_with(*UP_TO_PLATFORM)
    az = made.root / "bin" / "az"
    real = az.rename(az.with_name("real-az"))
    az.write_text(f'#!/bin/sh\n[ "$2" = build ] && printf "caf\\351\\n"\nexec {real} "$@"\n')
    az.chmod(0o755)
    result = made.commands.run("workload", "--yes")
    assert (result.returncode, "caf�" in result.stderr) == (0, True), result.stderr


def test_a_log_file_has_values_that_are_not_folded(made: Installation) -> None:
    made.commands.environment.pop("COLUMNS")
    main = made.layout.directory(STACKS["bootstrap"]) / "main.tf"
    address = "https://" + "a" * 120 + ".example.com"
    main.write_text(main.read_text() + f'output "address" {{ value = "{address}" }}\n')
    assert address in made.commands.run("bootstrap", "--yes").stdout


def test_dotenv_names_are_names_for_a_shell(made: Installation) -> None:
    main = made.layout.directory(STACKS["bootstrap"]) / "main.tf"
    main.write_text(
        main.read_text() + 'output "hosts" { value = { "east-us" = "a b", x = "it\'s", y = "?a=1&b" } }\n'
    )
    out = made.commands.run("bootstrap", "--yes", "-o", "dotenv").stdout
    said = subprocess.run(
        ["sh", "-euc", f'{out}\nprintf "%s|" "$HOSTS_EAST_US" "$HOSTS_X" "$HOSTS_Y"'],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert said.stdout == "a b|it's|?a=1&b|"


def test_a_dotenv_value_is_one_line(made: Installation) -> None:
    made.layout.settings.write_text('name = "<name>"\n')  # more than one thing is wrong
    lines = made.commands.run("doctor", "-o", "dotenv").stdout.splitlines()
    assert [line for line in lines if not line.startswith("CHECKS_")] == []
