"""`render-config` as a user meets it: output, files and exit codes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.renderer.support import BACKEND_KEY, CLIENT_KEY, env
from tests.support.measuring import measuring

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = {"apisix.yaml", "config.yaml", "otel-collector.yaml"}


def run(*arguments: str | Path, **changes: str | None) -> subprocess.CompletedProcess[str]:
    """Run the command with the small valid environment, changed."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "renderer", *map(str, arguments)],
        cwd=Path(__file__).parent,  # where no .env is
        env={**inherited, **measuring(), "PYTHONPATH": str(REPOSITORY), **env(**changes)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_it_writes_the_three_files_and_says_so(tmp_path: Path) -> None:
    done = run("--output-dir", tmp_path / "new" / "directory")
    assert done.returncode == 0
    assert {each.name for each in (tmp_path / "new" / "directory").iterdir()} == FILES
    assert done.stdout.count("written") == 3
    assert "1 backend, 1 client" in done.stdout


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    run("--output-dir", tmp_path)
    before = {each: each.stat().st_mtime_ns for each in tmp_path.iterdir()}
    done = run("--output-dir", tmp_path)
    assert done.stdout.count("unchanged") == 3
    assert {each: each.stat().st_mtime_ns for each in tmp_path.iterdir()} == before


def test_check_writes_nothing(tmp_path: Path) -> None:
    done = run("--check", "--output-dir", tmp_path)
    assert done.returncode == 0
    assert not list(tmp_path.iterdir())


def test_diff_writes_nothing_and_shows_no_secret(tmp_path: Path) -> None:
    run("--output-dir", tmp_path)
    before = {each: each.read_text() for each in tmp_path.iterdir()}
    done = run("--diff", "--output-dir", tmp_path, AZURE_OPENAI_KEY_0="replaced-key-0123")
    assert done.returncode == 0
    assert {each: each.read_text() for each in tmp_path.iterdir()} == before
    assert re.search(r"^\+ +key: <secret \w+>$", done.stdout, re.MULTILINE)
    assert "config.yaml: no changes" in done.stdout
    assert not any(secret in done.stdout for secret in (BACKEND_KEY, "replaced-key-0123", CLIENT_KEY))


def test_an_invalid_configuration_exits_with_2_and_leaves_the_last_good_files(tmp_path: Path) -> None:
    run("--output-dir", tmp_path)
    before = {each: each.read_text() for each in tmp_path.iterdir()}
    done = run("--output-dir", tmp_path, AZURE_OPENAI_WEIGHT_0="x", GATEWAY_LOG_MODE="y")
    assert done.returncode == 2
    assert "2 problems" in done.stderr
    assert {each: each.read_text() for each in tmp_path.iterdir()} == before


def test_a_vault_that_cannot_be_reached_exits_with_3(tmp_path: Path) -> None:
    done = run("--output-dir", tmp_path, KEY_VAULT_URL="https://127.0.0.1:9", IDENTITY_HEADER="x")
    assert done.returncode == 3
    assert "Key Vault https://127.0.0.1:9:" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_written_exits_with_2(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert run("--output-dir", tmp_path).returncode == 2


def test_an_output_directory_that_is_a_file_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("--output-dir", tmp_path / "file")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_file_that_cannot_be_replaced_leaves_the_others_alone(tmp_path: Path) -> None:
    (tmp_path / "apisix.yaml").mkdir()
    done = run("--output-dir", tmp_path)
    assert (done.returncode, [each.name for each in tmp_path.iterdir()]) == (2, ["apisix.yaml"])


@pytest.mark.parametrize("name", ["[/x]", "[red]x", "a b", "ünï"])
def test_a_directory_of_any_name_is_written_to_and_named(name: str, tmp_path: Path) -> None:
    done = run("--output-dir", tmp_path / name)
    assert (done.returncode, f"{tmp_path}/{name}/apisix.yaml" in done.stdout) == (0, True)


@pytest.mark.parametrize("seconds", ["0", "nan", "inf", "1e12"])
def test_a_pause_that_nobody_can_wait_for_exits_with_2(seconds: str, tmp_path: Path) -> None:
    done = run("--output-dir", tmp_path, "--watch", seconds)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])


def test_a_bundle_root_that_no_file_can_hold_exits_with_2(tmp_path: Path) -> None:
    done = run("--output-dir", tmp_path, "--bundle-root", os.fsdecode(b"/bundle/\xff"))
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


