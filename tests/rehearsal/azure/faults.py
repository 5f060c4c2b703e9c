"""Failures on request: what a service answers instead, and operations that fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.rehearsal.azure.wire import Reply, Request, matched, refusal


@dataclass
class Fault:
    """Answers a request with an error, or ends the operation that it starts with one.

    `host` and `path` are patterns for the whole of both. `times` is how often the fault happens.
    """

    method: str
    path: str
    code: str
    message: str
    status: int = 409
    host: str = ".*"
    times: int = 1
    in_operation: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    when: Callable[[Request], bool] = lambda _: True
    happened: int = 0

    def applies(self, request: Request) -> bool:
        return (
            self.happened < self.times
            and request.method == self.method
            and matched(self.host, request.host) is not None
            and matched(self.path, request.path) is not None
            and self.when(request)
        )

    @property
    def reply(self) -> Reply:
        return refusal(self.status, self.code, self.message, self.headers)


@dataclass
class Faults:
    """The failures that are planned."""

    planned: list[Fault] = field(default_factory=list)
    denied: dict[str, int] = field(default_factory=dict)
    """How often a host still does not know a new role."""

    def plan(self, fault: Fault) -> Fault:
        self.planned.append(fault)
        return fault

    def clear(self) -> None:
        self.planned.clear()
        self.denied.clear()

    def answer(self, request: Request) -> Reply | None:
        """The failure of a request; None when it shall be answered."""
        return self._next(request, in_operation=False)

    def operation(self, request: Request) -> dict[str, str] | None:
        """The error with which the operation of a request shall end."""
        found = self._find(request, in_operation=True)
        return None if found is None else {"code": found.code, "message": found.message}

    def is_denied(self, host: str) -> bool:
        """Whether a role of that host is not known yet; each call counts."""
        left = self.denied.get(host, 0)
        self.denied[host] = max(0, left - 1)
        return left > 0

    def _next(self, request: Request, *, in_operation: bool) -> Reply | None:
        found = self._find(request, in_operation=in_operation)
        return None if found is None else found.reply

    def _find(self, request: Request, *, in_operation: bool) -> Fault | None:
        for fault in self.planned:
            if fault.in_operation is in_operation and fault.applies(request):
                fault.happened += 1
                return fault
        return None
