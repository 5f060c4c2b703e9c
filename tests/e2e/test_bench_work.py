"""The work of a request, counted: more of it is slower, and no clock is needed to see it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.bench import backend
from e2e.bench.backend import Backends
from e2e.bench.targets import site_of
from e2e.bench.work import CASES, COUNTS, Case, Work, work
from e2e.bench.work_limits import Limits, write_limits
from e2e.redis_server import is_installed

pytestmark = pytest.mark.skipif(backend.missing() is not None, reason=str(backend.missing()))

BY_NAME = {case.name: case for case in CASES}
# Work of each kind that a change might add to every request.
ADDED = {
    "dictionary": """
        local original = ngx.req.get_headers
        ngx.req.get_headers = function(...)
            ngx.shared["azure-openai-limits"]:get("added")
            return original(...)
        end
    """,
    "instructions": """
        local original = ngx.req.get_headers
        ngx.req.get_headers = function(...)
            local sum = 0
            for number = 1, 2000 do
                sum = sum + number
            end
            return original(...)
        end
    """,
    "kib": """
        local original = ngx.req.get_headers
        ngx.req.get_headers = function(...)
            local made = {}
            for number = 1, 100 do
                made[number] = { number, tostring(number), "text", number }
            end
            return original(...)
        end
    """,
}


@pytest.fixture(scope="module")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backends]:
    with backend.running_backends(tmp_path_factory.mktemp("backend")) as running:
        yield running


def counted(case: Case, directory: Path, backends: Backends, engine: str, added: str = "") -> Work:
    with site_of(case.pool, directory, backends) as site:
        return work(engine, case, site, added)


@pytest.fixture
def engine(pytestconfig: pytest.Config) -> str:
    name = str(pytestconfig.getoption("--engine"))
    if not Limits.of(name).cases:
        pytest.skip(f"nobody has counted the work on {name}")
    return name


@pytest.mark.parametrize("name", BY_NAME)
def test_a_request_does_no_more_work_than_before(
    name: str, tmp_path: Path, backends: Backends, engine: str
) -> None:
    if BY_NAME[name].pool.extra == "redis" and not is_installed():
        pytest.skip("Redis is not installed")
    found = counted(BY_NAME[name], tmp_path, backends, engine)
    assert Limits.of(engine).excess(name, found) == [], (
        "meant? then: aoai-gateway bench --part work --write-limits"
    )


@pytest.mark.parametrize("kind", ADDED)
def test_added_work_is_seen(kind: str, tmp_path: Path, backends: Backends, engine: str) -> None:
    answer = BY_NAME["answer"]
    before = counted(answer, tmp_path, backends, engine)
    write_limits(engine, {"answer": before}, tmp_path / "limits.json")
    after = counted(answer, tmp_path, backends, engine, ADDED[kind])
    excess = Limits.of(engine, tmp_path / "limits.json").excess("answer", after)
    assert kind in [problem.split(":")[0] for problem in excess]


def test_less_work_is_no_excess() -> None:
    limits = Limits("1", {"answer": dict.fromkeys(COUNTS, 2.0)})
    assert limits.excess("answer", Work(dict.fromkeys(COUNTS, 1.0), "1")) == []


def test_another_runtime_is_judged_by_its_calls_alone() -> None:
    limits = Limits("1", {"answer": {"instructions": 100.0, "sends": 1.0}})
    found = Work({"instructions": 200.0, "sends": 2.0}, "2")
    assert limits.excess("answer", found) == ["sends: 2 instead of 1"]
