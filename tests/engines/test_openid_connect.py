"""Which configuration of openid-connect the embedded engine accepts, and what it refuses by name.

tests/behaviour/test_entra.py specifies, for every engine, what it does with a token.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.engines import EngineError
from tests.engines.support import start

CONF: dict[str, Any] = {
    "bearer_only": True,
    "use_jwks": True,
    "client_id": "api://gateway",
    "discovery": "https://login.example.com/.well-known/openid-configuration",
    "token_signing_alg_values_expected": "RS256",
    "claim_validator": {
        "issuer": {"valid_issuers": ["https://login.example.com/"]},
        "audience": {"required": True, "match_with_client_id": True},
    },
    "set_access_token_header": False,
}


def problems(root: Path, conf: dict[str, Any]) -> list[str]:
    """The reasons why a gateway with this configuration does not start."""
    routes = [{"id": "r", "uri": "/", "plugins": {"openid-connect": conf}}]
    try:
        start(root, plugins={}, stock=("openid-connect",), routes=routes).stop()
    except EngineError as error:
        return error.problems
    return []


def test_bearer_tokens_that_are_checked_against_published_keys_are_offered(tmp_path: Path) -> None:
    assert problems(tmp_path, CONF) == []


def test_whatever_else_the_plugin_has_is_named_at_once(tmp_path: Path) -> None:
    more = {
        "scope": "openid",
        "introspection_endpoint": "https://login.example.com/introspect",
        "public_key": "…",
    }
    assert problems(tmp_path, CONF | more) == [
        "route r: plugin openid-connect: introspection_endpoint, public_key, scope is not offered by the "
        "embedded engine"
    ]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("bearer_only", False),
        ("use_jwks", False),
        ("token_signing_alg_values_expected", "ES256"),
        ("accept_unsupported_alg", True),
        ("set_access_token_header", True),
        ("set_id_token_header", True),
        ("claim_validator", {**CONF["claim_validator"], "audience": {"match_with_client_id": False}}),
    ],
)
def test_another_value_than_the_offered_one_is_refused(tmp_path: Path, name: str, other: Any) -> None:
    (problem,) = problems(tmp_path, {**CONF, name: other})
    assert problem.startswith(f'route r: plugin openid-connect: property "{name}"')


@pytest.mark.parametrize("name", sorted(CONF))
def test_a_default_that_would_mean_something_else_is_refused(tmp_path: Path, name: str) -> None:
    conf = {key: value for key, value in CONF.items() if key != name}
    assert problems(tmp_path, conf) == [f'route r: plugin openid-connect: property "{name}" is required']
