"""The check of `make lint` that keeps the rooms of the Lua bundle in order."""

from pathlib import Path

import pytest

from scripts.lint.rooms import problems_of

FOLDER = "apisix/plugins/azure-openai"


def repository(root: Path, files: dict[str, str]) -> Path:
    """A repository whose bundle has these files, by their path below apisix/plugins."""
    for name, source in files.items():
        file = root / "apisix" / "plugins" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    return root


def requiring(module: str) -> str:
    return f'local _M = {{}}\nlocal it = require("apisix.plugins.{module}")\nreturn _M\n'


@pytest.mark.parametrize(
    ("file", "module"),
    [
        pytest.param("azure-openai/routing/pool.lua", "azure-openai.routing.other", id="its own room"),
        pytest.param("azure-openai/routing/pool.lua", "azure-openai.request.body", id="an earlier room"),
        pytest.param("azure-openai/request/body.lua", "azure-openai.state", id="the state"),
        pytest.param("azure-openai/account/usage.lua", "azure-openai.base.errors", id="the base"),
        pytest.param("azure-openai/exchange.lua", "azure-openai.account.usage", id="every room from above"),
        pytest.param("azure-openai-auth.lua", "azure-openai.exchange", id="everything from a plugin"),
        pytest.param("ai-providers/driver.lua", "azure-openai.exchange", id="everything from a driver"),
        pytest.param("azure-openai/hook.lua", "ai-providers.driver", id="a driver from the hook"),
        pytest.param("azure-openai/base/errors.lua", "prometheus.exporter", id="a module of APISIX"),
    ],
)
def test_a_module_may_require(tmp_path: Path, file: str, module: str) -> None:
    required = module.replace(".", "/") + ".lua"
    files = {required: "return {}", file: requiring(module)}
    if module == "prometheus.exporter":
        del files[required]
    assert problems_of(repository(tmp_path, files)) == []


@pytest.mark.parametrize(
    ("file", "module", "allowed"),
    [
        (
            "azure-openai/request/body.lua",
            "azure-openai.routing.pool",
            "request may require only base, state, request",
        ),
        ("azure-openai/base/errors.lua", "azure-openai.request.body", "base may require only base"),
        ("azure-openai/state.lua", "azure-openai.request.body", "state may require only base, state"),
        (
            "azure-openai/routing/pool.lua",
            "azure-openai.exchange",
            "routing may require only base, state, request, routing",
        ),
        ("azure-openai/base/errors.lua", "azure-openai-auth", "base may require only base"),
    ],
)
def test_an_arrow_that_goes_back_is_refused_with_its_line_and_the_way_that_is_allowed(
    tmp_path: Path, file: str, module: str, allowed: str
) -> None:
    root = repository(tmp_path, {file: requiring(module), module.replace(".", "/") + ".lua": "return {}"})
    assert problems_of(root) == [f"apisix/plugins/{file}:2: requires apisix.plugins.{module}: {allowed}"]


@pytest.mark.parametrize(
    "source",
    [
        'local exchange = require "apisix.plugins.azure-openai.exchange"',
        "local exchange = require('apisix.plugins.azure-openai.exchange')",
        'local ok, exchange = pcall(require, "apisix.plugins.azure-openai.exchange")',
        'local run = require(\n    "apisix.plugins.azure-openai.exchange"\n).run',
    ],
)
def test_a_require_is_found_however_it_is_written(tmp_path: Path, source: str) -> None:
    root = repository(
        tmp_path, {"azure-openai/exchange.lua": "return {}", "azure-openai/base/errors.lua": source}
    )
    (problem,) = problems_of(root)
    assert problem.startswith(f"{FOLDER}/base/errors.lua:1: requires apisix.plugins.azure-openai.exchange:")


def test_a_comment_requires_nothing(tmp_path: Path) -> None:
    source = '-- not require("apisix.plugins.azure-openai.exchange")\nreturn {}'
    files = {"azure-openai/exchange.lua": "return {}", "azure-openai/base/errors.lua": source}
    assert problems_of(repository(tmp_path, files)) == []


@pytest.mark.parametrize("file", ["azure-openai/stray.lua", "azure-openai/attic/old.lua"])
def test_a_file_outside_every_room_is_refused(tmp_path: Path, file: str) -> None:
    (problem,) = problems_of(repository(tmp_path, {file: "return {}"}))
    assert problem.startswith(f"apisix/plugins/{file}: is in no room")


def test_a_module_of_the_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    root = repository(tmp_path, {"azure-openai/routing/pool.lua": requiring("azure-openai.base.gone")})
    assert problems_of(root) == [
        f"{FOLDER}/routing/pool.lua:2: requires apisix.plugins.azure-openai.base.gone: "
        f"there is no {FOLDER}/base/gone.lua"
    ]


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    files = {
        "azure-openai/base/errors.lua": requiring("azure-openai.request.body"),
        "azure-openai/request/body.lua": requiring("azure-openai.routing.pool"),
        "azure-openai/routing/pool.lua": "return {}",
    }
    assert len(problems_of(repository(tmp_path, files))) == 2
