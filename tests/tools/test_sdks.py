"""SDKs and frameworks: the code of their pages, run with the real packages against a gateway over TLS."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pytest

from tests.tools import pages
from tests.tools.sessions import (
    OWN,
    RESULT,
    STREAMED,
    Machine,
    World,
    Written,
    javascript_session,
    marks,
    python_session,
    text,
)

ANSWER = re.compile(r"\b(eastus|westus)/[\w.-]+#\d+: |^1536$")
"""How the simulated model begins, and how many numbers an embedding has."""


@dataclass(frozen=True)
class Page:
    """A page with code, and the packages that it needs."""

    name: str
    packages: str
    run: Callable[[Machine, World, str, str], Written] = python_session
    quick: bool = False


PAGES = [
    Page("anthropic-sdk", OWN, quick=True),
    Page("openai-agents", "openai_agents"),
    Page("langchain", "langchain"),
    Page("llamaindex", "llamaindex"),
    Page("semantic-kernel", "semantic_kernel"),
    Page("litellm", "litellm"),
    Page("pydantic-ai", "pydantic_ai"),
    Page("ai-sdk", "ai-sdk", javascript_session, quick=True),
]


@dataclass(frozen=True)
class Session:
    """What one run of a page's code wrote, and what reached the regions."""

    page: Page
    blocks: list[str]
    written: Written
    streamed: list[tuple[str, int | None]]
    paths: set[str]
    bodies: list[str]


@pytest.fixture(
    scope="module",
    params=[pytest.param(page, id=page.name, marks=marks(page.name, quick=page.quick)) for page in PAGES],
)
def session(
    request: pytest.FixtureRequest,
    machine: Machine,
    open_world: Callable[[], AbstractContextManager[World]],
) -> Iterator[Session]:
    page: Page = request.param
    with open_world() as world:
        world.prepare(get_weather={"city": "Oslo"}, **{"weather-get_weather": {"city": "Oslo"}})
        written = page.run(machine, world, page.name, page.packages)
        bodies = [record.body.decode() for record in world.requests() if record.status == 200]
        blocks = pages.code(page.name, "python") + pages.code(page.name, "js")
        yield Session(page, blocks, written, world.attempts(STREAMED), world.paths(), bodies)


def test_every_piece_of_code_gets_an_answer(session: Session) -> None:
    silent = [number for number, pieces in enumerate(session.written) if not ANSWER.search(text(pieces))]
    assert (len(session.written), silent) == (len(session.blocks), [])


def test_the_answer_streams(session: Session) -> None:
    (streamed,) = [number for number, block in enumerate(session.blocks) if STREAMED in block]
    assert len([piece for piece in session.written[streamed] if piece.strip()]) > 3


def test_a_throttled_backend_goes_unseen(session: Session) -> None:
    assert session.streamed == [("eastus", 429), ("westus", 200)]


def test_the_result_of_the_tool_is_answered(session: Session) -> None:
    assert any(RESULT in body for body in session.bodies)


def test_it_uses_the_paths_that_its_page_names(session: Session) -> None:
    assert session.paths == pages.paths(session.page.name)
