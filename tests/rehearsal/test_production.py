"""The example for production, with what dev leaves out: network, zones, Redis, alerts, private endpoints."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scripts.deploy.layout import Layout
from tests.rehearsal.stage import Stage

pytestmark = pytest.mark.xdist_group("production")


@pytest.fixture(scope="module")
def production(stage: Stage) -> Stage:
    """The environment, with receivers of alerts and private accounts."""
    layout = stage.layout
    made = replace(stage, layout=Layout("prod", layout.stacks, layout.working.parent / "prod"))
    assert made.run("aoai-gateway deploy init prod").code == 0
    made.edit('# oncall = "oncall@example.com"', 'oncall = "oncall@example.com"')
    made.edit("files_and_batches_enabled = false", "files_and_batches_enabled = true")
    made.edit(
        "private_endpoints_enabled = false\n  private_dns_zones_enabled = true\n  # private_dns_zone_id ",
        "private_endpoints_enabled = true\n  private_dns_zones_enabled = true\n  # private_dns_zone_id ",
    )
    return made


def test_doctor_finds_nothing_bad(production: Stage) -> None:
    ran = production.run("aoai-gateway doctor prod")
    assert ran.code == 0, ran.screen


def test_one_command_deploys_it(production: Stage) -> None:
    ran = production.run("aoai-gateway deploy up prod --yes")
    assert ran.code == 0, ran.screen
    assert "HTTP 200 from" in ran.screen
    kinds = {item["type"].lower() for item in production.cloud.state.resources.values()}
    assert {
        "microsoft.network/virtualnetworks",
        "microsoft.network/privateendpoints",
        "microsoft.network/privatednszones",
        "microsoft.authorization/roledefinitions",
    } <= kinds


def test_a_second_run_changes_nothing(production: Stage) -> None:
    ran = production.run("aoai-gateway deploy up prod --yes")
    assert (ran.code, ran.screen.count("no changes") >= 5) == (0, True), ran.screen


def test_no_screen_no_file_and_no_state_has_a_secret(production: Stage) -> None:
    secrets = [production.setting(name) for name in ("GATEWAY_CLIENT_KEY_0", "REDIS_PASSWORD")]
    assert production.holders(*secrets) == []


def test_destroy_leaves_nothing_but_the_vault(production: Stage) -> None:
    ran = production.run("aoai-gateway destroy all prod --yes")
    assert ran.code == 0, ran.screen
    assert production.cloud.state.resources == {}


def test_every_body_followed_its_definition(production: Stage) -> None:
    assert production.cloud.ledger.refused == []
    assert production.cloud.ledger.unknown == {}
