"""Which file of settings is read when none is named, by `render-config` and `local-gateway` alike."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from renderer.found_settings import SettingsFile, chosen_settings_file
from tests.renderer.support import env
from tests.support.local_gateway import Command

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS = "".join(f"{name}={value}\n" for name, value in env().items())

YAML = """
backends:
  - {endpoint: https://contoso-eastus.openai.azure.com, key: 0123456789abcdef0123456789abcdef}
clients:
  - {name: team, key: a-key-of-thirty-two-characters-00}
"""


def check(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `render-config --check` in a directory, with no settings in the environment."""
    return subprocess.run(
        [sys.executable, "-m", "renderer", "--check", *arguments],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_file_of_the_working_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").touch()
    monkeypatch.chdir(tmp_path)
    assert chosen_settings_file(None) == SettingsFile(Path(".env"), was_found=True)


@pytest.mark.parametrize("name", ["gateway.yaml", "gateway.yml"])
def test_a_yaml_file_of_the_usual_name_is_found(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert chosen_settings_file(None) == SettingsFile(Path(name), was_found=True)


def test_of_two_files_none_is_chosen(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(SETTINGS)
    (tmp_path / "gateway.yaml").write_text("backends: []")
    done = check(tmp_path)
    said = " ".join(done.stderr.split())
    expected = ".env and gateway.yaml are both here, and only one file is read → Name the one to read"
    assert (done.returncode, expected in said) == (2, True), said


def test_beside_another_file_a_named_one_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(SETTINGS)
    (tmp_path / "gateway.yaml").write_text("backends: []")
    assert check(tmp_path, "--settings", ".env").returncode == 0


def test_a_named_file_wins_and_need_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").touch()
    monkeypatch.chdir(tmp_path)
    assert chosen_settings_file(Path("other.env")) == SettingsFile(Path("other.env"))


def test_a_directory_of_that_name_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").mkdir()
    monkeypatch.chdir(tmp_path)
    assert chosen_settings_file(None) is None


def test_render_config_reads_it_and_says_so(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(SETTINGS)
    done = check(tmp_path)
    assert (done.returncode, "Reading .env (found in this directory" in done.stderr) == (0, True), done.stderr


def test_render_config_reads_yaml_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(YAML)
    done = check(tmp_path)
    said = "Reading gateway.yaml (found in this directory" in done.stderr
    assert (done.returncode, said) == (0, True), done.stderr


@pytest.mark.parametrize("option", ["--no-settings", "--no-env-file"])
def test_render_config_can_leave_it_out(option: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(SETTINGS)
    assert check(tmp_path, option).returncode == 2


def test_a_file_of_another_program_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"{SETTINGS}DATABASE_URL=postgres://\n")
    done = check(tmp_path)
    assert (done.returncode, "--no-settings" in done.stderr, "DATABASE_URL" in done.stderr) == (2, True, True)


def test_both_options_at_once_are_refused(tmp_path: Path) -> None:
    assert check(tmp_path, "--no-settings", "--settings", "x").returncode == 2


def test_local_gateway_reads_it_and_says_so(tmp_path: Path) -> None:
    command = Command(tmp_path, SETTINGS, "--engine", "embedded", file=".env", named=False)
    announced = command.announced()
    status, _, _ = command.end(signal.SIGTERM)
    assert (status, "Reading .env (found in this directory" in announced) == (0, True)


def test_local_gateway_reads_yaml_and_says_so(tmp_path: Path) -> None:
    command = Command(tmp_path, YAML, "--engine", "embedded", file="gateway.yaml", named=False)
    announced = command.announced()
    status, _, _ = command.end(signal.SIGTERM)
    assert (status, "Reading gateway.yaml (found in this directory" in announced) == (0, True)


def test_who_has_no_settings_is_told_how_to_begin(tmp_path: Path) -> None:
    told = check(tmp_path).stderr.splitlines()[-1]
    assert told == (
        "No file of settings was read: this directory has no .env or gateway.yaml. "
        f"To begin with a commented one: cp {REPOSITORY}/examples/gateway.env .env"
    )


def test_whose_file_was_left_out_is_not_told_to_begin(tmp_path: Path) -> None:
    assert "To begin" not in check(tmp_path, "--no-settings").stderr


def test_local_gateway_can_leave_it_out(tmp_path: Path) -> None:
    command = Command(tmp_path, SETTINGS, "--engine", "embedded", "--no-settings", file=".env", named=False)
    assert command.end()[0] == 2
