"""Rules about clients, and the names that clients and backends share."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from renderer.draft import Draft
from renderer.model.backends import Backend
from renderer.model.clients import MINIMUM_KEY_LENGTH, Client
from renderer.model.gateway import Gateway, Redis, Telemetry
from renderer.model.guardrails import EntraAuth
from renderer.names import variable
from renderer.parsers.prices import Price
from renderer.prices import all_prices, priced_name
from renderer.problems import Problem

_JWT_SHAPE = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*")


def _unique_names(draft: Draft) -> Iterator[Problem]:
    for kind in (Backend, Client):
        first: dict[str, int] = {}
        for index, member in draft.valid(kind).items():
            name = str(getattr(member, "name"))  # noqa: B009 - the two classes share no declared field
            if name in first:
                yield Problem(
                    variable(kind, "name", index),
                    f"makes a second {kind.member} called '{name}', after {kind.member} {first[name]}",
                    f"Set {variable(kind, 'name', index)} to a name of its own",
                )
            first.setdefault(name, index)


def _client_credentials(draft: Draft) -> Iterator[Problem]:
    for index in draft.members[Client]:
        if draft.is_set(Client, "key", index):
            continue
        key, second, app_id = (variable(Client, name, index) for name in ("key", "key_secondary", "app_id"))
        if second in draft.texts:
            yield Problem(second, "is a second key, but there is no first", f"Set it as {key}, or set both")
        elif app_id not in draft.texts:
            yield Problem(
                key,
                "is missing: the client has no credential",
                f"Set it to a random key (openssl rand -hex 24), or set {app_id} for tokens of Entra ID",
            )


def _long_keys(draft: Draft) -> Iterator[Problem]:
    for name in ("key", "key_secondary"):
        for index, key in draft.sound(Client, name).items():
            if len(key) < MINIMUM_KEY_LENGTH:
                yield Problem(
                    variable(Client, name, index),
                    f"has {len(key)} characters, which can be guessed",
                    f"Write a random key of at least {MINIMUM_KEY_LENGTH} characters (openssl rand -hex 24)",
                )


def _client_keys(draft: Draft) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    entra = draft.group(EntraAuth)
    for index, client in draft.valid(Client).items():
        for name, secret in (("key", client.key), ("key_secondary", client.key_secondary)):
            if secret is None:
                continue
            key, where = secret.get_secret_value(), variable(Client, name, index)
            if key in owners:
                yield Problem(where, f"is the same key as {owners[key]}", "Give every client keys of its own")
            if entra is not None and entra.enabled and _JWT_SHAPE.fullmatch(key):
                yield Problem(
                    where,
                    "has the shape of a token, and ENABLE_ENTRA_AUTH has tokens checked by Entra ID alone",
                    "Write a key without dots",
                )
            owners.setdefault(key, where)


def _client_applications(draft: Draft) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    entra, switch = draft.group(EntraAuth), variable(EntraAuth, "enabled")
    for index, client in draft.valid(Client).items():
        if client.app_id is None:
            continue
        where = variable(Client, "app_id", index)
        if entra is not None and not entra.enabled:
            yield Problem(where, f"has no effect without {switch}", f"Set {switch}=true, or remove it")
        if client.app_id in owners:
            yield Problem(
                where,
                f"is the same application as {owners[client.app_id]}",
                "Give every application one client",
            )
        owners.setdefault(client.app_id, where)


def _some_credential(draft: Draft) -> Iterator[Problem]:
    gateway, entra = draft.group(Gateway), draft.group(EntraAuth)
    if gateway is None or entra is None:
        return
    if gateway.require_auth and not entra.enabled and not draft.members[Client]:
        name, key = variable(Client, "name", 0), variable(Client, "key", 0)
        yield Problem(
            key,
            "is missing: clients must sign in, but there is no client",
            f"Set {name} and {key}, or open the gateway to everybody with GATEWAY_REQUIRE_AUTH=false",
        )
    if entra.enabled and not gateway.require_auth:
        yield Problem(
            variable(EntraAuth, "enabled"),
            "asks for tokens while GATEWAY_REQUIRE_AUTH=false lets everybody in",
            "Remove one of the two",
        )


def _stored_resources(draft: Draft) -> Iterator[Problem]:
    gateway, redis = draft.group(Gateway), draft.group(Redis)
    name = variable(Gateway, "stored_resources")
    if gateway is None or redis is None or not draft.is_set(Gateway, "stored_resources"):
        return
    if gateway.stored_resources == "strict" and redis.host is None:
        yield Problem(
            name,
            "is strict, but without Redis a restart would forget every owner",
            f"Set {variable(Redis, 'host')}, or write private",
        )
    if gateway.stored_resources != "shared" and not gateway.require_auth:
        yield Problem(
            name,
            f"is {gateway.stored_resources}, but clients that do not sign in cannot be told apart",
            "Write shared, or remove it",
        )


def _budgets(draft: Draft) -> Iterator[Problem]:
    gateway = draft.group(Gateway)
    for index, client in draft.valid(Client).items():
        if client.budgets and gateway is not None and not gateway.require_auth:
            yield Problem(
                variable(Client, client.budgets[0].field, index),
                "is a budget, but clients that do not sign in cannot be told apart",
                "Remove it, or GATEWAY_REQUIRE_AUTH=false",
            )


def _prices_for_budgets(draft: Draft) -> Iterator[Problem]:
    telemetry, backends = draft.group(Telemetry), draft.valid(Backend)
    if telemetry is None or len(backends) < len(draft.members[Backend]):
        return
    prices = all_prices(telemetry)
    for index, client in draft.valid(Client).items():
        in_usd = next((budget for budget in client.budgets if budget.unit == "usd"), None)
        unpriced = sorted(_unpriced(client, backends.values(), prices)) if in_usd else []
        if in_usd and unpriced:
            names = ", ".join(f"'{name}'" for name in unpriced[:10]) + (", …" if len(unpriced) > 10 else "")
            yield Problem(
                variable(Client, in_usd.field, index),
                f"is in USD, but the client may call what has no price: {names}",
                "Add each deployment to MODEL_PRICING by this name, with the price of its model, or list in "
                f"{variable(Client, 'deployments', index)} those that have one",
            )


def _unpriced(client: Client, backends: Collection[Backend], prices: Mapping[str, Price]) -> Iterator[str]:
    """The deployments without a price that a client may call, as far as the settings name them."""
    names = set(client.deployments or ())
    if not names and all(backend.deployments for backend in backends):
        names = {name for backend in backends for name in backend.deployments or ()}
    for name in names:
        for backend in backends:
            own_name = name if backend.deployments is None else backend.deployments.get(name)
            is_by_hour = backend.provisioned_usd_per_hour is not None
            if own_name and not is_by_hour and priced_name(prices, name, own_name) is None:
                yield name
                break


RULES = (
    _unique_names,
    _client_credentials,
    _long_keys,
    _client_keys,
    _client_applications,
    _some_credential,
    _stored_resources,
    _budgets,
    _prices_for_budgets,
)
