"""Shared TLS contexts of the HTTP clients in a test process."""

from __future__ import annotations

import os
import ssl
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
# Where clients look for `create_ssl_context`. The official clients bring the second, and are built on it.
_MODULES = ("httpx._transports.default", "httpx2._transports.default")


def _share_in(library: ModuleType) -> None:
    make = library.create_ssl_context

    @cache
    def shared(trust_env: bool, *_certificates: str | None) -> ssl.SSLContext:
        return make(trust_env=trust_env)

    def context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
        if verify is True and cert is None:
            return shared(trust_env, *map(os.environ.get, _VARIABLES))
        return make(verify=verify, cert=cert, trust_env=trust_env)

    library.create_ssl_context = context


def share_tls_contexts() -> None:
    """Let HTTP clients that ask for nothing special share a context.

    Otherwise each client, and each call without one, reads the system's certificates again. That takes 20 ms
    and more, and many tests ask until something is seen.
    """
    for name in _MODULES:
        _share_in(import_module(name))
