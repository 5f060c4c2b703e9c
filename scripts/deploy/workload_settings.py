"""The gateway's settings as the workload's tfvars give them, checked with the renderer's own model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from renderer import ConfigurationError, load_settings
from renderer import Settings as GatewaySettings
from renderer.model.backends import Backend
from renderer.names import is_secret_name, place_of, variable
from renderer.parsers.urls import is_sovereign
from scripts.deploy.deploy_errors import InvalidSettingsError, NotReadyError
from scripts.deploy.tfvars import is_placeholder, texts
from scripts.deploy.vault_seeder import secret_problems

INSIGHTS = "APPLICATIONINSIGHTS_CONNECTION_STRING"
"""The one secret that comes from a stack and not from the user."""


@dataclass(frozen=True, slots=True)
class FoundryBackend:
    """A model account that the foundry stack has made, as its output describes it."""

    name: str
    endpoint: str
    region: str
    priority: int
    weight: int
    deployments: tuple[str, ...]

    @classmethod
    def from_output(cls, value: Mapping[str, Any]) -> FoundryBackend:
        """Read one entry of the output `azure_openai_backends`; `NotReadyError` for another version's."""
        try:
            return cls(**{**value, "deployments": tuple(value["deployments"])})
        except (KeyError, TypeError):
            raise NotReadyError(
                "The foundry stack describes its accounts in another way than this version does.",
                remedy="Run deploy-foundry once more.",
            ) from None

    @classmethod
    def example(cls) -> FoundryBackend:
        """Stands for accounts that are not known yet."""
        return cls("foundry", "https://foundry.openai.azure.com", "any", 0, 1, ("any",))

    def variables(self, index: int, client_id: str) -> dict[str, str]:
        """Settings of the backend at that index. It has no key: its account takes tokens only."""
        fields = {
            "ENDPOINT": self.endpoint,
            "NAME": self.name,
            "REGION": self.region,
            "PRIORITY": str(self.priority),
            "WEIGHT": str(self.weight),
            "DEPLOYMENTS": ",".join(self.deployments),
            "AUTH": "managed-identity",
            "CLIENT_ID": client_id,
        }
        return {f"AZURE_OPENAI_{name}_{index}": value for name, value in fields.items()}


@dataclass(frozen=True, slots=True)
class WorkloadSettings:
    """What the user has written: settings that may be seen, and secrets."""

    path: Path
    app_settings: Mapping[str, str]
    secrets: Mapping[str, str]
    redis_enabled: bool = False
    problems: tuple[str, ...] = ()
    """What is wrong with the maps themselves; told together with what the model finds."""

    @classmethod
    def read(cls, path: Path, values: Mapping[str, Any]) -> WorkloadSettings:
        """Take the two maps out of the tfvars; `check` and `check_early` say what is wrong with them."""
        app_settings, problems = texts("app_settings", values.get("app_settings"))
        secrets, more = texts("secrets", values.get("secrets"))
        # As everywhere in the gateway's settings: a key that is emptied is taken out of use.
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
        if "KEY_VAULT_URL" in app_settings:
            problems.append(
                "app_settings.KEY_VAULT_URL has no use here: `secrets` go to the platform's vault. Remove it."
            )
        kept = {
            name: value for name, value in app_settings.items() if name not in {*misplaced, "KEY_VAULT_URL"}
        }
        redis = values.get("redis_enabled") is True
        return cls(path, kept, {**misplaced, **secrets}, redis, tuple(problems))

    def without_backends(self) -> WorkloadSettings:
        """The same without the user's own backends."""

        def others(values: Mapping[str, str]) -> dict[str, str]:
            ours = ("AZURE_OPENAI_", "GATEWAY_HOME_BACKEND")
            return {name: value for name, value in values.items() if not name.startswith(ours)}

        return replace(self, app_settings=others(self.app_settings), secrets=others(self.secrets))

    @property
    def next_backend(self) -> int:
        """Index after the user's own backends."""
        places = [place_of(name) for name in (*self.app_settings, *self.secrets)]
        own = [place.index or 0 for place in places if place and place.group is Backend]
        return max(own, default=-1) + 1

    def check(self, added: Mapping[str, str], added_secrets: Sequence[str] = ()) -> GatewaySettings:
        """Load everything with the renderer's model. Raises `InvalidSettingsError` with every problem.

        `added` are settings that the command adds, `added_secrets` names of secrets without a value yet.
        """
        settings, problems = self._load(added, added_secrets)
        if settings is None or problems:
            raise self._invalid(problems)
        return settings

    def check_early(self, *, azure_openai: bool = True) -> None:
        """Check what can be checked before any other stack is asked what it adds."""
        added: dict[str, str] = {}
        if azure_openai and self.next_backend == 0:
            added = FoundryBackend.example().variables(0, str(UUID(int=0)))
        _, problems = self._load(added, ())
        # It may be the name of an account that is not known yet.
        problems = [item for item in problems if not item.startswith("GATEWAY_HOME_BACKEND ")]
        if problems:
            raise self._invalid(problems)

    def _load(
        self, added: Mapping[str, str], added_secrets: Sequence[str]
    ) -> tuple[GatewaySettings | None, list[str]]:
        """What the model makes of the settings, and everything that is wrong with them."""
        unknown = dict.fromkeys(added_secrets, "")
        secrets = {name: _stand_in(name, value) for name, value in {**unknown, **self.secrets}.items()}
        redis = {"REDIS_HOST": "redis"} if self.redis_enabled else {}
        settings, found = None, []
        try:
            # As an env file: in these maps every name that the gateway does not know is a mistake.
            settings = load_settings({}, env_file={**redis, **added, **self.app_settings, **secrets})
        except ConfigurationError as error:
            found = error.problems
        abroad = _in_other_clouds(settings.backends) if settings is not None else ()
        return settings, [*self.problems, *map(str, found), *abroad]

    def _invalid(self, problems: Sequence[str]) -> InvalidSettingsError:
        return InvalidSettingsError(f"{self.path} would not start a gateway:", details=problems)


def _in_other_clouds(backends: Sequence[Backend]) -> Iterator[str]:
    """A complaint about each backend that cannot know the gateway's identity: that is a public cloud's."""
    for index, backend in enumerate(backends):
        if backend.auth == "managed-identity" and is_sovereign(str(backend.endpoint)):
            yield (
                f"{variable(Backend, 'auth', index)} cannot be managed-identity for a resource of another "
                f"cloud than the gateway's. Write key, and its key as {variable(Backend, 'key', index)}."
            )


def _stand_in(name: str, value: str) -> str:
    """A value for one that is only in Key Vault: of the right form, and different for each name."""
    if not is_placeholder(value):
        return value
    if name == INSIGHTS:
        return f"InstrumentationKey={UUID(int=0)};IngestionEndpoint=https://example.invalid/"
    return hashlib.sha256(name.encode()).hexdigest()
