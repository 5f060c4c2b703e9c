"""A model account of the foundry stack as a backend of the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from renderer.model.backends import Backend
from renderer.names import variables
from scripts.deploy.deploy_errors import NotReadyError


@dataclass(frozen=True, slots=True)
class FoundryBackend:
    """A model account, as the output of the foundry stack describes it."""

    name: str
    endpoint: str
    region: str
    priority: int
    weight: int
    deployments: tuple[str, ...]

    @classmethod
    def from_output(cls, value: Mapping[str, Any]) -> FoundryBackend:
        """One entry of the output `azure_openai_backends`. `NotReadyError` for one of another version."""
        try:
            return cls(**{**value, "deployments": tuple(value["deployments"])})
        except (KeyError, TypeError):
            raise NotReadyError(
                "The foundry stack was deployed by another version: its accounts have other fields.",
                remedy="Run deploy-foundry once more.",
            ) from None

    @classmethod
    def example(cls) -> FoundryBackend:
        """A stand-in for accounts that are not known yet."""
        return cls("foundry", "https://foundry.openai.azure.com", "any", 0, 1, ("any",))

    def variables(self, index: int, client_id: str) -> dict[str, str]:
        """Settings of the backend at that index. It has no key, because its account accepts tokens only.

        `variables(0, …)` gives `{"AZURE_OPENAI_ENDPOINT_0": "https://foundry.openai.azure.com", …}`.
        """
        fields = {
            "endpoint": self.endpoint,
            "name": self.name,
            "region": self.region,
            "priority": str(self.priority),
            "weight": str(self.weight),
            "deployments": ",".join(self.deployments),
            "auth": "managed-identity",
            "client_id": client_id,
        }
        return variables(Backend, index, fields)
