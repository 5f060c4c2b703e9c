"""Entra ID: the login of a person, and tokens for each service."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from tests.rehearsal.azure.state import OPERATOR, TENANT
from tests.rehearsal.azure.wire import Reply, Request, encode_token

HOST = "login.microsoftonline.com"
USER = "alice@example.com"
_OBJECT = {"oid": OPERATOR, "tid": TENANT, "upn": USER, "preferred_username": USER, "name": "Alice"}


def answer(request: Request) -> Reply:
    """Answer discovery, device codes and tokens."""
    base = f"https://{HOST}/{TENANT}"
    path = request.path
    if path.endswith("/discovery/instance"):
        alias = {"preferred_network": HOST, "preferred_cache": "login.windows.net", "aliases": [HOST]}
        return Reply(200, {"tenant_discovery_endpoint": _discovery(base), "metadata": [alias]})
    if path.endswith("/.well-known/openid-configuration"):
        return Reply(
            200,
            {
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                "issuer": f"{base}/v2.0",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
            },
        )
    if path.endswith("/devicecode"):
        return Reply(
            200,
            {
                "device_code": "device",
                "user_code": "REHEARSAL",
                "verification_uri": "https://microsoft.com/devicelogin",
                "expires_in": 900,
                "interval": 1,
                "message": "To sign in, enter the code REHEARSAL to authenticate.",
            },
        )
    return Reply(200, _token(request.form))


def _discovery(base: str) -> str:
    return f"{base}/v2.0/.well-known/openid-configuration"


def _token(form: dict[str, str]) -> dict[str, Any]:
    scopes = [word for word in form.get("scope", "").split() if word.startswith("http")]
    audience = scopes[0].removesuffix(".default").removesuffix("/") if scopes else form.get("resource", "")
    now = int(time.time())
    common = {
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
        "iss": f"https://sts.windows.net/{TENANT}/",
        "ver": "1.0",
        **_OBJECT,
    }
    client = form.get("client_id", "")
    return {
        "token_type": "Bearer",
        "scope": " ".join(scopes),
        "expires_in": 3600,
        "ext_expires_in": 3600,
        "access_token": encode_token({**common, "aud": audience, "appid": client}),
        "refresh_token": "refresh",
        "id_token": encode_token(
            {**common, "aud": client, "iss": f"https://{HOST}/{TENANT}/v2.0", "ver": "2.0", "sub": "alice"}
        ),
        "client_info": base64.urlsafe_b64encode(
            json.dumps({"uid": OPERATOR, "utid": TENANT}).encode()
        ).decode(),
    }
