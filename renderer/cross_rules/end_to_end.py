"""Rules about the end-to-end stage: nothing of it has an effect in production."""

from __future__ import annotations

from collections.abc import Iterator

from renderer.draft import Draft
from renderer.model.backends import Backend
from renderer.model.clients import MINIMUM_KEY_LENGTH
from renderer.model.gateway import EndToEnd, Gateway
from renderer.names import variable
from renderer.problems import Problem


def _mode(draft: Draft) -> Iterator[Problem]:
    gateway, mode = draft.group(Gateway), variable(Gateway, "e2e_test_mode")
    if gateway is None or gateway.e2e_test_mode:
        return
    for name in EndToEnd.model_fields:
        if draft.is_set(EndToEnd, name):
            yield Problem(
                variable(EndToEnd, name), f"has no effect without {mode}", f"Set {mode}=true, or remove it"
            )


def _preferred_backends(draft: Draft) -> Iterator[Problem]:
    stage, backends = draft.group(EndToEnd), draft.valid(Backend)
    if stage is None or len(backends) < len(draft.members[Backend]):
        return
    known = [backend.name for backend in backends.values()]
    for name in stage.preferred_backends or ():
        if name not in known:
            yield Problem(
                variable(EndToEnd, "preferred_backends"),
                f"names the backend '{name}', which does not exist",
                f"Write names of backends: {', '.join(known[:10])}{', …' if len(known) > 10 else ''}",
            )


def _token(draft: Draft) -> Iterator[Problem]:
    stage, gateway = draft.group(EndToEnd), draft.group(Gateway)
    if stage is None or stage.config_api_token is None:
        return
    if len(stage.config_api_token.get_secret_value()) < MINIMUM_KEY_LENGTH:
        yield Problem(
            variable(EndToEnd, "config_api_token"),
            f"has fewer than {MINIMUM_KEY_LENGTH} characters",
            f"Write a random token of at least {MINIMUM_KEY_LENGTH} characters (openssl rand -hex 24)",
        )
    if gateway is not None and not gateway.require_auth:
        yield Problem(
            variable(EndToEnd, "config_api_token"),
            "would let everybody change the configuration: clients do not sign in",
            f"Set {variable(Gateway, 'require_auth')}=true, or remove it",
        )


RULES = (_mode, _preferred_backends, _token)
