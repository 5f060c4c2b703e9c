"""One sample for each request: what was sent and what came back. The driver writes them as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

WHOLE = "whole"
ERROR_EVENT = "error event"
"""A stream that ended with an error, as the surface says it."""
BROKEN = "broken"
"""An answer whose transfer ended too early."""
SILENT_END = "silent end"
"""A stream that ended cleanly without its last event: the client cannot see that something is missing."""
NOTHING = "no answer"


@dataclass(slots=True)
class Sample:
    """One request and its answer. Times: `at` is seconds since the epoch, the others are ms."""

    at: float
    phase: str
    label: str
    client: str
    step: str
    """The operation: `chat`, `continue`, …"""
    status: int = 0
    """0 without an answer."""
    end: str = NOTHING
    total_ms: float = 0.0
    first_byte_ms: float = 0.0
    backend: str = ""
    """Who answered, as `x-gateway-backend` says."""
    attempts: str = ""
    """The value of `x-gateway-attempts`: `eastus:429,westus:200`."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    answer: str = ""
    """What makes a generated text unique: `payg-backend-1/gpt-4o#7`."""
    answers: int = 0
    """How many generated texts begin in the answer. More than one means that two answers were mixed."""
    code: str = ""
    """The code of an error."""
    place: str = ""
    """The backend that a conversation began at."""
    headers: dict[str, str] = field(default_factory=dict)
    """The headers of `KEPT_HEADERS` that the answer had."""

    @property
    def good(self) -> bool:
        """Whether the client got a whole answer."""
        return self.status == 200 and self.end == WHOLE

    @property
    def tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def failovers(self) -> int:
        """How many attempts came before the last one."""
        return self.attempts.count(",")

    def as_line(self) -> str:
        """The sample as one line of JSON."""
        return json.dumps(asdict(self))


KEPT_HEADERS = (
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "x-gateway-deployment",
    "x-apim-backend",
    "x-gw-priority",
    "x-gw-remaining-tokens",
    "x-gw-remaining-requests",
    "x-gw-ratelimit-reason",
    "x-gw-ratelimit-value",
    "x-apim-remaining-tokens",
    "x-apim-total-tokens",
    "x-apim-remaining-requests",
)


def parse_line(line: str) -> Sample:
    """The sample of a line that `Sample.as_line` made."""
    return Sample(**json.loads(line))


def in_phases(samples: Iterable[Sample], *phases: str) -> list[Sample]:
    """The samples of these phases."""
    return [sample for sample in samples if sample.phase in phases]


def labelled(samples: Iterable[Sample], *labels: str) -> list[Sample]:
    """The samples of these groups of users."""
    return [sample for sample in samples if sample.label in labels]
