"""Rules about guardrails: none may be on without the settings that it needs, or open more than it closes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from renderer.draft import Draft
from renderer.model.clients import Client
from renderer.model.gateway import Gateway
from renderer.model.group import Guardrail
from renderer.model.guardrails import Cors, EntraAuth, IpRestriction
from renderer.names import scalar_groups, variable
from renderer.problems import Problem
from renderer.wording import in_sentence

_GUARDRAILS = [kind for kind in scalar_groups().values() if issubclass(kind, Guardrail)]


def _switches(draft: Draft) -> Iterator[Problem]:
    """A guardrail whose switch is forgotten would leave the gateway open."""
    for kind in _GUARDRAILS:
        switch = variable(kind, "enabled")
        for name in kind.model_fields:
            if draft.is_set(kind, name) and switch not in draft.texts and name not in kind.independent:
                yield Problem(
                    variable(kind, name),
                    f"has no effect without {switch}",
                    f"Set {switch}=true, or {switch}=false to keep it for later, or remove it",
                )


def _needs(draft: Draft) -> Iterator[Problem]:
    for kind in _GUARDRAILS:
        guardrail = draft.group(kind)
        for fields in kind.needs if guardrail is not None and guardrail.enabled else ():
            if all(getattr(guardrail, name) is None for name in fields):
                yield _missing(kind, fields)


def _missing(kind: type[Guardrail], fields: tuple[str, ...]) -> Problem:
    switch = variable(kind, "enabled")
    names = [variable(kind, name) for name in fields]
    if len(names) > 1:
        remedy = f"Set one of them, or set {switch}=false"
        return Problem(switch, f"needs {' or '.join(names)}", remedy)
    about = in_sentence(kind.model_fields[fields[0]].description or "")
    return Problem(names[0], f"is missing, but {switch} needs it", f"Set it ({about}), or set {switch}=false")


def _entra_applications(draft: Draft) -> Iterator[Problem]:
    entra = draft.group(EntraAuth)
    of_clients = any(draft.is_set(Client, "app_id", index) for index in draft.members[Client])
    if entra is not None and entra.enabled and entra.allowed_app_ids is None and not of_clients:
        yield _missing(EntraAuth, ("allowed_app_ids",))


def _one_list(draft: Draft) -> Iterator[Problem]:
    restriction = draft.group(IpRestriction)
    if restriction and restriction.enabled and restriction.allowlist and restriction.denylist:
        yield Problem(
            variable(IpRestriction, "denylist"), "is set beside IP_ALLOWLIST", "Keep one of the two lists"
        )


def _cors_credentials(draft: Draft) -> Iterator[Problem]:
    cors = draft.group(Cors)
    if cors is None or not cors.enabled or not cors.allow_credentials:
        return
    for name in ("allow_origins", "allow_methods", "allow_headers", "expose_headers"):
        if "*" in (getattr(cors, name) or ()):  # APISIX would skip the whole route
            yield Problem(
                variable(Cors, name),
                "is *, which browsers refuse together with CORS_ALLOW_CREDENTIALS=true",
                "List the values, or set CORS_ALLOW_CREDENTIALS=false",
            )


def _trusted_proxies(draft: Draft) -> Iterator[Problem]:
    gateway = draft.group(Gateway)
    for cidr in gateway.trusted_proxies if gateway is not None else ():
        if ipaddress.ip_network(cidr).prefixlen == 0:
            yield Problem(
                variable(Gateway, "trusted_proxies"),
                f"has {cidr}, so that every client could choose the address that it is known by",
                "List the addresses of the proxies in front of the gateway only",
            )


RULES = (_switches, _needs, _entra_applications, _one_list, _cors_credentials, _trusted_proxies)
