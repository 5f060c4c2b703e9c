"""The OpenAI Agents SDK: agents that stream and call a tool, with base URL and key alone."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from e2e.simulator import Simulator
from tests.behaviour.conftest import CLIENT_KEY
from tests.support.uv_scripts import script_command

# Installing the SDK takes long, so one process does it for all of these tests.
pytestmark = pytest.mark.xdist_group("agents")

SCRIPT = Path(__file__).parent / "agents" / "agent.py"
RUN_SECONDS = 300


@pytest.fixture(scope="session")
def command(outer_environment: dict[str, str]) -> list[str]:
    """Runs the script, once its pinned packages are installed."""
    return script_command(SCRIPT, outer_environment)


@pytest.fixture(scope="session")
def seen(command: list[str], shared_gateway: str, simulator: Simulator) -> Any:
    """The results of the agents."""
    # An earlier test may have left its faults.
    simulator.reset()
    done = subprocess.run(
        command,
        env={**os.environ, "OPENAI_BASE_URL": f"{shared_gateway}/openai/v1"},
        input=CLIENT_KEY,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_agent_calls_its_tool_once(seen: Any) -> None:
    assert len(seen["calls"]) == 1


def test_the_tools_result_leads_to_an_answer(seen: Any) -> None:
    assert seen["with_tool"]["items"] == ["tool_call_item", "tool_call_output_item", "message_output_item"]


@pytest.mark.parametrize("agent", ["with_tool", "talking"])
def test_the_agents_answer_streams(seen: Any, agent: str) -> None:
    assert (seen[agent]["pieces"] > 3, len(seen[agent]["output"]) > 0) == (True, True)