def test_a_diff_with_a_file_that_is_no_yaml_shows_the_new_one(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: &a [*a]\n")
    done = run("--diff", "--output-dir", tmp_path)
    assert (done.returncode, "-<not valid YAML>" in done.stdout) == (0, True)


def test_certificates_that_cannot_be_read_exit_with_3(tmp_path: Path) -> None:
    done = run("--check", KEY_VAULT_URL="https://127.0.0.1:9", REQUESTS_CA_BUNDLE=str(tmp_path / "missing"))
    assert (done.returncode, "REQUESTS_CA_BUNDLE" in done.stderr) == (3, True)


REAL = "https://contoso-east.openai.azure.com"


def test_a_warning_is_told_and_the_files_are_written(tmp_path: Path) -> None:
    done = run("--output-dir", tmp_path, AZURE_OPENAI_ENDPOINT_0=REAL, AZURE_OPENAI_KEY_0="change-me")
    assert (done.returncode, {each.name for each in tmp_path.iterdir()}) == (0, FILES)
    assert "1 warning" in done.stderr
    assert "AZURE_OPENAI_KEY_0 (environment) is a placeholder" in done.stderr


def test_with_strict_a_warning_exits_with_2_and_nothing_is_written(tmp_path: Path) -> None:
    done = run(
        "--strict", "--output-dir", tmp_path, AZURE_OPENAI_ENDPOINT_0=REAL, AZURE_OPENAI_KEY_0="change-me"
    )
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])


def test_with_strict_settings_without_a_warning_are_fine() -> None:
    assert run("--check", "--strict", AZURE_OPENAI_ENDPOINT_0=REAL).returncode == 0


def test_variables_of_other_tools_are_told_in_one_line_and_are_no_warning() -> None:
    others = {"AZURE_OPENAI_API_KEY": "s3cr3t", "AZURE_OPENAI_DEPLOYMENT": "gpt-4o"}
    done = run("--check", "--strict", AZURE_OPENAI_ENDPOINT_0=REAL, **others)
    assert done.returncode == 0
    assert done.stderr == (
        "Note: not read, since they are no settings of the gateway: AZURE_OPENAI_API_KEY, "
        "AZURE_OPENAI_DEPLOYMENT (environment).\n"
    )


@pytest.mark.parametrize("option", ["--settings", "--env-file"])
def test_settings_in_yaml_give_the_files_of_the_same_variables(option: str, tmp_path: Path) -> None:
    variables = env(AZURE_OPENAI_ENDPOINT_0=REAL)
    file = tmp_path / "gateway.yaml"
    file.write_text(
        f"backends:\n  - endpoint: {REAL}\n    key: {BACKEND_KEY}\n"
        f"clients: [{{name: team-a, key: {CLIENT_KEY}}}]\ngateway: {{worker_processes: 2}}\n"
    )
    run("--output-dir", tmp_path / "of-variables", **variables)
    run("--output-dir", tmp_path / "of-yaml", option, file, **dict.fromkeys(variables))
    for name in FILES:
        written = (tmp_path / "of-yaml" / name).read_text()
        assert written == (tmp_path / "of-variables" / name).read_text()


def test_an_error_of_a_file_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("redis:\n  port: many\n")
    done = run("--check", "--settings", file)
    assert f"REDIS_PORT (redis.port in {file}, line 2) is not a whole number" in done.stderr


def test_an_unknown_option_exits_with_2() -> None:
    assert run("--no-such-option").returncode == 2


def test_the_bundle_root_is_taken_over(tmp_path: Path) -> None:
    run("--output-dir", tmp_path, "--bundle-root", "/somewhere/else")
    assert '"/somewhere/else/?.lua"' in (tmp_path / "config.yaml").read_text()


@pytest.mark.parametrize("example", ["demo.env"])
def test_the_example_renders(example: str, tmp_path: Path) -> None:
    clean = dict.fromkeys(env())
    done = run("--env-file", REPOSITORY / "examples" / example, "--output-dir", tmp_path, **clean)
    assert done.returncode == 0, done.stderr
    assert "3 backends, 2 clients" in done.stdout


def test_the_template_of_a_real_configuration_lacks_only_its_keys(tmp_path: Path) -> None:
    file = REPOSITORY / "examples" / "gateway.env"
    clean = dict.fromkeys(env())
    keys = {"AZURE_OPENAI_KEY_0": "some-backend-key", "GATEWAY_CLIENT_KEY_0": "some-client-key-0123"}
    done = run("--check", "--env-file", file, **{**clean, **keys})
    assert done.returncode == 0, done.stderr


def test_every_line_that_the_template_leaves_out_is_a_known_setting() -> None:
    from renderer.names import is_known

    lines = (REPOSITORY / "examples" / "gateway.env").read_text().splitlines()
    names = [line[1:].split("=")[0] for line in lines if line.startswith("#") and line[1:2].isupper()]
    assert len(names) > 20
    assert all(map(is_known, names))


def test_the_reference_page_is_current() -> None:
    page = (REPOSITORY / "docs" / "configuration.md").read_text()
    assert run("--reference").stdout == page, "run: render-config --reference > docs/configuration.md"


def test_the_prices_of_deployments_can_be_listed() -> None:
    done = run("--check-prices", AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o,secret")
    assert done.returncode == 1
    assert re.search(r"gpt-4o +gpt-4o \(also web_search\)\n.* secret +no price", done.stdout)


def test_prices_of_all_deployments_are_fine() -> None:
    assert run("--check-prices", AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o").returncode == 0
