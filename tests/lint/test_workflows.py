"""What GitHub runs exists; every action is pinned, and no right is given in vain."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.deploy.layout import REPOSITORY

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def jobs_of(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text())["jobs"]
    return found


def steps_of(path: Path) -> list[dict[str, Any]]:
    return [step for job in jobs_of(path).values() for step in job.get("steps", [])]


def scripts_of(path: Path) -> str:
    return "\n".join(step.get("run", "") for step in steps_of(path))


def test_there_is_one_for_proposals_and_one_for_releases() -> None:
    assert {path.stem for path in WORKFLOWS} >= {"test", "release"}


def test_proposals_run_what_the_projects_own_integration_runs() -> None:
    assert ".ci/run" in scripts_of(REPOSITORY / ".github" / "workflows" / "test.yml")


@each_workflow
def test_every_action_is_pinned_to_a_commit_and_says_its_version(path: Path) -> None:
    used = re.findall(r"uses: (\S+)(.*)", path.read_text())
    others = [f"{action}{rest}" for action, rest in used if not action.startswith("./")]
    assert [
        line for line in others if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)
    ] == []


@each_workflow
def test_no_script_holds_an_expression(path: Path) -> None:
    """GitHub would paste the value into the script, and it may be anything."""
    assert "${{" not in scripts_of(path)


@each_workflow
def test_no_secret_is_stored(path: Path) -> None:
    assert re.findall(r"secrets\.\w+", path.read_text()) == []


@each_workflow
def test_rights_are_given_to_single_jobs(path: Path) -> None:
    assert yaml.safe_load(path.read_text())["permissions"] == {}
    assert [name for name, job in jobs_of(path).items() if "permissions" not in job] == []


@each_workflow
def test_every_job_ends(path: Path) -> None:
    called = {name for name, job in jobs_of(path).items() if "uses" in job}
    assert {name for name, job in jobs_of(path).items() if "timeout-minutes" not in job} == called


@each_workflow
def test_every_file_that_is_named_exists(path: Path) -> None:
    text = path.read_text()
    named = re.findall(r"\./(\.github/\S+\.yml)", text)
    named += re.findall(r"(?:dockerfile: |^ +- run: )(\S+/\S+)$", text, re.MULTILINE)
    named += re.findall(r"\((docs/\S+\.md)\)", text)
    assert [name for name in named if not (REPOSITORY / name).is_file()] == []


@each_workflow
def test_every_target_and_module_that_is_called_exists(path: Path) -> None:
    script = scripts_of(path)
    assert set(re.findall(r"\bmake ([a-z0-9-]+)", script)) <= TARGETS
    modules = re.findall(r"python -m (\S+)", script)
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []


@each_workflow
def test_jobs_wait_for_jobs_that_exist(path: Path) -> None:
    jobs = jobs_of(path)
    needed = {need for job in jobs.values() for need in [job.get("needs", [])] for need in _listed(need)}
    assert needed <= set(jobs)


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_a_release_has_an_image_of_every_dockerfile() -> None:
    matrix = jobs_of(REPOSITORY / ".github" / "workflows" / "release.yml")["images"]["strategy"]["matrix"]
    released = {entry["dockerfile"] for entry in matrix["include"]}
    roots = [REPOSITORY / "apisix", REPOSITORY / "infra"]
    there = {str(path.relative_to(REPOSITORY)) for root in roots for path in root.rglob("Dockerfile")}
    assert released == there


def test_nothing_is_released_that_was_not_tested() -> None:
    jobs = jobs_of(REPOSITORY / ".github" / "workflows" / "release.yml")
    assert {"test"} == {need for name in ("files", "images") for need in _listed(jobs[name]["needs"])}
    assert set(jobs["release"]["needs"]) == {"files", "images"}


def test_every_part_that_dependabot_watches_exists() -> None:
    updates = yaml.safe_load((REPOSITORY / ".github" / "dependabot.yml").read_text())["updates"]
    patterns = [each for update in updates for each in update.get("directories", [update.get("directory")])]
    assert [each for each in patterns if not list(REPOSITORY.glob(each.strip("/") or "*"))] == []


def test_the_hooks_before_a_commit_are_checks_of_lint() -> None:
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    calls = [hook["entry"].split() for hook in hooks]
    checks = re.findall(r'^check "([^"]+)"', (REPOSITORY / "scripts" / "lint.sh").read_text(), re.MULTILINE)
    assert {call[0] for call in calls} == {"scripts/lint.sh"}
    assert {name for call in calls for name in call[1:]} <= {name.replace(" ", "-") for name in checks}


def test_the_development_container_is_set_up_by_make() -> None:
    text = (REPOSITORY / ".devcontainer" / "devcontainer.json").read_text()
    container = json.loads(re.sub(r"^//.*$", "", text, flags=re.MULTILINE))
    assert container["postCreateCommand"].split() == ["make", "setup"]
    assert "setup" in TARGETS
