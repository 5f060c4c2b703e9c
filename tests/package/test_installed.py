"""The commands of an installed wheel, away from any clone."""

from __future__ import annotations

import json
import re
import signal
import stat
import subprocess
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from e2e.simulator import Region, Simulator
from tests.deploy.support import SUBSCRIPTION, FakeAz
from tests.package.conftest import Environment
from tests.support.wheel import SECONDS

pytestmark = pytest.mark.xdist_group("package")

CLIENT_KEY = "client-key-of-the-team"
VERSION = f"azure-openai-gateway {version('azure-openai-gateway')}\n"
STACK_COMMANDS = {
    f"deploy-{stack}" for stack in ("bootstrap", "observability", "platform", "foundry", "workload")
}
COMMANDS = {"aoai-gateway", "azure-openai-simulator", "local-gateway", "render-config", "run-e2e-tests"}


def settings(directory: Path, endpoint: str) -> str:
    file = directory / "gateway.env"
    lines = (
        f"AZURE_OPENAI_ENDPOINT_0={endpoint}",
        "AZURE_OPENAI_KEY_0=key-of-eastus",
        "GATEWAY_CLIENT_NAME_0=team",
        f"GATEWAY_CLIENT_KEY_0={CLIENT_KEY}",
    )
    file.write_text("\n".join(lines))
    return str(file)


def contents(installed: Environment) -> dict[Path, int]:
    """The files of the package and when they were written; Python's caches may come."""
    files = (installed.packages / "azure_openai_gateway").rglob("*")
    return {path: path.stat().st_mtime_ns for path in files if path.is_file() and path.suffix != ".pyc"}


def test_it_leaves_these_commands_and_no_others(installed: Environment) -> None:
    (record,) = installed.packages.glob("azure_openai_gateway-*.dist-info/RECORD")
    left = re.findall(r"^(?:\.\./)+bin/([^,]+),", record.read_text(), re.MULTILINE)
    assert set(left) == COMMANDS | STACK_COMMANDS


def test_nothing_of_general_names_can_be_imported(installed: Environment) -> None:
    code = "from importlib.util import find_spec; print(*map(find_spec, ['scripts', 'e2e', 'renderer']))"
    assert installed.run("python", "-c", code).stdout == "None None None\n"


def test_it_says_its_version(installed: Environment) -> None:
    assert installed.run("aoai-gateway", "--version").stdout == VERSION


def test_a_package_of_the_same_name_changes_nothing(installed: Environment, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "renderer"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise ImportError('another renderer')")
    checked = installed.run(
        "aoai-gateway",
        *("render", "--check", "--env-file", settings(tmp_path, "http://127.0.0.1:9")),
        PYTHONPATH=str(other.parent),
    )
    assert (checked.returncode, checked.stdout) == (0, "Valid: 1 backend, 1 client.\n")


def test_its_gateway_answers_a_request(installed: Environment, tmp_path: Path) -> None:
    with Simulator([Region("eastus", key="key-of-eastus")]) as simulator:
        file = settings(tmp_path, simulator.endpoint("eastus"))
        options = ("--engine", "embedded", "--workers", "1", "--port", "0", "--env-file", file)
        with installed.start("aoai-gateway", "run", *options) as gateway:
            try:
                assert gateway.stdout is not None
                announced = next(line for line in gateway.stdout if "serves at" in line)
                answer = httpx.post(
                    f"{re.findall(r'http://[^ ]+', announced)[0].strip()}/openai/v1/chat/completions",
                    json={"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]},
                    headers={"api-key": CLIENT_KEY},
                )
            finally:
                gateway.send_signal(signal.SIGTERM)
                gateway.communicate(timeout=SECONDS)
    assert (answer.status_code, answer.json()["object"], gateway.returncode) == (200, "chat.completion", 0)


def test_what_makes_the_load_of_scenarios_is_an_extra_and_the_command_says_so(installed: Environment) -> None:
    ran = installed.run("aoai-gateway", "e2e", "round-robin-simple")
    assert (ran.returncode, "install azure-openai-gateway[e2e]" in ran.stderr) == (2, True)


@pytest.fixture(scope="module")
def az(tmp_path_factory: pytest.TempPathFactory) -> FakeAz:
    fake = FakeAz.install(tmp_path_factory.mktemp("az"))
    fake.answer("account show", {"id": SUBSCRIPTION, "user": {"name": "alice@example.com"}})
    fake.answer("storage account show", error="ERROR: (ResourceNotFound) The Resource was not found.")
    return fake


@pytest.fixture(scope="module")
def dev(installation: Path, az: FakeAz, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A working directory with settings for dev."""
    installed = Environment(installation, tmp_path_factory.mktemp("dev"))
    assert installed.run("aoai-gateway", "deploy", "init", "dev", PATH=az.path).returncode == 0
    return installed


def test_settings_of_a_deployment_are_made_in_the_working_directory(dev: Environment) -> None:
    made = dev.directory / "environments" / "dev.tfvars"
    assert (SUBSCRIPTION in made.read_text(), stat.S_IMODE(made.stat().st_mode)) == (True, 0o600)


def test_the_stacks_are_read_with_these_settings(dev: Environment, az: FakeAz) -> None:
    seen = dev.run("aoai-gateway", "status", "dev", "--output", "json", PATH=az.path)
    rows = json.loads(seen.stdout)["stacks"]
    assert [(row["settings"], row["state"]) for row in rows] == [(True, "not deployed")] * 5


def test_git_gets_none_of_the_files_of_a_deployment(dev: Environment, az: FakeAz) -> None:
    dev.run("aoai-gateway", "status", "dev", PATH=az.path)
    subprocess.run(["git", "init", "--quiet", dev.directory], check=True)
    listed = ["git", "status", "--porcelain", "--untracked-files=all", "environments", ".deploy"]
    seen = subprocess.run(listed, cwd=dev.directory, capture_output=True, text=True, check=True)
    assert seen.stdout.split() == ["??", "environments/.gitignore"]


def test_no_command_writes_into_the_package(dev: Environment, az: FakeAz) -> None:
    before = contents(dev)
    dev.run("aoai-gateway", "doctor", "dev", PATH=az.path)
    assert contents(dev) == before


def test_a_command_without_settings_leaves_nothing_behind(installed: Environment, az: FakeAz) -> None:
    before = set(installed.directory.iterdir())
    said = installed.run("deploy-workload", "dev", "--plan", PATH=az.path)
    assert "aoai-gateway deploy init dev" in said.stderr
    assert set(installed.directory.iterdir()) == before


def test_bash_completes_its_commands(installed: Environment) -> None:
    lines = (
        'eval "$(aoai-gateway completion bash)"; COMP_WORDS=(aoai-gateway deploy u); COMP_CWORD=2; '
        '_aoai_gateway_complete aoai-gateway; echo "${COMPREPLY[*]}"'
    )
    path = f"{installed.root / 'bin'}:{installed.variables()['PATH']}"
    done = subprocess.run(
        ["bash", "-c", lines], env=installed.variables(PATH=path), capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("up\n", "")
