"""O4: every query in KQL is one that Microsoft's own parser accepts.

The parser is the npm package `@kusto/language-service-next`. It knows no tables here: it checks the grammar.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.dashboards.kql import files_with_kql, queries_of, steps
from tests.dashboards.promql import ROOT
from tests.support.node_packages import node_with_packages

PARSER = Path(__file__).parent / "kql_parser"


def complaints(queries: list[str]) -> list[list[str]]:
    """What the parser has to say of each query."""
    node = node_with_packages(PARSER)
    script = [node, str(PARSER / "parse.cjs")]
    done = subprocess.run(script, input=json.dumps(queries), capture_output=True, text=True, check=True)
    found: list[list[str]] = json.loads(done.stdout)
    return found


FILES = files_with_kql()
WRONG = "T | wher a == 1"
# The parser takes longer to start than to read all queries, so one process asks it once.
asks_the_parser = pytest.mark.xdist_group("kql")


@pytest.fixture(scope="module")
def said() -> dict[str, list[str]]:
    """What the parser has to say, by query."""
    queries = [WRONG, *(query for file in FILES for query in queries_of(file))]
    return dict(zip(queries, complaints(queries), strict=True))


each_file = pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(ROOT)) for file in FILES])


@each_file
def test_o4_no_query_is_forgotten(file: Path) -> None:
    assert steps(file.read_text()) <= sum(steps(query) for query in queries_of(file))


@asks_the_parser
@each_file
def test_o4_every_query_is_kql(file: Path, said: dict[str, list[str]]) -> None:
    assert [(query, said[query]) for query in queries_of(file) if said[query]] == []


@each_file
def test_o4_no_query_counts_the_rows_of_sampled_traces(file: Path) -> None:
    """A span can stand for many requests; records and metrics are whole."""
    sampled = [query for query in queries_of(file) if re.match(r"\s*(requests|AppRequests)\b", query)]
    assert [query for query in sampled if "sample_weight" not in query] == []


def test_o4_alerts_the_workbook_documents_and_messages_have_queries() -> None:
    assert {file.suffix for file in FILES} == {".tf", ".json", ".md", ".py"}


@asks_the_parser
def test_o4_the_parser_notices(said: dict[str, list[str]]) -> None:
    assert said[WRONG] != []
