"""The prompt cache of a region: which beginnings of prompts it has seen lately.

After Azure's documentation of prompt caching: it begins at 1,024 tokens and goes on in steps of 128; a
beginning is gone some minutes after its last use, and after an hour at most.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

from e2e.simulator.prompts import TOKEN_BYTES, count

LEAST_TOKENS = 1024
STEP_TOKENS = 128
CAPACITY = 100_000
"""How many beginnings are kept; those that were not used for longest are dropped."""


class PromptCache:
    """Remembers the beginnings of prompts; times are seconds of ``clock``.

    A beginning lives ``life_s`` after its last use, but no longer than ``longest_s`` after its first.
    """

    def __init__(
        self,
        life_s: float = 300.0,
        longest_s: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
        capacity: int = CAPACITY,
    ) -> None:
        self.life_s = life_s
        self.longest_s = longest_s
        self._clock = clock
        self._capacity = capacity
        self._ends: OrderedDict[bytes, tuple[float, float]] = OrderedDict()
        """For each beginning, by its digest, when it ends and when it ends at the latest."""

    def use(self, namespace: str, layout: bytes, life_s: float | None = None) -> int:
        """The tokens at the beginning of a prompt that are known; from now on, all of its steps are.

        ``layout`` is a prompt as :mod:`prompts` lays it out. Prompts of different namespaces have nothing in
        common. ``life_s`` replaces the usual life.
        """
        now = self._clock()
        steps = list(_steps(namespace, layout))
        known = next((tokens for tokens, digest in reversed(steps) if self._lives(digest, now)), 0)
        for _, digest in steps:
            last = self._ends[digest][1] if self._lives(digest, now) else now + self.longest_s
            self._ends[digest] = min(now + (self.life_s if life_s is None else life_s), last), last
            self._ends.move_to_end(digest)
        while len(self._ends) > self._capacity:
            self._ends.popitem(last=False)
        return known

    def forget(self) -> None:
        """Know no beginnings."""
        self._ends.clear()

    def __len__(self) -> int:
        """How many beginnings are kept, dead ones among them."""
        return len(self._ends)

    def _lives(self, digest: bytes, now: float) -> bool:
        return digest in self._ends and now < self._ends[digest][0]


def cacheable(tokens: int) -> int:
    """The tokens at the beginning of a prompt of so many tokens that a cache can hold.

    >>> cacheable(1023), cacheable(1024), cacheable(1200)
    (0, 1024, 1152)
    """
    return 0 if tokens < LEAST_TOKENS else tokens - tokens % STEP_TOKENS


def _steps(namespace: str, layout: bytes) -> Iterator[tuple[int, bytes]]:
    """The beginnings of a prompt that a cache can hold: their tokens and digests, the shortest first."""
    running = hashlib.sha256(namespace.encode("utf-8", "surrogatepass") + b"\0")
    done = 0
    for tokens in range(LEAST_TOKENS, count(layout) + 1, STEP_TOKENS):
        running.update(layout[done * TOKEN_BYTES : tokens * TOKEN_BYTES])
        done = tokens
        yield tokens, running.digest()
