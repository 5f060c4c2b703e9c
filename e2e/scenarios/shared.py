"""What several scenarios measure in the same way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from e2e.criteria import Criterion, none
from e2e.load.samples import Sample
from renderer.test_routes import POOLS, Pool


def pool_of(route: str) -> Pool:
    """The pool behind a test route."""
    return next(pool for pool in POOLS if pool.name == route)


def failures(name: str, samples: Sequence[Sample], least: int) -> Criterion:
    """No request of these failed."""
    failed = [sample for sample in samples if not sample.good]
    example = ""
    if failed:
        first = failed[0]
        words = (first.step, first.phase, str(first.status), first.code, first.end, first.attempts)
        example = ", ".join(filter(None, words))
    return none(name, len(failed), len(samples), least, example)


def share_of(samples: Iterable[Sample], backend: str) -> float:
    """The part of these answers that a backend gave; 0 without answers."""
    backends = [sample.backend for sample in samples if sample.status]
    return backends.count(backend) / len(backends) if backends else 0.0
