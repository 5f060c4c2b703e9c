"""The HTTP interface: the toolkit's helper to set preferred backends, and a probe."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from e2e.config_api.follower import Follower
from e2e.config_api.preferences import Preferences, UnavailableError
from e2e.config_api.publisher import PublishError

_MOST_BODY_BYTES = 65_536
_MOST_NAMES = 100
_MEMBER = "preferredBackends"
_CANCEL_SECONDS = 0.5
_EXPECTED = f'Send {{"{_MEMBER}": ["payg-backend-1", "payg-backend-2"]}}, at most {_MOST_NAMES} names'


def create_app(token: str, preferences: Preferences, follower: Follower) -> Starlette:
    """The application. Posts need `Authorization: Bearer <token>`; `GET /health` does not."""

    async def set_preferred_backends(request: Request) -> Response:
        _require_token(request, token)
        names = _names_in(await _body_of(request))
        try:
            await preferences.write(names)
            await follower.catch_up()
        except UnavailableError as error:
            raise HTTPException(503, f"{error}: nothing was changed.") from error
        except PublishError as error:
            raise HTTPException(503, f"The preference is kept, but not in force here: {error}.") from error
        # Not `JSONResponse`, which cannot write half of a surrogate pair.
        answer = json.dumps({"message": "The preferred backends are set.", _MEMBER: names})
        return Response(answer, media_type="application/json")

    async def health(_: Request) -> Response:
        ready = follower.is_ready
        return JSONResponse({"status": "ok" if ready else "starting"}, 200 if ready else 503)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        following = asyncio.create_task(follower.run())
        yield
        # The client of Redis can swallow a cancellation, so one may not be enough.
        while not following.done():
            following.cancel()
            await asyncio.wait([following], timeout=_CANCEL_SECONDS)
        await preferences.close()

    return Starlette(
        routes=[
            Route("/helpers/set-preferred-backends", set_preferred_backends, methods=["POST"]),
            Route("/health", health),
        ],
        exception_handlers={HTTPException: _refusal},
        lifespan=lifespan,
    )


async def _refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": {"message": error.detail}}, error.status_code, headers=error.headers)


def _require_token(request: Request, token: str) -> None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.encode(), token.encode()):
        raise HTTPException(
            401, "Send the token of CONFIG_API_TOKEN as bearer.", headers={"www-authenticate": "Bearer"}
        )


async def _body_of(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_BODY_BYTES:
            raise HTTPException(413, f"The body has more than {_MOST_BODY_BYTES} bytes.")
    return body


def _names_in(body: bytes) -> tuple[str, ...]:
    """The names in a post. Example: `{"preferredBackends": ["a", "b"]}` → `("a", "b")`."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, f"The body is not JSON. {_EXPECTED}.") from None
    names = document.get(_MEMBER) if isinstance(document, dict) else None
    if isinstance(names, list) and len(names) <= _MOST_NAMES and all(isinstance(name, str) for name in names):
        return tuple(names)
    raise HTTPException(400, f"The body has no list of names. {_EXPECTED}.")
