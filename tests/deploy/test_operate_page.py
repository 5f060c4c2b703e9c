"""What docs/operate.md tells an operator to type works."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from dataclasses import dataclass

import pytest

from scripts.deploy.layout import REPOSITORY
from tests.deploy.commands import BACKEND_KEY, CLIENT_KEY, Installation

PAGE = (REPOSITORY / "docs" / "operate.md").read_text()
COMMANDS = re.findall(r"^\s*\$ uv run (.+)$", PAGE, re.MULTILINE) + re.findall(
    r"`(?:GATEWAY_KEY=… )?uv run ([^`]+)`", PAGE
)
PROGRAMS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
BEFORE = {
    "app_settings": {
        "GATEWAY_CLIENT_NAME_0": "team-a",
        "AZURE_OPENAI_ENDPOINT_0": "https://mine.openai.azure.com",
    },
    "secrets": {"GATEWAY_CLIENT_KEY_0": CLIENT_KEY, "AZURE_OPENAI_KEY_0": BACKEND_KEY},
}


@dataclass
class Step:
    """Settings to change, then commands to run."""

    settings: dict[str, dict[str, str]]
    commands: list[str]


def steps_of(title: str) -> list[Step]:
    """The steps of a section: each begins with a block of settings."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    steps = []
    for settings, rest in re.findall(r"```hcl\n(.*?)```(.*?)(?=```hcl|\Z)", section, re.DOTALL):
        values = {
            name: dict(re.findall(r'(\w+)\s*=\s*"([^"]*)"', inside))
            for name, inside in re.findall(r"(\w+) = \{(.*?)\n\}", settings, re.DOTALL)
        }
        steps.append(Step(values, re.findall(r"^\$ uv run (.+)$", rest, re.MULTILINE)))
    return steps


@pytest.mark.parametrize("line", sorted(set(COMMANDS)))
def test_every_command_has_the_options_that_the_page_names(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *words = line.split()
    module, function = PROGRAMS[name].split(":")
    # Options are read before the help is shown.
    monkeypatch.setattr(sys, "argv", [name, *words, "--help"])
    with pytest.raises(SystemExit) as ended:
        getattr(importlib.import_module(module), function)()
    assert ended.value.code == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    "title",
    [
        "Rotate a client's key",
        pytest.param("Rotate a backend's key", marks=pytest.mark.long),
        pytest.param("Add a backend", marks=pytest.mark.long),
    ],
)
def test_the_steps_of_a_section_work_one_after_the_other(made: Installation, title: str) -> None:
    made.begin_with("bootstrap", "observability", "platform")
    made.vault.secrets["gateway-client-key-0"] = [CLIENT_KEY]
    settings = {name: dict(values) for name, values in BEFORE.items()}
    for step in steps_of(title):
        for name, values in step.settings.items():
            settings[name] |= values
        made.settings(**settings)
        key = settings["secrets"]["GATEWAY_CLIENT_KEY_0"]
        made.gateway.key = CLIENT_KEY if key.startswith("<") else key
        for line in step.commands:
            words = [word for word in line.split() if word not in ("aoai-gateway", "dev")]
            program, *arguments = words
            result = made.commands.run(program.removeprefix("deploy-"), *arguments)
            assert result.returncode == (10 if "--plan" in arguments else 0), (line, result.stderr)
