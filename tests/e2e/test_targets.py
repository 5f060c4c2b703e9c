"""Targets: what they can do, and what they say when a scenario cannot run there."""

from __future__ import annotations

import socket
from dataclasses import replace

import httpx
import pytest

from e2e.criteria import Criterion
from e2e.load.plan import CLIENTS
from e2e.load.session import LoadSession
from e2e.scenarios import ALL
from e2e.scenarios.run import run_scenario
from e2e.targets import local
from e2e.targets.azure import AzureTarget
from e2e.targets.local import LocalTarget, stage_settings
from e2e.targets.simulators import BACKENDS, CHAT_100M, PTU
from e2e.targets.stage import Breakage, TargetError
from renderer import load_settings
from scripts.deploy.deployed_stage import DeployedStage

SETTINGS = load_settings(stage_settings(dict.fromkeys(BACKENDS, "http://127.0.0.1:1")))
FOUND = DeployedStage(
    url="https://gateway.example.com/",
    settings=SETTINGS,
    keys=dict.fromkeys(CLIENTS, "a-key"),
    simulators={},
    simulator_key="k",
    admin_key="k",
    variables={},
    max_replicas=3,
)


def test_azure_needs_the_clients_of_the_stage() -> None:
    with pytest.raises(TargetError, match="client-three"):
        AzureTarget("dev", replace(FOUND, keys={"client-one": "k", "client-two": "k"}))


def test_azure_runs_what_needs_no_faults() -> None:
    assert AzureTarget("dev", FOUND).unfit(ALL["round-robin-weighted"]) == ""


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("throttle-storm", "steer the simulated backends"),
        ("region-outage", "AI_PROXY_READ_TIMEOUT_MS=1500"),
        ("key-rotation", "change settings while it runs"),
    ],
)
def test_azure_says_why_a_scenario_cannot_run(name: str, why: str) -> None:
    assert why in AzureTarget("dev", FOUND).unfit(ALL[name])


def test_azure_says_which_routes_are_missing() -> None:
    settings = load_settings(
        stage_settings(dict.fromkeys(BACKENDS, "http://127.0.0.1:1")) | {"GATEWAY_E2E_TEST_MODE": "0"}
    )
    target = AzureTarget("dev", replace(FOUND, settings=settings))
    assert "round-robin-simple" in target.unfit(ALL["round-robin-simple"])


def test_azure_is_not_broken_on_purpose() -> None:
    target = AzureTarget("dev", FOUND)
    with pytest.raises(TargetError), target.stage(ALL["usage-tracking"], Breakage()):
        pass


def test_a_local_stage_serves_and_shows_what_backends_were_asked(pytestconfig: pytest.Config) -> None:
    target = LocalTarget(pytestconfig.getoption("--engine"))
    try:
        with target.stage(ALL["throttle-storm"]) as stage:
            stage.simulators.fault(PTU, status=429, retry_after=1, count=1)
            answer = httpx.post(
                f"{stage.urls[0]}/throttle-storm/openai/deployments/{CHAT_100M}/completions?api-version=2023-05-15",
                json={"prompt": "Once", "max_tokens": 3},
                headers={"api-key": stage.keys["client-one"]},
                trust_env=False,
            )
            asked = stage.simulators.asked()
    finally:
        target.close()
    assert answer.status_code == 200
    assert {a.status for a in asked} <= {200, 429}
    assert all(a.path.startswith(f"/openai/deployments/{CHAT_100M}/completions") for a in asked)


def test_simulated_backends_that_cannot_listen_say_so_at_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = [taken.getsockname()[1], 0, 0, 0]
        monkeypatch.setattr(local, "free_ports", lambda _: ports)
        with pytest.raises(TargetError, match="ended at once"), local.simulators():
            pass
    assert "Address already in use" in capfd.readouterr().err


def test_a_breakage_is_noticed(pytestconfig: pytest.Config) -> None:
    """Weights that the criteria do not know of."""
    from e2e.break_scenarios import BREAKS, noticed

    row = next(row for row in BREAKS if row.scenario == "round-robin-weighted")
    target = LocalTarget(pytestconfig.getoption("--engine"))
    try:
        with LoadSession() as load:
            result = run_scenario(ALL[row.scenario], target, load, factor=0.6, breakage=row.breakage)
    finally:
        target.close()
    assert noticed(row, result), [c for c in result.criteria if isinstance(c, Criterion)]


def test_each_scenario_is_broken_on_purpose() -> None:
    from e2e.break_scenarios import BREAKS

    assert {row.scenario for row in BREAKS} == set(ALL)
