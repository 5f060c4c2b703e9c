"""The gateway's settings in the workload's tfvars, checked with the renderer's own model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from renderer import ConfigurationError, Problem, load
from renderer import Settings as GatewaySettings
from renderer.model.backends import Backend
from renderer.model.clients import Client
from renderer.model.gateway import Gateway, KeyVault, Redis, Telemetry
from renderer.names import indices, is_secret_name, variable
from renderer.origins import Origin, Text, origin_of
from renderer.parsers.urls import is_sovereign
from scripts.deploy.deploy_errors import InvalidSettingsError
from scripts.deploy.foundry_backend import FoundryBackend
from scripts.deploy.simulated_stage import DEFAULT_MAX_REPLICAS, fixed_in_stage, stage_problems
from scripts.deploy.tfvars import is_placeholder, lines_of, texts
from scripts.deploy.vault_seeder import secret_problems

INSIGHTS = variable(Telemetry, "connection_string")
"""The one secret that comes from a stack and not from the user."""

STAGE_SETTINGS = "e2e_app_settings"
"""In tfvars: what the gateway of the end-to-end stage gets in addition to `app_settings`."""

HOME_BACKEND = variable(Gateway, "home_backend")
VAULT_URL = variable(KeyVault, "url")


@dataclass(frozen=True, slots=True)
class Checked:
    """The settings as the model reads them, and warnings: values that are valid and cannot work."""

    settings: GatewaySettings
    warnings: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class WorkloadSettings:
    """The user's settings of the gateway: `app_settings` without secrets, and `secrets`."""

    path: Path
    app_settings: Mapping[str, str]
    secrets: Mapping[str, str]
    redis_enabled: bool = False
    problems: tuple[str, ...] = ()
    """What is wrong with the two maps themselves. `check` reports it together with what the model finds."""

    @classmethod
    def read(cls, path: Path, values: Mapping[str, Any]) -> WorkloadSettings:
        """The two maps of the tfvars. `check` and `check_early` report what is wrong with them.

        `{"app_settings": {"GATEWAY_CLIENT_NAME_0": "a"}, "secrets": {"GATEWAY_CLIENT_KEY_0": ""}}` gives the
        same app_settings and no secrets: as in all settings, an empty value counts as unset.
        """
        app_settings, problems = _placed(path, "app_settings", values)
        secrets, more = _placed(path, "secrets", values)
        secrets = {name: value for name, value in secrets.items() if value.strip()}
        problems += more
        problems += [
            f"{name} is in both app_settings and secrets." for name in sorted({*app_settings} & {*secrets})
        ]
        misplaced = {name: value for name, value in app_settings.items() if is_secret_name(name)}
        problems += [
            f"app_settings.{name} is a secret: Terraform would keep it in its state. Move it into `secrets`."
            for name in sorted(misplaced)
        ]
        problems += secret_problems(secrets)
        if VAULT_URL in app_settings:
            problems.append(
                f"app_settings.{VAULT_URL} has no use here: `secrets` go to the platform's vault. Remove it."
            )
        kept = {name: value for name, value in app_settings.items() if name not in {*misplaced, VAULT_URL}}
        redis = values.get("redis_enabled") is True
        return cls(path, kept, {**misplaced, **secrets}, redis, tuple(problems))

    def of_stage(self, values: Mapping[str, Any]) -> WorkloadSettings:
        """The settings of the end-to-end stage: its own ones replace the user's backends and clients."""

        def others(values: Mapping[str, str]) -> dict[str, str]:
            own = (f"{Backend.prefix}_", f"{Client.prefix}_", HOME_BACKEND)
            return {name: value for name, value in values.items() if not name.startswith(own)}

        added, problems = _placed(self.path, STAGE_SETTINGS, values)
        app_settings = {**others(self.app_settings), **added}
        problems += [*fixed_in_stage(STAGE_SETTINGS, added), *stage_problems(values, app_settings)]
        return replace(
            self,
            app_settings=app_settings,
            secrets=others(self.secrets),
            problems=(*self.problems, *problems),
        )

    @property
    def next_backend(self) -> int:
        """The first index after the user's own backends."""
        return max(indices(Backend, [*self.app_settings, *self.secrets]), default=-1) + 1

    def check(self, added: Mapping[str, str], added_secrets: Sequence[str] = ()) -> Checked:
        """Load all settings with the renderer's model. Raises `InvalidSettingsError` with every problem.

        `added` are settings that the command adds; `added_secrets` are names of secrets without a value yet.
        """
        checked, problems = self._load(added, added_secrets)
        if checked is None or problems:
            raise self._invalid(problems)
        return checked

    def check_early(self, *, azure_openai: bool = True) -> Checked | None:
        """Check all that can be checked before the other stacks are read. None: not all can be told yet."""
        added: dict[str, str] = {}
        if azure_openai and self.next_backend == 0:
            added = FoundryBackend.example().variables(0, str(UUID(int=0)))
        checked, problems = self._load(added, ())
        # The home backend may be an account that is not known yet.
        problems = [item for item in problems if not item.startswith(f"{HOME_BACKEND} ")]
        if problems:
            raise self._invalid(problems)
        return checked

    def _load(
        self, added: Mapping[str, str], added_secrets: Sequence[str]
    ) -> tuple[Checked | None, list[str]]:
        """The settings as the model reads them, and everything that is wrong with them."""
        unknown = dict.fromkeys(added_secrets, "")
        secrets = {name: _stand_in(name, value) for name, value in {**unknown, **self.secrets}.items()}
        redis = {variable(Redis, "host"): "redis"} if self.redis_enabled else {}
        checked, found = None, []
        try:
            # As an env file: in these maps every name that the gateway does not know is a mistake.
            loaded = load({}, env_file={**redis, **added, **self.app_settings, **secrets})
            checked = Checked(loaded.settings, loaded.warnings)
        except ConfigurationError as error:
            found = error.problems
        foreign = self._in_other_clouds(checked.settings.backends) if checked is not None else ()
        return checked, [*self.problems, *map(str, found), *foreign]

    def _in_other_clouds(self, backends: Sequence[Backend]) -> Iterator[str]:
        """A complaint about each backend outside the public cloud that relies on the gateway's identity."""
        for index, backend in enumerate(backends):
            if backend.auth == "managed-identity" and is_sovereign(str(backend.endpoint)):
                setting = variable(Backend, "auth", index)
                origin = origin_of(self.app_settings.get(setting))
                yield str(
                    Problem(
                        setting,
                        "cannot be managed-identity: the resource is in another cloud than the gateway",
                        f"Write key, and its key as {variable(Backend, 'key', index)}",
                        str(origin or ""),
                    )
                )

    def _invalid(self, problems: Sequence[str]) -> InvalidSettingsError:
        return InvalidSettingsError(f"{self.path} would not start a gateway:", details=problems)


