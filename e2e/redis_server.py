"""A real Redis server for tests and scenarios: private, on a free port, without persistence."""

from __future__ import annotations

import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

from e2e.waiting import eventually
from scripts.engines.ports import free_ports

EXECUTABLE = "redis-server"

_TRIES = 3


def is_installed() -> bool:
    """Whether this machine has a Redis server."""
    return shutil.which(EXECUTABLE) is not None


class Certificate(Protocol):
    """The files of a TLS server."""

    @property
    def pem(self) -> Path:
        """The certificate alone, for clients that have to trust it."""

    @property
    def chain_and_key(self) -> Path:
        """Certificate and private key together."""


class RedisServer:
    """A Redis server on loopback, with TLS if it gets a certificate; a context manager that stops it."""

    def __init__(self, password: str | None = None, certificate: Certificate | None = None) -> None:
        self.password = password
        self._certificate = certificate
        self._directory = Path(tempfile.mkdtemp(prefix="redis-"))
        self._start()

    @property
    def settings(self) -> dict[str, Any]:
        """The gateway's settings for this server."""
        return {
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": self.port,
            "REDIS_PASSWORD": self.password or "",
            "REDIS_TLS": self._certificate is not None,
        }

    def __enter__(self) -> Self:
        for _ in range(_TRIES):
            eventually(lambda: self._has_ended() or self._answers(), seconds=10)
            if not self._has_ended():
                return self
            # Another process has taken the port since it was found free.
            self._start()
        raise RuntimeError(f"{EXECUTABLE} ended at once, {_TRIES} times")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def stop(self) -> None:
        """Ends the server; whoever is connected is cut off. Stopping twice is fine."""
        self._process.kill()
        self._process.wait()

    def start_again(self) -> None:
        """Starts a server that was stopped on the same port; it has forgotten everything."""
        self._launch()
        eventually(lambda: self._has_ended() or self._answers(), seconds=10)
        if self._has_ended():
            raise RuntimeError(f"{EXECUTABLE} does not start on port {self.port} again")

    def pause(self) -> None:
        """Lets the server stand still: it takes commands and answers none."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets the server go on. First it does what it was asked meanwhile."""
        self._process.send_signal(signal.SIGCONT)

    def command(self, *words: str) -> object:
        """The answer to one command: text, number, list or None. Raises ``RuntimeError`` for an error."""
        with self._connect() as connection:
            stream = connection.makefile("rb")
            if self.password:
                _send(connection, ("AUTH", self.password))
                _receive(stream)
            _send(connection, words)
            return _receive(stream)

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=2)
        if not self._certificate:
            return connection
        trusting = ssl.create_default_context(cafile=self._certificate.pem)
        trusting.check_hostname = False
        return trusting.wrap_socket(connection)

    def _start(self) -> None:
        (self.port,) = free_ports(1)
        self._launch()

    def _launch(self) -> None:
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        if self._certificate:
            pem = str(self._certificate.chain_and_key)
            options += ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            options += ["--tls-cert-file", pem, "--tls-key-file", pem, "--tls-ca-cert-file", pem]
        else:
            options += ["--port", str(self.port)]
        if self.password:
            options += ["--requirepass", self.password]
        self._process = subprocess.Popen(  # noqa: S603
            [EXECUTABLE, *options], cwd=self._directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def _has_ended(self) -> bool:
        return self._process.poll() is not None

    def _answers(self) -> bool:
        # By its process id: where the port is another server's, that one answers.
        try:
            return f"process_id:{self._process.pid}\r\n" in str(self.command("INFO", "server"))
        except (OSError, RuntimeError):
            return False


def _send(connection: socket.socket, words: tuple[str, ...]) -> None:
    parts = [f"*{len(words)}\r\n", *(f"${len(word.encode())}\r\n{word}\r\n" for word in words)]
    connection.sendall("".join(parts).encode())


def _receive(stream: BinaryIO) -> object:
    line = stream.readline().rstrip(b"\r\n").decode()
    kind, rest = line[:1], line[1:]
    if kind == "+":
        return rest
    if kind == "-":
        raise RuntimeError(rest)
    if kind == ":":
        return int(rest)
    if kind == "$":
        return None if rest == "-1" else stream.read(int(rest) + 2)[:-2].decode(errors="replace")
    if kind == "*":
        return [_receive(stream) for _ in range(int(rest))]
    raise RuntimeError(f"not an answer of Redis: {line!r}")
