"""The gateway's settings as the workload's tfvars give them, checked with the renderer's own model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from renderer import ConfigurationError, Problem, load_settings
from renderer import Settings as GatewaySettings
from renderer.names import env_of, is_secret, numbered, scalar_groups
from renderer.settings import Backend
from scripts.deploy.errors import InvalidSettingsError
from scripts.deploy.key_vault import check_secrets
from scripts.deploy.tfvars import is_placeholder, text_map

INSIGHTS = "APPLICATIONINSIGHTS_CONNECTION_STRING"
"""The one secret that comes from a stack and not from the user."""


@dataclass(frozen=True, slots=True)
class FoundryBackend:
    """A model account that the foundry stack has made, as its output describes it."""

    name: str
    account_name: str
    endpoint: str
    region: str
    auth: str
    priority: int
    weight: int
    deployments: tuple[str, ...]

    @classmethod
    def from_output(cls, value: Mapping[str, Any]) -> FoundryBackend:
        """Read one entry of the output `azure_openai_backends`."""
        return cls(**{**value, "deployments": tuple(value["deployments"])})

    @classmethod
    def example(cls) -> FoundryBackend:
        """Stands for accounts that are not known yet."""
        return cls(
            "foundry",
            "foundry",
            "https://foundry.openai.azure.com",
            "any",
            "managed-identity",
            0,
            1,
            ("any",),
        )

    def variables(self, index: int, client_id: str) -> dict[str, str]:
        """Settings of the backend at that index; never its key."""
        fields = {
            "ENDPOINT": self.endpoint,
            "NAME": self.name,
            "REGION": self.region,
            "PRIORITY": str(self.priority),
            "WEIGHT": str(self.weight),
            "DEPLOYMENTS": ",".join(self.deployments),
            "AUTH": self.auth,
        }
        if self.auth == "managed-identity":
            fields["CLIENT_ID"] = client_id
        return {f"AZURE_OPENAI_{name}_{index}": value for name, value in fields.items()}


@dataclass(frozen=True, slots=True)
class WorkloadSettings:
    """What the user has written: settings that may be seen, and secrets."""

    path: Path
    app_settings: Mapping[str, str]
    secrets: Mapping[str, str]
    redis_enabled: bool = False

    @classmethod
    def read(cls, path: Path, values: Mapping[str, Any]) -> WorkloadSettings:
        """Take the two maps out of the tfvars. Raises `InvalidSettingsError` for what is in the wrong one."""
        app_settings = text_map(path, "app_settings", values.get("app_settings"))
        secrets = text_map(path, "secrets", values.get("secrets"))
        problems = [
            f"app_settings.{name} is a secret: Terraform would keep it in its state. Move it into `secrets`."
            for name in sorted(app_settings)
            if is_secret_name(name)
        ]
        both = sorted(set(app_settings) & set(secrets))
        problems += [f"{name} is in both app_settings and secrets." for name in both]
        if problems:
            raise InvalidSettingsError(f"{path} cannot be used:", details=problems)
        check_secrets(path, secrets)
        return cls(path, app_settings, secrets, values.get("redis_enabled") is True)

    def without_backends(self) -> WorkloadSettings:
        """The same without the user's own backends."""

        def others(values: Mapping[str, str]) -> dict[str, str]:
            ours = ("AZURE_OPENAI_", "GATEWAY_HOME_BACKEND")
            return {name: value for name, value in values.items() if not name.startswith(ours)}

        return replace(self, app_settings=others(self.app_settings), secrets=others(self.secrets))

    @property
    def next_backend(self) -> int:
        """Index after the user's own backends."""
        members = (numbered(name) for name in (*self.app_settings, *self.secrets))
        own = [member.index for member in members if member is not None and member.group is Backend]
        return max(own, default=-1) + 1

    def check(self, added: Mapping[str, str], added_secrets: Sequence[str] = ()) -> GatewaySettings:
        """Load everything with the renderer's model. Raises `InvalidSettingsError` with every problem.

        `added` are settings that the command adds, `added_secrets` names of secrets without a value yet.
        """
        try:
            return self._load(added, added_secrets)
        except ConfigurationError as error:
            raise self._invalid(error.problems) from None

    def check_early(self, *, azure_openai: bool = True) -> None:
        """Check what can be checked before any other stack is asked what it adds."""
        added: dict[str, str] = {}
        if azure_openai and self.next_backend == 0:
            added = FoundryBackend.example().variables(0, str(UUID(int=0)))
        try:
            self._load(added, ())
        except ConfigurationError as error:
            # It may be the name of an account that is not known yet.
            problems = [item for item in error.problems if item.setting != "GATEWAY_HOME_BACKEND"]
            if problems:
                raise self._invalid(problems) from None

    def _load(self, added: Mapping[str, str], added_secrets: Sequence[str]) -> GatewaySettings:
        unknown = dict.fromkeys(added_secrets, "")
        secrets = {name: _stand_in(name, value) for name, value in {**unknown, **self.secrets}.items()}
        redis = {"REDIS_HOST": "redis"} if self.redis_enabled else {}
        return load_settings({**redis, **added, **self.app_settings, **secrets})

    def _invalid(self, problems: Sequence[Problem]) -> InvalidSettingsError:
        return InvalidSettingsError(
            f"{self.path} would not start a gateway:", details=list(map(str, problems))
        )


def is_secret_name(name: str) -> bool:
    """Whether the gateway's model treats a variable as a secret."""
    member = numbered(name)
    if member is not None:
        return is_secret(member.group.model_fields[member.field])
    return name in _scalar_secrets()


def _scalar_secrets() -> frozenset[str]:
    return frozenset(
        env_of(info)
        for group in scalar_groups().values()
        for info in group.model_fields.values()
        if is_secret(info)
    )


def _stand_in(name: str, value: str) -> str:
    """A value for one that is only in Key Vault: of the right form, and different for each name."""
    if not is_placeholder(value):
        return value
    if name == INSIGHTS:
        return f"InstrumentationKey={UUID(int=0)};IngestionEndpoint=https://example.invalid/"
    return hashlib.sha256(name.encode()).hexdigest()
