"""An environment from the login to its end, as an operator deploys it. Each test goes on after the last."""

from __future__ import annotations

import re

import pytest

from tests.rehearsal.azure.wire import Request
from tests.rehearsal.stage import Stage

pytestmark = pytest.mark.xdist_group("quickstart")


@pytest.fixture(scope="module")
def first_key(stage: Stage) -> str:
    """The key of the first client, as it was before the rotation."""
    return stage.setting("GATEWAY_CLIENT_KEY_0")


def writes(stage: Stage) -> int:
    """How many bodies were sent that change something."""
    ledger = stage.cloud.ledger
    return sum(ledger.validated.values()) + sum(ledger.not_validated.values())


def revisions(stage: Stage) -> list[str]:
    found = stage.cloud.state.revisions
    return [each.name for key, items in found.items() if key.endswith("/ca-aigw-dev") for each in items]


def test_doctor_finds_nothing_bad_before_the_first_deployment(stage: Stage) -> None:
    ran = stage.run("aoai-gateway doctor dev")
    assert ran.code == 0, ran.screen
    assert "kv-aigw-dev-" in ran.screen


def test_one_command_deploys_everything(stage: Stage) -> None:
    ran = stage.run("aoai-gateway deploy up dev --yes")
    assert ran.code == 0, ran.screen
    assert re.search(r"HTTP 200 from \w+", ran.screen), ran.screen


def test_the_commands_at_its_end_call_the_gateway(stage: Stage) -> None:
    ran = stage.ran[-1]
    commands = "\n".join(
        line for line in ran.screen.splitlines() if line.startswith(("export GATEWAY_KEY", "curl "))
    )
    called = stage.paste(f"set -e\n{commands}")
    assert (called.code, '"choices"' in called.screen) == (0, True), called.screen


def test_a_second_run_changes_nothing(stage: Stage) -> None:
    before = writes(stage), revisions(stage)
    ran = stage.run("aoai-gateway deploy up dev --yes")
    assert (ran.code, ran.screen.count("no changes") >= 5) == (0, True), ran.screen
    assert (writes(stage), revisions(stage)) == before


def test_doctor_finds_nothing_bad_afterwards(stage: Stage) -> None:
    ran = stage.run("aoai-gateway doctor dev")
    assert ran.code == 0, ran.screen


def test_a_changed_setting_makes_one_new_revision(stage: Stage) -> None:
    before = revisions(stage)
    stage.edit('GATEWAY_LOG_MODE = "dev"', 'GATEWAY_LOG_MODE = "test"')
    ran = stage.run("deploy-workload dev --yes")
    assert ran.code == 0, ran.screen
    assert len(revisions(stage)) == len(before) + 1


def test_a_rotated_key_makes_one_new_revision_that_takes_it(stage: Stage, first_key: str) -> None:
    before = revisions(stage)
    stage.edit(first_key, first_key[::-1])
    ran = stage.run("deploy-workload dev --yes")
    assert ran.code == 0, ran.screen
    assert "change   GATEWAY_CLIENT_KEY_0 in Key Vault" in ran.screen
    assert len(revisions(stage)) == len(before) + 1
    host = re.search(r"https://(ca-aigw-dev[\w.-]+)", ran.screen)
    assert host is not None
    requests = [
        Request("GET", host[1], "/openai/v1/models", {"api-key": key}, b"")
        for key in (first_key, first_key[::-1])
    ]
    assert [stage.cloud.answer(request).status for request in requests] == [401, 200]


def test_status_shows_all_stacks_and_the_revision(stage: Stage) -> None:
    ran = stage.run("aoai-gateway status dev")
    assert ran.code == 0, ran.screen
    assert ran.screen.count("deployed") >= 5
    assert "Running" in ran.screen


def test_no_screen_no_file_and_no_state_has_a_key(stage: Stage, first_key: str) -> None:
    assert stage.holders(first_key, first_key[::-1]) == []


def test_no_temporary_file_is_left(stage: Stage) -> None:
    assert [path for path in stage.files() if path.parent.name == "tmp" or "run-" in path.parent.name] == []


def test_destroy_leaves_nothing_but_what_can_be_recovered(stage: Stage) -> None:
    ran = stage.run("aoai-gateway destroy all dev --yes")
    assert ran.code == 0, ran.screen
    assert stage.cloud.state.resources == {}
    assert [item["type"] for item in stage.cloud.state.deleted.values()] == ["Microsoft.KeyVault/vaults"]


def test_every_body_followed_its_definition(stage: Stage) -> None:
    ledger = stage.cloud.ledger
    assert ledger.refused == []
    assert ledger.unknown == {}
    assert sum(ledger.validated.values()) >= 40
