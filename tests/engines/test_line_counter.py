"""`make coverage` sees the lines of the bundle that ran, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.coverage.lua import PLUGINS, code_of, main, ran, ranges, report
from scripts.engines.nginx_conf import LINE_COUNTS
from tests.engines.support import Lua, lua_gateway

COUNTED = "azure-openai/counted.lua"
SOURCE = """local _M = {}

function _M.called(value)
    if value then
        return "yes"
    end
    return "no"
end

function _M.never_called()
    return "never"
end

return _M
"""


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The counts of a gateway that has run a part of a module and has ended."""
    root, counts = tmp_path_factory.mktemp("bundle"), tmp_path_factory.mktemp("counts")
    module = root / "apisix" / "plugins" / COUNTED
    module.parent.mkdir(parents=True)
    module.write_text(SOURCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(LINE_COUNTS, str(counts))
        with lua_gateway(root) as gateway:
            assert Lua(gateway)('return require("apisix.plugins.azure-openai.counted").called(true)') == [
                "yes"
            ]
    return counts


def test_lines_that_ran_are_counted_and_no_others(counts: Path) -> None:
    lines = SOURCE.splitlines()
    assert {lines[number - 1].strip() for number in ran(counts)[COUNTED]} >= {"if value then", 'return "yes"'}
    assert {7, 11} & ran(counts)[COUNTED] == set()


def test_lines_with_code_are_known(tmp_path: Path) -> None:
    path = tmp_path / "counted.lua"
    path.write_text(SOURCE)
    code = code_of([path])[path]
    assert ({4, 5, 7, 11} <= code, {2, 6, 9} & code) == (True, set())


def test_the_report_has_each_file_of_the_bundle_and_their_sum(counts: Path) -> None:
    rows = report(counts)
    named = {row.split()[0] for row in rows[1:-1]}
    assert named == {str(path.relative_to(PLUGINS)) for path in PLUGINS.rglob("*.lua")}
    assert rows[-1].startswith("TOTAL")


def test_nothing_is_counted_unless_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LINE_COUNTS, raising=False)
    with lua_gateway(tmp_path) as gateway:
        assert "line_counter" not in (gateway.directory / "nginx.conf").read_text()


def test_lines_are_told_as_ranges() -> None:
    assert ranges({9, 3, 4, 5, 11, 12}) == "3-5, 9, 11-12"


def test_a_directory_that_does_not_exist_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert (main(["/nowhere/at/all"]), "usage:" in capsys.readouterr().err) == (2, True)
