"""Waiting for what another process does, with a deadline."""

from e2e.waiting import eventually

__all__ = ["eventually"]
