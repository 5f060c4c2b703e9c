"""The command `local-gateway`."""

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.local_gateway import Command, url_in

SETTINGS = """
AZURE_OPENAI_ENDPOINT_0=http://127.0.0.1:9
AZURE_OPENAI_KEY_0=backend-key
AZURE_OPENAI_NAME_0=eastus
GATEWAY_CLIENT_NAME_0=team
GATEWAY_CLIENT_KEY_0=client-key-of-the-team
"""


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    started = Command(tmp_path, SETTINGS, "--engine", "embedded", "--workers", "1")
    yield started
    if started.process.poll() is None:
        started.end(signal.SIGTERM)


def test_it_serves_what_the_settings_say(command: Command) -> None:
    url = url_in(command.announced())
    assert httpx.get(f"{url}/health/live").status_code == 200


@pytest.mark.parametrize(
    "text", ["embedded (as asked for)", "for development and tests", "error.log", "access.log"]
)
def test_it_says_what_runs_and_where_the_logs_are(command: Command, text: str) -> None:
    assert text in command.announced()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly(command: Command, number: int) -> None:
    url = url_in(command.announced())
    status, _, err = command.end(number)
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    assert (status, err) == (0, "")


def test_a_value_that_cannot_work_is_told_and_stops_nothing(tmp_path: Path) -> None:
    settings = SETTINGS.replace("=backend-key", "=change-me")
    started = Command(tmp_path, settings, "--engine", "embedded", "--workers", "1")
    announced = started.announced()
    _, _, err = started.end(signal.SIGTERM)
    assert ("serves at" in announced, "AZURE_OPENAI_KEY_0" in err, "is a placeholder" in err) == (
        True,
        True,
        True,
    )


def test_with_strict_such_a_value_keeps_it_from_running(tmp_path: Path) -> None:
    settings = SETTINGS.replace("=backend-key", "=change-me")
    status, out, err = Command(tmp_path, settings, "--engine", "embedded", "--strict").end()
    told = ("AZURE_OPENAI_KEY_0" in err, "With --strict warnings are errors" in err)
    assert (status, out, told) == (2, "", (True, True))


def test_settings_in_yaml_are_served(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(
        "backends: [{endpoint: 'http://127.0.0.1:9', key: backend-key}]\n"
        "clients: [{name: team, key: client-key-of-the-team}]\n"
    )
    started = Command(tmp_path, "", "--settings", str(file), "--engine", "embedded", "--workers", "1")
    url = url_in(started.announced())
    assert httpx.get(f"{url}/health/live").status_code == 200
    assert started.end(signal.SIGTERM)[0] == 0


def test_wrong_settings_are_all_named_and_end_it_with_status_2(tmp_path: Path) -> None:
    settings = SETTINGS + "AZURE_OPENAI_WIEGHT_0=1\nGATEWAY_REQUIRE_AUTH=perhaps\n"
    status, _, err = Command(tmp_path, settings, "--engine", "embedded").end()
    assert (status, "AZURE_OPENAI_WIEGHT_0" in err, "GATEWAY_REQUIRE_AUTH" in err) == (2, True, True)


@pytest.mark.parametrize("text", ["Traceback", "backend-key", "client-key-of-the-team"])
def test_wrong_settings_show_no_traceback_and_no_secret(tmp_path: Path, text: str) -> None:
    _, out, err = Command(tmp_path, SETTINGS + "GATEWAY_REQUIRE_AUTH=perhaps\n", "--engine", "embedded").end()
    assert text not in out + err


def test_what_an_engine_does_not_offer_ends_it_with_status_1(tmp_path: Path) -> None:
    settings = SETTINGS + "ENABLE_CORS=true\nCORS_ALLOW_ORIGINS=https://example.com\n"
    status, _, err = Command(tmp_path, settings, "--engine", "embedded").end()
    assert (status, "does not offer: cors" in err) == (1, True), err


def test_an_unknown_engine_ends_it_with_status_1(tmp_path: Path) -> None:
    status, _, err = Command(tmp_path, SETTINGS, "--engine", "kubernetes").end()
    assert (status, "there is no engine kubernetes" in err) == (1, True)
