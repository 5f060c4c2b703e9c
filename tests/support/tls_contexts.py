"""Shared TLS contexts of the HTTP clients in a test process."""

from __future__ import annotations

import os
import ssl
from functools import cache
from typing import Any

from httpx._transports import default as transport

_make = transport.create_ssl_context
_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@cache
def _shared(trust_env: bool, *_certificates: str | None) -> ssl.SSLContext:
    return _make(trust_env=trust_env)


def _context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
    if verify is True and cert is None:
        return _shared(trust_env, *map(os.environ.get, _VARIABLES))
    return _make(verify=verify, cert=cert, trust_env=trust_env)


def share_tls_contexts() -> None:
    """Let clients of httpx that ask for nothing special share a context.

    Otherwise each client, and each call without one, reads the system's certificates again. That takes 20 ms
    and more, and many tests ask until something is seen.
    """
    # `httpx.create_ssl_context` is public; this is where its clients find it.
    transport.create_ssl_context = _context
