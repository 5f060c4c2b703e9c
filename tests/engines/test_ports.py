"""Choosing free ports, in processes that do so side by side."""

import random
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from scripts.engines import ports
from scripts.engines.base import EngineError

# Chooses from few ports, prints them and stays until its input ends.
CHOOSER = """
import sys
from scripts.engines import ports
ports._RANGE, ports._TRIES = range({first}, {first} + {span}), {span}
print(*ports.free_ports({count}), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def first() -> int:
    """The first of a few ports in which hardly another test is interested at the moment."""
    return random.choice(ports._RANGE[:-100])


@contextmanager
def chooser(count: int, first: int, span: int) -> Iterator[set[int]]:
    """The ports that another process has chosen out of `span`; it lives until the end of the block."""
    code = CHOOSER.format(first=first, span=span, count=count)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield {int(port) for port in process.stdout.readline().split()}


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Claims that end with the test."""
    kept: deque[socket.socket] = deque()
    monkeypatch.setattr(ports, "_claims", kept)
    yield
    for claim in kept:
        claim.close()


def test_processes_side_by_side_choose_different_ports(first: int) -> None:
    with ExitStack() as held:
        chosen = [held.enter_context(chooser(5, first, 40)) for _ in range(4)]
    assert len(set.union(*chosen)) == 20


def test_the_ports_of_a_process_that_has_ended_are_free_again(first: int) -> None:
    with chooser(15, first, 20) as old:
        pass
    with chooser(15, first, 20) as new:
        assert (len(old), len(new)) == (15, 15)


@pytest.mark.usefixtures("claims")
def test_one_process_chooses_a_port_once(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    monkeypatch.setattr(ports, "_RANGE", range(first, first + 20))
    monkeypatch.setattr(ports, "_TRIES", 20)
    chosen = [ports.free_ports(1)[0] for _ in range(10)]
    assert len(set(chosen)) == 10
    with pytest.raises(EngineError, match="no free loopback ports"):
        ports.free_ports(11)


@pytest.mark.usefixtures("claims")
def test_a_process_lets_go_of_what_it_chose_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_MOST_CLAIMS", 2)
    first, *_ = (ports.free_ports(1)[0] for _ in range(3))
    monkeypatch.setattr(ports, "_RANGE", range(first, first + 1))
    monkeypatch.setattr(ports, "_TRIES", 1)
    assert ports.free_ports(1) == [first]
