"""A stand-in for the Azure Resource Manager: roles by scope, inherited downwards, and its failures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.certificates import Certificate
from tests.support.loopback_server import LoopbackServer, Reply, Request

PERMISSIONS = "/providers/Microsoft.Authorization/permissions"

Role = dict[str, list[str]]

# Roles as Azure defines them, as far as the tests need them.
OWNER: Role = {"actions": ["*"], "notActions": []}
CONTRIBUTOR: Role = {
    "actions": ["*"],
    "notActions": [
        "Microsoft.Authorization/*/Delete",
        "Microsoft.Authorization/*/Write",
        "Microsoft.Authorization/elevateAccess/Action",
    ],
}
READER: Role = {"actions": ["*/read"], "notActions": []}
USER_ACCESS_ADMINISTRATOR: Role = {"actions": ["*/read", "Microsoft.Authorization/*"], "notActions": []}
ROLE_ADMINISTRATOR: Role = {
    "actions": [
        "Microsoft.Authorization/roleAssignments/write",
        "Microsoft.Authorization/roleAssignments/delete",
        "*/read",
    ],
    "notActions": [],
}
SECRETS_OFFICER: Role = {
    "actions": ["*/read"],
    "notActions": [],
    "dataActions": ["Microsoft.KeyVault/vaults/secrets/*"],
    "notDataActions": [],
}
BLOB_CONTRIBUTOR: Role = {
    "actions": ["Microsoft.Storage/storageAccounts/blobServices/containers/read"],
    "dataActions": [
        "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
        "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write",
        "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete",
    ],
}
ACR_PUSH: Role = {
    "actions": [
        "Microsoft.ContainerRegistry/registries/pull/read",
        "Microsoft.ContainerRegistry/registries/push/write",
    ]
}


@dataclass
class AzureStandIn:
    """State of the server: the roles by scope, the resources, and the scripted answers."""

    subscription: str
    roles: list[tuple[str, Role]] = field(default_factory=list)
    groups: set[str] = field(default_factory=set)
    resources: dict[str, str] = field(default_factory=dict)
    """Kind by id."""
    first: list[Reply] = field(default_factory=list)
    """The next answers, each used once, instead of the right ones."""
    always: Reply | None = None
    page_size: int = 100
    next_page: str = ""
    """Address of the next page instead of the right one; empty for the right one."""
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    def assign(self, role: Role, scope: str = "") -> None:
        """Give the login a role at a scope, by default at the subscription."""
        self.roles.append((scope or self.subscription, role))

    def make(self, kind: str, group: str, name: str) -> str:
        """Make a resource; returns its id."""
        self.groups.add(group)
        made = f"{self.subscription}/resourceGroups/{group}/providers/{kind}/{name}"
        self.resources[made] = kind
        return made

    def answer(self, request: Request) -> Reply:
        self.requests.append(request)
        if self.first or self.always:
            return self.first.pop(0) if self.first else self.always
        if request.token is None:
            return refusal(401, "AuthenticationFailed")
        if request.path == f"{self.subscription}/resources":
            return 200, {"value": self._find(request.query["$filter"])}, {}
        if not request.path.endswith(PERMISSIONS):
            return refusal(404, "InvalidResourceType")
        return self._permissions(request, request.path.removesuffix(PERMISSIONS))

    def _permissions(self, request: Request, scope: str) -> Reply:
        group = re.search("/resourceGroups/([^/]+)", scope)
        if group is not None and group[1] not in self.groups:
            return refusal(404, "ResourceGroupNotFound")
        given = [role for where, role in self.roles if f"{scope}/".startswith(f"{where}/")]
        start = int(request.query.get("page", 0))
        body: dict[str, Any] = {"value": given[start : start + self.page_size]}
        if len(given) > start + self.page_size:
            more = f"{self.url}{request.path}?api-version=2022-04-01&page={start + self.page_size}"
            body["nextLink"] = self.next_page or more
        return 200, body, {}

    def _find(self, condition: str) -> list[dict[str, str]]:
        wanted = re.fullmatch("name eq '(.*)' and resourceType eq '(.*)'", condition)
        assert wanted is not None, condition
        return [
            {"id": each, "type": kind}
            for each, kind in self.resources.items()
            if each.endswith(f"/{wanted[1]}") and kind == wanted[2]
        ]


def refusal(status: int, code: str, headers: dict[str, str] | None = None) -> Reply:
    """An error in Azure's format."""
    return status, {"error": {"code": code, "message": "refused"}}, headers or {}


@contextmanager
def running_azure(certificate: Certificate, subscription_id: str) -> Iterator[AzureStandIn]:
    """Run the stand-in on a free loopback port."""
    azure = AzureStandIn(f"/subscriptions/{subscription_id}")
    with LoopbackServer(azure.answer, certificate) as server:
        azure.url = server.url
        yield azure
