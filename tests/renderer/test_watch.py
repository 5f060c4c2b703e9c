"""C2: the watcher puts a changed configuration in place, and a wrong one never."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from queue import Queue

import pytest

from renderer import load_settings, render_files
from renderer.output import write_changed
from renderer.problems import ConfigurationError, KeyVaultError, KeyVaultUnreachableError, Problem
from renderer.watch import watch
from tests.support.scripted_vault import THROTTLED, ScriptedVault

ENVIRONMENT = {
    "AZURE_OPENAI_ENDPOINT_0": "https://contoso-eastus.openai.azure.com",
    "AZURE_OPENAI_KEY_0": "key-of-the-backend",
    "GATEWAY_CLIENT_NAME_0": "team-a",
    "GATEWAY_CLIENT_KEY_0": "client-key-0123456789",
}


class Notes:
    """A reporter that puts what it hears into a queue."""

    def __init__(self) -> None:
        self.heard: Queue[str] = Queue()

    def changed(self, file: Path) -> None:
        self.heard.put(f"changed {file.name}")

    def needs_restart(self, name: str) -> None:
        self.heard.put(f"restart {name}")

    def refused(self, problems: object) -> None:
        self.heard.put("refused")

    def unavailable(self, error: KeyVaultError) -> None:
        self.heard.put("unavailable")

    def failed(self, error: OSError) -> None:
        self.heard.put("failed")


class Stage:
    """A directory of rendered files with a watcher over them; what it renders next can be replaced."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.notes = Notes()
        self.environment = dict(ENVIRONMENT)
        self.fault: Exception | None = None
        self._stop = threading.Event()
        for name, text in self.render().items():
            write_changed(directory, name, text)
        self._thread = threading.Thread(
            target=watch, args=(self.render, directory, 0.02, self._stop, self.notes), daemon=True
        )
        self._thread.start()

    def render(self) -> Mapping[str, str]:
        if self.fault:
            raise self.fault
        return render_files(load_settings(self.environment), "/bundle")

    def change(self, settings: Mapping[str, str]) -> None:
        """Other settings from the next round on; the watcher may still be reading the present mapping."""
        self.environment = {**self.environment, **settings}

    def next_note(self) -> str:
        return self.notes.heard.get(timeout=10)

    def note_after(self, ended: str) -> str:
        """The first note that says something else than what ends now."""
        while (note := self.next_note()) == ended:
            pass
        return note

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=10)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


def test_c2_a_rotated_key_is_put_in_place(stage: Stage) -> None:
    stage.change({"AZURE_OPENAI_KEY_0": "another-key"})
    assert (stage.next_note(), "another-key" in (stage.directory / "apisix.yaml").read_text()) == (
        "changed apisix.yaml",
        True,
    )


def test_c2_a_new_backend_is_put_in_place(stage: Stage) -> None:
    stage.change(
        {
            "AZURE_OPENAI_ENDPOINT_1": "https://contoso-westus.openai.azure.com",
            "AZURE_OPENAI_KEY_1": "second-key",
        }
    )
    stage.next_note()
    assert "contoso-westus" in (stage.directory / "apisix.yaml").read_text()


def test_c2_a_setting_that_is_read_at_the_start_only_is_reported_once(stage: Stage) -> None:
    stage.change({"APISIX_LOG_LEVEL": "error"})
    first = stage.next_note()
    stage.change({"AZURE_OPENAI_KEY_0": "another-key"})
    assert (first, stage.next_note()) == ("restart config.yaml", "changed apisix.yaml")


def test_c2_a_route_with_a_plugin_that_is_not_loaded_waits_for_the_restart(stage: Stage) -> None:
    before = (stage.directory / "apisix.yaml").read_text()
    stage.change({"ENABLE_RESPONSE_HEADERS": "true"})
    notes = {stage.next_note(), stage.next_note()}
    assert (notes, (stage.directory / "apisix.yaml").read_text()) == (
        {"restart apisix.yaml", "restart config.yaml"},
        before,
    )


def test_c1_wrong_settings_change_nothing(stage: Stage) -> None:
    before = (stage.directory / "apisix.yaml").read_text()
    stage.change({"AZURE_OPENAI_ENDPOINT_2": "https://orphan.openai.azure.com"})
    assert (stage.next_note(), (stage.directory / "apisix.yaml").read_text()) == ("refused", before)


def test_c1_the_watcher_survives_wrong_settings(stage: Stage) -> None:
    stage.fault = ConfigurationError([Problem("X", "is wrong", "Write Y")])
    stage.next_note()
    stage.change({"AZURE_OPENAI_KEY_0": "another-key"})
    stage.fault = None
    assert stage.note_after("refused") == "changed apisix.yaml"


def test_c1_the_watcher_survives_a_vault_that_is_out_of_reach(stage: Stage) -> None:
    stage.fault = KeyVaultUnreachableError("https://v", "it cannot be reached", "Wait")
    assert stage.next_note() == "unavailable"
    stage.change({"AZURE_OPENAI_KEY_0": "another-key"})
    stage.fault = None
    assert stage.note_after("unavailable") == "changed apisix.yaml"


def test_c1_the_watcher_survives_a_file_that_cannot_be_written(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        stage.change({"AZURE_OPENAI_KEY_0": "another-key"})
        assert stage.next_note() == "failed"
    assert stage.note_after("failed") == "changed apisix.yaml"


@pytest.mark.parametrize("text", ["", "plugins: x\n", "a: [\n", "a: 2026-13-45\n"])
def test_c1_a_config_yaml_that_somebody_spoilt_keeps_the_last_good_configuration(
    stage: Stage, text: str
) -> None:
    before = (stage.directory / "apisix.yaml").read_text()
    (stage.directory / "config.yaml").write_text(text)
    assert stage.next_note() == "restart config.yaml"
    stage.change({"AZURE_OPENAI_KEY_0": "another-key"})
    assert (stage.next_note(), (stage.directory / "apisix.yaml").read_text()) == (
        "restart apisix.yaml",
        before,
    )


def watching(directory: Path) -> list[str]:
    """The command that renders into a directory and looks for changes every second."""
    files = ["--no-settings", "--output-dir", str(directory)]
    return [sys.executable, "-m", "renderer", *files, "--watch", "1"]


def test_c2_sigterm_ends_the_command_cleanly(tmp_path: Path) -> None:
    with subprocess.Popen(
        watching(tmp_path), env=os.environ | ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert any("Rendered" in line for line in process.stdout)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) in (0, 143)


def test_c2_sigterm_ends_the_command_while_it_waits_for_a_throttling_vault(
    vault: ScriptedVault, tmp_path: Path
) -> None:
    environment = {**os.environ, **ENVIRONMENT, **vault.identity_environment, "KEY_VAULT_URL": vault.url}
    with subprocess.Popen(watching(tmp_path), env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("Rendered" in line for line in process.stdout)
        vault.endless_fault = replace(THROTTLED, headers={"Retry-After": "86400"})
        assert vault.answered_endless_fault.wait(timeout=20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        assert {each.name for each in tmp_path.iterdir()} == {
            "apisix.yaml",
            "config.yaml",
            "otel-collector.yaml",
        }