def _placed(path: Path, name: str, values: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """A map of the file as texts that know their lines, and what is wrong with the map."""
    found, problems = texts(name, values.get(name))
    lines = lines_of(path)
    origins = {
        key: Origin(f"{path.name}, line {lines[f'{name}.{key}']}")
        for key in found
        if f"{name}.{key}" in lines
    }
    return {
        key: Text(text, origins[key]) if key in origins else text for key, text in found.items()
    }, problems


def multiplied_limits(settings: GatewaySettings, values: Mapping[str, Any]) -> str:
    """A warning when each replica would count limits for itself; empty when all is well."""
    replicas = values.get("max_replicas", DEFAULT_MAX_REPLICAS)
    limited = [
        *(
            variable(Client, field, index)
            for index, client in enumerate(settings.clients)
            for field in ("tokens_per_minute", "requests_per_minute")
            if getattr(client, field) is not None
        ),
        *(
            variable(Client, budget.field, index)
            for index, client in enumerate(settings.clients)
            for budget in client.budgets
        ),
        *(
            variable(type(group), "enabled")
            for group in (settings.token_limits, settings.rate_limit, settings.quota)
            if group.enabled
        ),
    ]
    if settings.redis.host or not limited:
        return ""
    remedy = "Set redis_enabled = true, or REDIS_HOST."
    forgets = any(client.budgets for client in settings.clients)
    if isinstance(replicas, int) and replicas >= 2:
        anew = ", and a new replica begins budgets anew" if forgets else ""
        return (
            f"{', '.join(limited)}: each of up to {replicas} replicas counts for itself, so the limits are "
            f"up to {replicas} times as high{anew}. {remedy}"
        )
    return f"A restart forgets what was used of the budgets of clients. {remedy}" if forgets else ""


def _stand_in(name: str, value: str) -> str:
    """A value for a secret that only Key Vault has: of the right form, and different for each name."""
    if not is_placeholder(value):
        return value
    made = hashlib.sha256(name.encode()).hexdigest()
    if name == INSIGHTS:
        made = f"InstrumentationKey={UUID(int=0)};IngestionEndpoint=https://example.invalid/"
    origin = origin_of(value)
    return made if origin is None else Text(made, origin)
