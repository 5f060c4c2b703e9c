"""The built-in roles that the stacks assign, and what a login may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.rehearsal.azure.state import OPERATOR, State


@dataclass(frozen=True)
class Role:
    """A role: the last part of its id, which is the same in every tenant, and what it allows."""

    id: str
    allowed: dict[str, list[str]]


def _role(
    key: str, actions: list[str], data: list[str] | None = None, denied: list[str] | None = None
) -> Role:
    return Role(
        key,
        {"actions": actions, "notActions": denied or [], "dataActions": data or [], "notDataActions": []},
    )


_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers"
ROLES = {
    "Owner": _role("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", ["*"]),
    "AcrPull": _role(
        "7f951dda-4ed3-4680-a7ca-43fe172d538d", ["Microsoft.ContainerRegistry/registries/pull/read"]
    ),
    "AcrPush": _role(
        "8311e382-0749-4cb8-b61a-304f252e45ec",
        [
            "Microsoft.ContainerRegistry/registries/pull/read",
            "Microsoft.ContainerRegistry/registries/push/write",
        ],
    ),
    "Storage Blob Data Contributor": _role(
        "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
        [f"{_BLOBS}/delete", f"{_BLOBS}/read", f"{_BLOBS}/write"],
        [f"{_BLOBS}/blobs/{each}" for each in ("delete", "read", "write", "move/action", "add/action")],
    ),
    "Key Vault Secrets User": _role(
        "4633458b-17de-408a-b874-0445c86b69e6",
        [],
        [
            "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
        ],
    ),
    "Key Vault Secrets Officer": _role(
        "b86a8fe4-44ce-4948-aee5-eccb2c155cd7", ["*/read"], ["Microsoft.KeyVault/vaults/secrets/*"]
    ),
    "Monitoring Metrics Publisher": _role(
        "3913510d-42f4-4e42-8a64-420c390055eb",
        ["Microsoft.Insights/Register/Action"],
        ["Microsoft.Insights/Metrics/Write"],
    ),
    "Monitoring Data Reader": _role(
        "b0d8363b-8ddd-447d-831f-62ca05bff136", [], ["Microsoft.Monitor/accounts/data/metrics/read"]
    ),
    "Monitoring Reader": _role("43d0d8ad-25c7-4714-9337-8ba259a9fe05", ["*/read"]),
    "Cognitive Services OpenAI User": _role(
        "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd",
        ["Microsoft.CognitiveServices/*/read"],
        ["Microsoft.CognitiveServices/accounts/OpenAI/*/read"],
    ),
}


def permissions(state: State, scope: str) -> list[dict[str, Any]]:
    """What the operator may do: everything as the owner, and what roles at or above the scope add."""
    found = [ROLES["Owner"].allowed]
    return found + [role.allowed for role in _held(state, scope, OPERATOR)]


def holds(state: State, resource_id: str, principal: str, name: str) -> bool:
    """Whether a principal has a role on a resource."""
    return ROLES[name] in _held(state, resource_id, principal)


def _held(state: State, scope: str, principal: str) -> list[Role]:
    by_id = {role.id: role for role in ROLES.values()}
    found = []
    for item in state.of_type("Microsoft.Authorization/roleAssignments"):
        properties = item["properties"]
        above = item["id"].partition("/providers/Microsoft.Authorization/")[0]
        if properties["principalId"] == principal and f"{scope}/".lower().startswith(f"{above}/".lower()):
            found += [
                by_id[role_id]
                for role_id in [properties["roleDefinitionId"][-36:].lower()]
                if role_id in by_id
            ]
    return found
