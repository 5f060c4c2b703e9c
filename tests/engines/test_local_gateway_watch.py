"""C2 on a laptop: `local-gateway --watch` applies changes of the env file, and a wrong one never."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from e2e.simulator import Simulator
from scripts.local_gateway.changes import Rendered
from scripts.local_gateway.sources import Sources
from tests.engines.test_local_gateway_screen import CHAT, KEY, chat, regions, settings, sim
from tests.support.local_gateway import Command, url_in

__all__ = ["regions", "sim"]

APPLIED = "was applied"


class Watched:
    """A gateway that follows its env file."""

    def __init__(self, sim: Simulator, tmp_path: Path, engine: str) -> None:
        self.sim = sim
        arguments = ("--engine", engine, "--workers", "1", "--watch", "--quiet")
        self.command = Command(tmp_path, settings(sim), *arguments)
        self.url = url_in(self.command.announced())

    def write(self, text: str) -> None:
        """Saves the file as editors do: with another one that takes its place."""
        new = self.command.file.with_suffix(".new")
        new.write_text(text)
        new.replace(self.command.file)

    def change(self, **changes: object) -> str:
        """Saves other settings; returns what is said when they have been applied."""
        self.write(settings(self.sim, **changes))
        return self.command.until(APPLIED).splitlines()[-1]


@pytest.fixture
def watched(sim: Simulator, tmp_path: Path, engine: str) -> Iterator[Watched]:
    made = Watched(sim, tmp_path, engine)
    yield made
    if made.command.process.poll() is None:
        made.command.end(signal.SIGTERM)


def served_by(answer: httpx.Response) -> str:
    return answer.headers["x-gateway-backend"]


def test_c2_a_saved_change_is_served_and_said(watched: Watched) -> None:
    before = served_by(chat(watched.url))
    said = watched.change(AZURE_OPENAI_PRIORITY_0=-1)
    assert (before, served_by(chat(watched.url))) == ("eastus", "westus")
    assert said.endswith("was applied: backend eastus changed.")


def test_c2_a_rotated_client_key_is_taken_and_the_old_one_refused(watched: Watched) -> None:
    watched.change(GATEWAY_CLIENT_KEY_0="another-key-of-team-a")
    statuses = [chat(watched.url, key).status_code for key in ("another-key-of-team-a", KEY)]
    assert statuses == [200, 401]


def test_c2_a_stream_in_flight_survives_a_change(watched: Watched, sim: Simulator) -> None:
    sim.fail("eastus", stall=5, after=2)
    request = {"json": CHAT | {"stream": True}, "headers": {"api-key": KEY}, "timeout": 30}
    with httpx.stream("POST", f"{watched.url}/openai/v1/chat/completions", **request) as stream:
        pieces = stream.iter_text()
        text = next(pieces)
        watched.change(AZURE_OPENAI_PRIORITY_0=-1)
        text += "".join(pieces)
    assert text.endswith("data: [DONE]\n\n")


def test_c2_cool_downs_survive_a_change(watched: Watched, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after=100, count=1)
    chat(watched.url)
    watched.change(AZURE_OPENAI_WEIGHT_1=2)
    assert chat(watched.url).headers["x-gateway-attempts"] == "westus:200"


def test_c1_a_wrong_file_changes_nothing_and_is_explained(watched: Watched) -> None:
    watched.write(settings(watched.sim, AZURE_OPENAI_PRIORITY_0=-1, AZURE_OPENAI_WIEGHT_1=2))
    said = watched.command.complaint_until("AZURE_OPENAI_WIEGHT_1")
    assert "the gateway keeps the settings that it has" in said
    assert served_by(chat(watched.url)) == "eastus"


def test_c1_a_good_file_after_a_wrong_one_is_applied(watched: Watched) -> None:
    watched.write("AZURE_OPENAI_ENDPOINT_0\n")
    watched.command.complaint_until("line 1")
    watched.change(AZURE_OPENAI_PRIORITY_0=-1)
    assert served_by(chat(watched.url)) == "westus"


def test_c1_a_file_that_is_gone_changes_nothing(watched: Watched) -> None:
    watched.command.file.unlink()
    said = watched.command.complaint_until("does not exist")
    assert ("keeps the settings" in said, chat(watched.url).status_code) == (True, 200)


def test_c2_what_only_a_start_can_change_is_said(watched: Watched) -> None:
    watched.write(settings(watched.sim, APISIX_LOG_LEVEL="error"))
    said = watched.command.complaint_until("config.yaml")
    assert "Restart the gateway" in said


def test_c2_a_change_without_effect_is_said(watched: Watched) -> None:
    watched.write(settings(watched.sim) + "# a comment\n")
    assert "nothing changes" in watched.command.until("was saved")


def test_c2_a_change_while_the_gateway_starts_is_not_missed(sim: Simulator, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(settings(sim))
    sources = Sources({}, file)
    loaded = sources.load()
    file.write_text(settings(sim, AZURE_OPENAI_PRIORITY_0=-1))
    rendered = Rendered(sources, loaded, "/bundle", lambda _: None)
    assert len({rendered()["apisix.yaml"] for _ in range(3)}) == 2


def test_c2_a_file_that_is_being_written_is_left_alone(sim: Simulator, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(settings(sim))
    sources = Sources({}, file)
    rendered = Rendered(sources, sources.load(), "/bundle", lambda _: None)
    seen = set()
    for priority in range(1, 4):
        file.write_text(settings(sim, AZURE_OPENAI_PRIORITY_0=-priority))
        seen.add(rendered()["apisix.yaml"])
    assert len(seen) == 1


def test_c2_watch_without_a_file_is_refused(sim: Simulator, tmp_path: Path) -> None:
    command = Command(tmp_path, settings(sim), "--watch", named=False)
    status, _, err = command.end()
    assert (status, "--watch follows a file of settings" in err) == (2, True)
