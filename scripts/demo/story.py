"""What happens in the demo, scene by scene."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from e2e.simulator import Simulator
from scripts.demo.calls import Request, chat, chat_streamed, embeddings, responses, responses_streamed

PREFERRED, SECOND = "eastus", "westus"
CHAT, OTHER_CHAT, EMBEDDING = "gpt-4o", "gpt-4o-mini", "text-embedding-3-small"
RETRY_AFTER_SECONDS = 4


@dataclass(frozen=True)
class Scene:
    """A change in the regions, a wait in seconds, then requests."""

    title: str
    change: Callable[[Simulator], None]
    requests: Sequence[Request]
    wait_seconds: float = 0


def _nothing(_simulator: Simulator) -> None:
    pass


def _throttle(simulator: Simulator) -> None:
    simulator.fail(PREFERRED, deployment=CHAT, status=429, retry_after=RETRY_AFTER_SECONDS)


def _break_second(simulator: Simulator) -> None:
    simulator.fail(SECOND, deployment=CHAT, status=503)


def _err_inside_streams(simulator: Simulator) -> None:
    # One fault for each surface, because each has a form of the error.
    simulator.clear_faults(SECOND)
    for path in ("/chat/completions", "/responses"):
        simulator.fail(
            PREFERRED,
            deployment=OTHER_CHAT,
            path=path,
            stream_error="auto",
            code="server_error",
            message="The server had an error while processing your request.",
        )


def _recover(simulator: Simulator) -> None:
    for region in simulator.regions:
        simulator.clear_faults(region)


STORY: tuple[Scene, ...] = (
    Scene(
        f"All regions are well: {PREFERRED} has the highest priority and serves",
        _nothing,
        [
            Request("openai", "chat", chat, CHAT),
            Request("openai", "chat stream", chat_streamed, CHAT),
            Request("azure", "chat", chat, CHAT),
            Request("azure", "chat stream", chat_streamed, CHAT),
            Request("openai", "embeddings", embeddings, EMBEDDING),
            Request("azure", "embeddings", embeddings, EMBEDDING),
        ],
    ),
    Scene(
        f"{PREFERRED} answers 429 for {CHAT}, Retry-After: {RETRY_AFTER_SECONDS}",
        _throttle,
        [
            Request("openai", "chat", chat, CHAT),
            Request("azure", "chat stream", chat_streamed, CHAT),
            Request("openai", "responses", responses, CHAT),
            Request("openai", "continued response", responses, CHAT, continues=True),
            Request("openai", "continued, streamed", responses_streamed, CHAT, continues=True),
            Request("azure", "embeddings", embeddings, EMBEDDING),
        ],
    ),
    Scene(
        f"{SECOND} answers 503 for {CHAT} as well",
        _break_second,
        [
            Request("openai", "chat", chat, CHAT),
            Request("openai", "chat stream", chat_streamed, CHAT),
            Request("azure", "chat", chat, CHAT),
            Request("azure", "responses", responses, CHAT),
        ],
    ),
    Scene(
        f"{PREFERRED} sends an error inside its 200 streams of {OTHER_CHAT}",
        _err_inside_streams,
        [
            Request("openai", "chat stream", chat_streamed, OTHER_CHAT),
            Request("openai", "responses stream", responses_streamed, OTHER_CHAT),
        ],
    ),
    Scene(
        f"All regions are well again, and {RETRY_AFTER_SECONDS} s have passed",
        _recover,
        [
            Request("openai", "chat", chat, CHAT),
            Request("azure", "chat stream", chat_streamed, CHAT),
        ],
        wait_seconds=RETRY_AFTER_SECONDS,
    ),
)
