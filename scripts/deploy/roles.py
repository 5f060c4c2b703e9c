"""Checks the deployer's roles: which one is missing, for which command, and how to get it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scripts.deploy.check_result import CheckResult, Verdict
from scripts.deploy.deploy_errors import InvalidSettingsError
from scripts.deploy.layout import STACKS
from scripts.deploy.resource_manager import Permission, ResourceManager
from scripts.deploy.session import Session
from scripts.deploy.state_store import group_name, resource_names

_GROUP = "Microsoft.Resources/subscriptions/resourceGroups/write"


@dataclass(frozen=True, slots=True)
class Need:
    """Actions that the command of `stack` takes in the resource group of the stack `group`."""

    stack: str
    group: str
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ResourceRole:
    """A role on a resource of a stack. The stack assigns it to the principals in one of its settings."""

    role: str
    kind: str
    name: str  # key of the resource's name in the naming module
    actions: tuple[str, ...]
    data: bool  # whether the actions are on the data inside the resource
    stack: str
    setting: str


# These are for resources of every installation. Networks, private endpoints and Grafana are optional,
# so not checked.
MANAGING = (
    Need(
        "bootstrap",
        "bootstrap",
        (
            _GROUP,
            "Microsoft.Storage/storageAccounts/write",
            "Microsoft.Storage/storageAccounts/blobServices/containers/write",
        ),
    ),
    Need(
        "observability",
        "observability",
        (
            _GROUP,
            "Microsoft.OperationalInsights/workspaces/write",
            "Microsoft.Insights/components/write",
            "Microsoft.Insights/workbooks/write",
            "Microsoft.Insights/actionGroups/write",
            "Microsoft.Insights/scheduledQueryRules/write",
            "Microsoft.Monitor/accounts/write",
            "Microsoft.AlertsManagement/prometheusRuleGroups/write",
        ),
    ),
    Need(
        "platform",
        "platform",
        (
            _GROUP,
            "Microsoft.ContainerRegistry/registries/write",
            "Microsoft.KeyVault/vaults/write",
            "Microsoft.ManagedIdentity/userAssignedIdentities/write",
            "Microsoft.App/managedEnvironments/write",
            "Microsoft.Insights/diagnosticSettings/write",
        ),
    ),
    Need(
        "foundry",
        "foundry",
        (
            _GROUP,
            "Microsoft.CognitiveServices/accounts/write",
            "Microsoft.CognitiveServices/accounts/deployments/write",
        ),
    ),
    Need(
        "workload",
        "workload",
        (_GROUP, "Microsoft.App/containerApps/write", "Microsoft.Insights/metricAlerts/write"),
    ),
    # The gateway's app uses the platform, and the platform's registry builds its images.
    Need(
        "workload",
        "platform",
        (
            "Microsoft.App/managedEnvironments/join/action",
            "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
            "Microsoft.ContainerRegistry/registries/listBuildSourceUploadUrl/action",
            "Microsoft.ContainerRegistry/registries/scheduleRun/action",
        ),
    ),
)

_ASSIGN = ("Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/roleAssignments/delete")
ASSIGNING = tuple(Need(stack, stack, _ASSIGN) for stack in ("bootstrap", "platform", "foundry"))

ON_GROUPS = {"Contributor": MANAGING, "Role Based Access Control Administrator": ASSIGNING}
"""The actions for which each role is needed, on a resource group or, before that exists, the subscription."""

ON_RESOURCES = (
    ResourceRole(
        "Storage Blob Data Contributor",
        "Microsoft.Storage/storageAccounts",
        "state_storage_account",
        (
            "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
            "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write",
        ),
        data=True,
        stack="bootstrap",
        setting="state_principals",
    ),
    ResourceRole(
        "AcrPush",
        "Microsoft.ContainerRegistry/registries",
        "container_registry",
        (
            "Microsoft.ContainerRegistry/registries/pull/read",
            "Microsoft.ContainerRegistry/registries/push/write",
        ),
        data=False,
        stack="platform",
        setting="deployer_principals",
    ),
    ResourceRole(
        "Key Vault Secrets Officer",
        "Microsoft.KeyVault/vaults",
        "key_vault",
        (
            "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "Microsoft.KeyVault/vaults/secrets/setSecret/action",
            "Microsoft.KeyVault/vaults/secrets/recover/action",
        ),
        data=True,
        stack="platform",
        setting="deployer_principals",
    ),
)


def look_at_roles(session: Session, subscription: str) -> list[CheckResult]:
    """A result for each role; none when the stacks are not in Azure. Raises `DeployError`."""
    if session.store.kind != "azurerm":
        return []
    values = session.settings.read_any()
    names = resource_names(session.layout, values, session.binary)
    with ResourceManager(session.az.resource_manager(), subscription, session.waiter) as manager:
        return _RoleCheck(session, manager, values, names).results()


class _RoleCheck:
    """Compares what the login may do with what the commands need."""

    def __init__(
        self,
        session: Session,
        manager: ResourceManager,
        values: Mapping[str, object],
        names: Mapping[str, str],
    ) -> None:
        self._session = session
        self._manager = manager
        self._values = values
        self._names = names
        self._wanted = [name for name, stack in STACKS.items() if session.settings.files.hold(stack)]
        self._seen: dict[str, list[Permission] | None] = {}

    def results(self) -> list[CheckResult]:
        """A result for each role that stacks with settings need."""
        return [
            *(self._on_groups(role, needs) for role, needs in ON_GROUPS.items()),
            *(self._on_resource(role) for role in ON_RESOURCES if role.stack in self._wanted),
        ]

    def _on_groups(self, role: str, needs: Sequence[Need]) -> CheckResult:
        check = f"role {role}"
        missing: dict[str, list[str]] = {}
        scopes: set[str] = set()
        for need in needs:
            if need.stack in self._wanted:
                scope, permissions = self._group(need.group)
                lacking = _lacking(permissions, need.actions)
                if lacking:
                    missing.setdefault(STACKS[need.stack].command, []).extend(lacking)
                    scopes.add(scope)
        if not missing:
            commands = {STACKS[need.stack].command: None for need in needs if need.stack in self._wanted}
            return CheckResult(check, Verdict.OK, f"enough for {', '.join(commands)}")
        found = "; ".join(f"{command}: {_some(actions)}" for command, actions in missing.items())
        scope = scopes.pop() if len(scopes) == 1 else self._manager.subscription
        remedy = "Activate it if you are eligible, or ask a colleague who may assign roles to run: "
        user = self._session.az.account().user
        remedy += f'az role assignment create --assignee {user} --role "{role}" --scope {scope}'
        return CheckResult(check, Verdict.BAD, f"missing for {found}", remedy)

    def _group(self, stack: str) -> tuple[str, list[Permission]]:
        """The scope at which a stack changes its resource group, and what the login may do there."""
        subscription = self._manager.subscription
        for scope in (f"{subscription}/resourceGroups/{group_name(self._values, stack)}", subscription):
            found = self._permissions(scope)
            if found is not None:
                return scope, found
        return subscription, []

    def _on_resource(self, role: ResourceRole) -> CheckResult:
        check, command = f"role {role.role}", STACKS[role.stack].command
        name = self._names[role.name]
        scope = self._manager.resource(role.kind, name)
        permissions = None if scope is None else self._permissions(scope)
        if permissions is None:
            remedy = f"{command} makes it, and gives this role to {role.setting}, or to you if that is empty."
            return CheckResult(check, Verdict.SKIPPED, f"there is no {name} yet", remedy)
        lacking = _lacking(permissions, role.actions, data=role.data)
        if not lacking:
            return CheckResult(check, Verdict.OK, f"on {name}")
        found = f"missing on {name}: {_some(lacking)}"
        me = self._manager.object_id()
        mine = f"your object id, {me or 'az ad signed-in-user show --query id'}, into {role.setting}"
        if role.stack == "bootstrap":  # without access to the state no command works
            remedy = f"Ask a colleague who has the role to put {mine} and to run {command}."
            return CheckResult(check, Verdict.BAD, found, remedy)
        if me in self._listed(role):
            remedy = f"{command} gives it to you. Azure can take ten minutes to make it known."
            return CheckResult(check, Verdict.NOTE, found, remedy)
        remedy = f"Put {mine}, with those of all other deployers, and run {command}."
        return CheckResult(check, Verdict.BAD, found, remedy)

    def _listed(self, role: ResourceRole) -> set[str]:
        """The object ids in the setting that lists who gets a role."""
        try:
            principals = self._session.settings.read(STACKS[role.stack]).get(role.setting)
        except InvalidSettingsError:
            return set()  # another check reports it
        return {str(one).lower() for one in principals.values()} if isinstance(principals, Mapping) else set()

    def _permissions(self, scope: str) -> list[Permission] | None:
        if scope not in self._seen:
            self._seen[scope] = self._manager.permissions(scope)
        return self._seen[scope]


def _lacking(permissions: Sequence[Permission], actions: Sequence[str], *, data: bool = False) -> list[str]:
    return [action for action in actions if not any(given.allows(action, data=data) for given in permissions)]


def _some(actions: Sequence[str]) -> str:
    """The first action, and the number of others: `["a", "b", "c"]` gives `a and 2 more`."""
    more = f" and {len(actions) - 1} more" if len(actions) > 1 else ""
    return f"{actions[0]}{more}"
