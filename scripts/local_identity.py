"""The Azure CLI's login in the place of a managed identity, for a gateway on this machine.

It speaks the protocol of Container Apps on loopback. So the gateway does what it does on Azure, and knows
nothing of `az`.
"""

import hmac
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from azure.core.credentials import TokenCredential
from azure.core.exceptions import ClientAuthenticationError

from renderer.model import Settings
from scripts.engines.files import LOOPBACK

# With one of these the environment itself says where tokens come from: see attempt/identity_sources.lua.
_SOURCES = ("AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT", "AZURE_POD_IDENTITY_AUTHORITY_HOST")
_PATH = "/msi/token"
# `az` can take long on its first run. The gateway does not wait for that, and finds the token later.
_AZ_SECONDS = 60
# So long before the end of a token the gateway asks for another, and `az` has one.
_FRESH_SECONDS = 300

logging.getLogger("azure").addHandler(logging.NullHandler())  # failures are reported below


class NoTokenError(Exception):
    """The Azure CLI gives no token; the text says why, perhaps in several lines."""


def scopes_for_azure_cli(settings: Settings, env: Mapping[str, str], wanted: bool | None) -> list[str]:
    """The scopes of the tokens that the Azure CLI has to give; none when it is not needed.

    Args:
        wanted: whether to use it; `None` to use it when `env` names no other source.
    """
    if wanted is None:
        wanted = not any(env.get(name) for name in _SOURCES)
    scopes = {
        scope
        for backend in settings.backends
        if backend.auth == "managed-identity"
        for scope in backend.token_scopes.values()
    }
    return sorted(scopes) if wanted else []


class AzureCliTokens:
    """Tokens of the Azure CLI's login, kept while they are fresh."""

    def __init__(self, credential: TokenCredential) -> None:
        self._credential = credential
        self._known: dict[str, tuple[str, int]] = {}
        # One `az` at a time: several would write its files together.
        self._lock = threading.Lock()

    def get(self, scope: str) -> tuple[str, int]:
        """The token, and when it expires in seconds of the clock. Raises `NoTokenError`."""
        with self._lock:
            known = self._known.get(scope)
            if known is None or known[1] - time.time() <= _FRESH_SECONDS:
                known = self._known[scope] = self._ask(scope)
            return known

    def _ask(self, scope: str) -> tuple[str, int]:
        try:
            token = self._credential.get_token(scope)
        except ValueError as error:  # not a scope
            raise NoTokenError(str(error)) from None
        except ClientAuthenticationError as error:
            raise NoTokenError(_explained(str(error.message))) from None
        return token.token, token.expires_on


def _explained(text: str) -> str:
    text = text.strip().removeprefix("ERROR: ")
    if "not found on path" in text:
        return (
            f"{text}. Install it (https://aka.ms/azure-cli) and run az login.\n"
            "On a virtual machine of Azure that has an identity, start with --no-azure-cli instead."
        )
    return text


class AzureCliIdentity:
    """An identity endpoint like that of Container Apps, on loopback; a context manager.

    `say` gets each new reason why there is no token for a scope, once.
    """

    def __init__(self, say: Callable[[str, str], None], credential: TokenCredential | None = None) -> None:
        self._tokens = AzureCliTokens(credential or _azure_cli())
        self._say = say
        self._said: dict[str, str] = {}
        self._secret = secrets.token_urlsafe(32)
        self._server = ThreadingHTTPServer((LOOPBACK, 0), _handler(self._answer))
        self._thread = threading.Thread(target=self._server.serve_forever, name="identity", daemon=True)

    def announced_in(self, env: Mapping[str, str]) -> dict[str, str]:
        """A copy of an environment in which a gateway finds this endpoint, and no other source of tokens."""
        return {
            **{name: value for name, value in env.items() if name not in _SOURCES},
            "IDENTITY_ENDPOINT": f"http://{LOOPBACK}:{self._server.server_port}{_PATH}",
            "IDENTITY_HEADER": self._secret,
        }

    def fetch(self, scopes: Iterable[str]) -> bool:
        """Fetch tokens before they are needed; whether all of them came."""
        tokens = [self._token(scope) for scope in scopes]
        return None not in tokens

    def _token(self, scope: str) -> tuple[str, int] | None:
        try:
            token = self._tokens.get(scope)
        except NoTokenError as error:
            if self._said.get(scope) != str(error):
                self._said[scope] = str(error)
                self._say(scope, str(error))
            return None
        self._said.pop(scope, None)
        return token

    def _answer(self, target: str, secret: str) -> tuple[int, dict[str, str]]:
        url = urlsplit(target)
        resource = parse_qs(url.query).get("resource", [""])[0]
        if not hmac.compare_digest(secret.encode(), self._secret.encode()):
            return 403, {"message": "X-IDENTITY-HEADER is not that of IDENTITY_HEADER"}
        if url.path != _PATH or not resource:
            return 400, {"message": f"ask for {_PATH}?resource=…"}
        scope = f"{resource}/.default"
        token = self._token(scope)
        if token is None:
            return 400, {"message": f"the Azure CLI gives no token: {self._said.get(scope, '')}"}
        return 200, {
            "access_token": token[0],
            "expires_on": str(token[1]),
            "resource": resource,
            "token_type": "Bearer",
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _azure_cli() -> TokenCredential:
    from azure.identity import AzureCliCredential  # takes a while to load

    return AzureCliCredential(process_timeout=_AZ_SECONDS)


def _handler(answer: Callable[[str, str], tuple[int, dict[str, str]]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Logs nothing: a query names what the gateway may use."""

        def do_GET(self) -> None:
            """Answers a request for a token."""
            status, body = answer(self.path, self.headers.get("X-IDENTITY-HEADER", ""))
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler
