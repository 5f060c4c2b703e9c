"""Azure Resource Manager: resources and their operations, roles, providers, quota."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from scripts.deploy.doctor import PROVIDERS
from tests.rehearsal.azure.apps import Apps
from tests.rehearsal.azure.definitions import Definitions
from tests.rehearsal.azure.faults import Faults
from tests.rehearsal.azure.kinds import (
    NEVER_201,
    SLOW,
    SLOW_TO_DELETE,
    SOFT_DELETED,
    complete,
    managed_group_of,
)
from tests.rehearsal.azure.registry import Registry
from tests.rehearsal.azure.roles import ROLES, permissions
from tests.rehearsal.azure.state import SUBSCRIPTION, TENANT, Ledger, Operation, Resource, State, Vault
from tests.rehearsal.azure.wire import Reply, Request, matched, refusal

HOST = "management.azure.com"
_SUBSCRIPTION = f"/subscriptions/{SUBSCRIPTION}"
_DELETED = "/subscriptions/[^/]+/providers/([^/]+)/(?:locations/[^/]+/(?:resourceGroups/[^/]+/)?)?deleted"

# azurerm sends this for every subnet, and no customer's subnet could be made if Azure refused it.
_TOLERATED = ('Microsoft.Network/virtualNetworks/subnets: properties.sharingScope: "" is not one of',)

# Azure checks references in a body. These are not resources of ours.
_NOT_REFERENCES = ("roledefinitionid",)


class ResourceManager:
    """Answers for one subscription."""

    def __init__(self, state: Callable[[], State], faults: Faults, ledger: Ledger) -> None:
        self._state_of = state
        self._faults = faults
        self._ledger = ledger
        self._definitions = Definitions()
        self._apps = Apps(state)
        self._registry = Registry(state)

    @property
    def _state(self) -> State:
        return self._state_of()

    def answer(self, request: Request) -> Reply:
        """Answer one request."""
        token = request.token
        if token is None or "management" not in str(token.get("aud")):
            return refusal(401, "AuthenticationFailed", f"Wrong audience: {token and token.get('aud')}")
        path = request.path.rstrip("/")
        for methods, pattern, handler in self._routes():
            found = matched(pattern, path)
            if found is not None and request.method in methods:
                return handler(request, *found.groups())
        return self._generic(request, path)

    def _routes(self) -> Iterator[tuple[str, str, Callable[..., Reply]]]:
        scope = "(/.*?)"
        yield "GET", "/tenants", self._tenants
        yield "GET", "/subscriptions", self._subscriptions
        yield "GET", _SUBSCRIPTION, self._subscription
        yield "GET", f"{_SUBSCRIPTION}/locations", self._locations
        yield "GET", f"{_SUBSCRIPTION}/providers", self._providers
        yield "GET", f"{_SUBSCRIPTION}/providers/([^/]+)", self._provider
        yield "POST", f"{_SUBSCRIPTION}/providers/([^/]+)/register", self._register
        yield "GET", f"{_SUBSCRIPTION}/resources", self._list_resources
        yield "GET", f"{_SUBSCRIPTION}/resourceGroups/([^/]+)/resources", self._list_group
        yield "GET", ".*/operationStatuses/([^/]+)", self._operation
        yield "POST", ".*/checkNameAvailability", self._check_name
        yield "GET", f"{scope}/providers/Microsoft.Authorization/permissions", self._permissions
        yield "GET", f"{scope}/providers/Microsoft.Authorization/roleDefinitions", self._role_definitions
        yield "GET", "(/.*)/roleDefinitions/([^/]+)", self._role_definition
        yield "GET", f"{_DELETED}(Vaults|Accounts)", self._list_deleted
        yield "GET DELETE POST", f"{_DELETED}(Vaults|Accounts)/([^/]+)(/purge)?", self._deleted
        yield (
            "GET",
            f"{_SUBSCRIPTION}/providers/Microsoft.CognitiveServices/locations/([^/]+)/usages",
            self._usage,
        )
        yield (
            "GET",
            f"{_SUBSCRIPTION}/providers/Microsoft.CognitiveServices/locations/([^/]+)/models",
            self._models,
        )
        yield (
            "GET POST",
            "(/.*/registries/[^/]+)/((?:listBuild|schedule|importImage|runs).*)",
            self._registry.manage,
        )
        yield (
            "GET POST",
            "(/.*/containerApps/[^/]+)/((?:revisions|getAuthToken|listSecrets).*)",
            self._apps.manage,
        )
        yield "POST", "(/.*/deployments/[^/]+)/(exportTemplate|validate)", self._template
        yield "POST", "(/.*)/(listKeys|sharedKeys|listSecrets)", self._keys
        yield "GET PUT", "(/.*/components/[^/]+)/currentbillingfeatures", self._billing

    # Subscription

    def _tenants(self, request: Request) -> Reply:
        return Reply(200, {"value": [{"id": f"/tenants/{TENANT}", "tenantId": TENANT}]})

    def _subscriptions(self, request: Request) -> Reply:
        return Reply(200, {"value": [self._subscription(request).body]})

    def _subscription(self, request: Request) -> Reply:
        return Reply(
            200,
            {
                "id": _SUBSCRIPTION,
                "subscriptionId": SUBSCRIPTION,
                "displayName": "Rehearsal",
                "state": "Enabled",
                "tenantId": TENANT,
                "subscriptionPolicies": {"quotaId": "PayAsYouGo_2014-09-01", "spendingLimit": "Off"},
            },
        )

    def _locations(self, request: Request) -> Reply:
        names = ("swedencentral", "francecentral")
        return Reply(200, {"value": [{"name": name, "displayName": name} for name in names]})

    def _providers(self, request: Request) -> Reply:
        return Reply(200, {"value": [self._provider(request, name).body for name in PROVIDERS]})

    def _provider(self, request: Request, name: str) -> Reply:
        known = name.lower() in self._state.registered
        state = "Registered" if known else "NotRegistered"
        types = [
            {"resourceType": kind, "apiVersions": found} for kind, found in self._definitions.types(name)
        ]
        return Reply(200, {"namespace": name, "registrationState": state, "resourceTypes": types})

    def _register(self, request: Request, name: str) -> Reply:
        self._state.registered.add(name.lower())
        return self._provider(request, name)

    def _list_resources(self, request: Request) -> Reply:
        condition = request.query.get("$filter", "")
        wanted = dict(re.findall(r"(\w+) eq '([^']*)'", condition))
        found = [
            item
            for item in self._state.resources.values()
            if item["name"].lower() == wanted.get("name", item["name"]).lower()
            and item["type"].lower() == wanted.get("resourceType", item["type"]).lower()
            and "/providers/" in item["id"]
        ]
        return Reply(200, {"value": found})

    def _list_group(self, request: Request, name: str) -> Reply:
        group = f"{_SUBSCRIPTION}/resourceGroups/{name}"
        if self._state.find(group) is None:
            return _no_group(name)
        keys = [
            key for key in self._state.below(group) if key.count("/providers/") == 1 and key.count("/") == 8
        ]
        return Reply(200, {"value": [self._state.resources[key] for key in keys]})

    def _check_name(self, request: Request) -> Reply:
        name = str(request.body.get("name") or request.body.get("subdomainName"))
        kind = str(request.body.get("type", ""))
        taken = any(
            item["name"].lower() == name.lower() and item["type"].lower() == kind.lower()
            for item in (*self._state.resources.values(), *self._state.deleted.values())
        )
        body = {"nameAvailable": not taken, "isSubdomainAvailable": not taken, "subdomainName": name}
        if taken:
            body |= {"reason": "AlreadyExists", "message": f"The name {name} is already in use."}
        return Reply(200, body)

    # Roles

    def _permissions(self, request: Request, scope: str) -> Reply:
        if "/resourceGroups/" in scope and self._state.find(re.split("/providers/", scope)[0]) is None:
            return _no_group(scope.split("/")[4])
        return Reply(200, {"value": permissions(self._state, scope)})

    def _role_definitions(self, request: Request, scope: str) -> Reply:
        wanted = re.search("roleName eq '(.*?)'", request.query.get("$filter", ""))
        names = [wanted[1]] if wanted else list(ROLES)
        return Reply(200, {"value": [_definition(name) for name in names if name in ROLES]})

    def _role_definition(self, request: Request, scope: str, key: str) -> Reply:
        for name, role in ROLES.items():
            if role.id == key.lower():
                return Reply(200, _definition(name))
        custom = self._state.find(request.path)
        if custom is not None:
            return Reply(200, custom)
        return refusal(404, "RoleDefinitionDoesNotExist", "There is no such role.")

    # Soft-deleted resources

    def _list_deleted(self, request: Request, namespace: str, kind: str) -> Reply:
        found = [
            _tombstone(item) for item in self._state.deleted.values() if item["type"].endswith(kind.lower())
        ]
        return Reply(200, {"value": found})

    def _deleted(self, request: Request, namespace: str, kind: str, name: str, purge: str | None) -> Reply:
        key = f"{kind}/{name}".lower()
        item = self._state.deleted.get(key)
        if item is None:
            return refusal(404, f"Deleted{kind.removesuffix('s')}NotFound", f"{name} is not deleted.")
        if request.method == "GET":
            return Reply(200, _tombstone(item))
        del self._state.deleted[key]
        return Reply(204 if request.method == "DELETE" else 200)

    # Models and keys

    def _usage(self, request: Request, location: str) -> Reply:
        found = [
            {"name": {"value": name}, "currentValue": 0, "limit": limit, "unit": "Count"}
            for name, limit in _QUOTA.items()
        ]
        return Reply(200, {"value": found})

    def _models(self, request: Request, location: str) -> Reply:
        return Reply(200, {"value": [_model(*words) for words in _MODELS]})

    def _keys(self, request: Request, resource_id: str, action: str) -> Reply:
        item = self._state.find(resource_id)
        if item is None:
            return _missing(resource_id)
        if item["properties"].get("disableLocalAuth"):
            return refusal(403, "AuthenticationTypeDisabled", "Key based authentication is disabled.")
        keys = [{"keyName": name, "value": "a2V5", "permissions": "FULL"} for name in ("key1", "key2")]
        return Reply(
            200, {"keys": keys, "primarySharedKey": "a2V5", "secondarySharedKey": "a2V5", "value": []}
        )

    def _billing(self, request: Request, resource_id: str) -> Reply:
        if request.method == "PUT":
            self._count(request, "Microsoft.Insights/components/currentbillingfeatures")
        cap = {"Cap": 100.0, "ResetTime": 0, "StopSendNotificationWhenHitCap": False}
        return Reply(200, {"CurrentBillingFeatures": ["Basic"], "DataVolumeCap": cap})

    # Resources of any type

    def _generic(self, request: Request, path: str) -> Reply:
        kind, is_resource = resource_type(path)
        if kind is None:
            return self._unknown(request)
        if not is_resource:
            return self._list(path, kind) if request.method == "GET" else self._unknown(request)
        handlers = {
            "GET": self._get,
            "HEAD": self._get,
            "PUT": self._put,
            "PATCH": self._patch,
            "DELETE": self._delete,
        }
        handler = handlers.get(request.method)
        return self._unknown(request) if handler is None else handler(request, path, kind)

    def _unknown(self, request: Request) -> Reply:
        self._ledger.unknown[f"{request.method} {request.path}"] += 1
        return refusal(404, "NotInTheRehearsal", f"{request.method} {request.path} has no answer here.")

    def _list(self, path: str, kind: str) -> Reply:
        items = self._state.of_type(kind)
        # `…/privateEndpoints/a/privateDnsZoneGroups` lists those of one, `…/privateEndpoints` all of a group.
        is_below = kind.count("/") > 1 or path.count("/providers/") > 1
        scope = path.rpartition("/")[0] if is_below else path.rpartition("/providers/")[0]
        if "/resourcegroups/" in path.lower():
            items = (item for item in items if item["id"].lower().startswith(f"{scope.lower()}/"))
        return Reply(200, {"value": list(items)})

    def _get(self, request: Request, path: str, kind: str) -> Reply:
        item = self._state.find(path)
        if (
            item is None
            and kind.lower().endswith("/blobservices")
            and self._state.find(path.rpartition("/blob")[0])
        ):
            return Reply(200, {"id": path, "name": "default", "properties": {}})
        if item is None and kind.lower().endswith("/fileservices"):
            return Reply(200, {"id": path, "name": "default", "properties": {}})
        return _missing(path) if item is None else Reply(200, item)

    def _put(self, request: Request, path: str, kind: str) -> Reply:
        refused = (
            self._check(request, kind) or self._missing_parent(path) or self._conflict(request, path, kind)
        )
        if refused is not None:
            return refused
        before = self._state.find(path)
        body = request.body
        item = {**body, "id": path, "name": path.rpartition("/")[2], "type": kind}
        item["properties"] = {**_server_set(before), **(body.get("properties") or {})}
        return self._store(request, item, 201 if before is None else 200)

    def _patch(self, request: Request, path: str, kind: str) -> Reply:
        item = self._state.find(path)
        if item is None:
            return _missing(path)
        refused = self._check(request, kind)
        if refused is not None:
            return refused
        return self._store(request, _merged(item, request.body), 200)

    def _store(self, request: Request, item: Resource, status: int) -> Reply:
        path, kind = item["id"], item["type"].lower()
        error = self._faults.operation(request)
        self._state.resources[path.lower()] = item
        complete(self._state, item)
        if kind == "microsoft.keyvault/vaults":
            self._recover_vault(request, item)
        if kind == "microsoft.app/containerapps":
            error = self._apps.roll_out(item, error)
        if kind == "microsoft.resources/deployments":
            self._deploy(item)
        if kind not in SLOW:
            return Reply(200 if kind in NEVER_201 else status, item)
        if error is not None:
            item["properties"]["provisioningState"] = "Failed"
        shown = {**item, "properties": {**item["properties"], "provisioningState": "InProgress"}}
        if kind == "microsoft.storage/storageaccounts":
            if request.method == "PATCH":
                return Reply(200, item)
            status = 202
        return Reply(status, shown, self._begin(path, error))

    def _begin(self, path: str, error: dict[str, str] | None = None) -> dict[str, str]:
        number = f"op-{self._state.next_number()}"
        self._state.operations[number] = Operation(path, error=error)
        url = f"https://{HOST}{_SUBSCRIPTION}/providers/Microsoft.Rehearsal/locations/x/operationStatuses/{number}"
        return {"Azure-AsyncOperation": f"{url}?api-version=2024-01-01", "Retry-After": "1"}

    def _operation(self, request: Request, number: str) -> Reply:
        operation = self._state.operations.get(number)
        if operation is None:
            return refusal(404, "OperationNotFound", "There is no such operation.")
        operation.left -= 1
        if operation.left >= 0:
            return Reply(200, {"id": number, "name": number, "status": "InProgress"}, {"Retry-After": "1"})
        if operation.error is not None:
            return Reply(200, {"id": number, "name": number, "status": "Failed", "error": operation.error})
        return Reply(200, {"id": number, "name": number, "status": "Succeeded"})

    def _delete(self, request: Request, path: str, kind: str) -> Reply:
        item = self._state.find(path)
        if item is None:
            return Reply(204)
        error = self._faults.operation(request)
        if error is None:
            if kind.lower() in SOFT_DELETED:
                self._state.deleted[f"{SOFT_DELETED[kind.lower()]}/{item['name']}".lower()] = item
            for key in self._state.below(path):
                self._state.resources.pop(key)
                self._state.revisions.pop(key, None)
            self._forget_contents(item)
        if kind.lower() in SLOW_TO_DELETE:
            return Reply(202, None, self._begin(path, error))
        return Reply(200, None)

    def _forget_contents(self, item: Resource) -> None:
        name = item["name"].lower()
        if item["type"].lower() == "microsoft.monitor/accounts":
            for key in self._state.below(managed_group_of(item)):
                del self._state.resources[key]
        for each in item["properties"].get("networkInterfaces") or []:  # those of a private endpoint
            self._state.resources.pop(each["id"].lower(), None)
        if item["type"].lower() == "microsoft.storage/storageaccounts":
            self._state.blobs = {
                key: blob for key, blob in self._state.blobs.items() if not key.startswith(f"{name}/")
            }
        if item["type"].lower() == "microsoft.containerregistry/registries":
            self._state.images.pop(name, None)

    # Conditions of a write

    def _check(self, request: Request, kind: str) -> Reply | None:
        problems = self._count(request, kind)
        if problems:
            self._ledger.refused += [f"{request.method} {kind}: {problem}" for problem in problems]
            return refusal(400, "InvalidRequestContent", "; ".join(problems))
        for reference in sorted(set(_references(request.body))):
            # Azure names resources of others differently; only those of this subscription are looked up.
            if reference.lower().startswith(_SUBSCRIPTION) and self._state.find(reference) is None:
                return refusal(400, "LinkedInvalidPropertyId", f"The resource {reference} was not found.")
        return None

    def _count(self, request: Request, kind: str) -> list[str]:
        version = request.query.get("api-version", "")
        label = f"{kind} {version} {request.method}"
        definition = self._definitions.find(kind, version)
        if definition is None:
            self._ledger.not_validated[label] += 1
            known = self._definitions.versions(kind)
            return [f"api-version {version} is not one of {known}"] if not version else []
        self._ledger.validated[label] += 1
        problems = []
        for problem in definition.problems(request.method, request.body):
            told = f"{kind}: {problem}"
            if told.startswith(_TOLERATED):
                self._ledger.tolerated[told] += 1
            else:
                problems.append(problem)
        return problems

    def _missing_parent(self, path: str) -> Reply | None:
        group = re.match("(/subscriptions/[^/]+/resourceGroups/([^/]+))/", path, re.IGNORECASE)
        if group is not None and self._state.find(group[1]) is None:
            return _no_group(group[2])
        if "/providers/" not in path:
            return None
        head, _, tail = path.rpartition("/providers/")
        parts = tail.split("/")
        parent = f"{head}/providers/{'/'.join(parts[:-2])}"
        if len(parts) > 3 and self._state.find(parent) is None and not parent.endswith("/default"):
            return refusal(404, "ParentResourceNotFound", f"The parent {parent} was not found.")
        return None

    def _conflict(self, request: Request, path: str, kind: str) -> Reply | None:
        name = path.rpartition("/")[2]
        deleted = self._state.deleted.get(f"{SOFT_DELETED.get(kind.lower(), '')}/{name}".lower())
        if deleted is not None and "vaults" in kind.lower():
            if request.body["properties"].get("createMode") != "recover":
                return refusal(409, "ConflictError", f"A vault with the name {name} exists in deleted state.")
        elif deleted is not None:
            return refusal(
                409, "FlagMustBeSetForRestore", f"{name} has been soft-deleted; restore must be set."
            )
        if kind.lower() == "microsoft.authorization/roleassignments":
            properties = request.body["properties"]
            for item in self._state.of_type(kind):
                same = all(
                    item["properties"][key].rpartition("/")[2] == properties[key].rpartition("/")[2]
                    for key in ("principalId", "roleDefinitionId")
                )
                is_other = item["id"].lower() != path.lower()
                if (
                    same
                    and is_other
                    and item["id"].rpartition("/")[0].lower() == path.rpartition("/")[0].lower()
                ):
                    return refusal(409, "RoleAssignmentExists", "The role assignment already exists.")
        return None

    def _recover_vault(self, request: Request, item: Resource) -> None:
        self._state.deleted.pop(f"vaults/{item['name']}".lower(), None)
        self._state.vaults.setdefault(item["name"].lower(), Vault())

    def _deploy(self, item: Resource) -> None:
        """Make the resources of a template; their bodies are checked as others are."""
        group = item["id"].partition("/providers/")[0]
        template = item["properties"].get("template") or {}
        made = []
        for part in template.get("resources", []):
            kinds, names = part["type"].split("/"), part["name"].split("/")
            tail = "/".join(f"{kind}/{name}" for kind, name in zip(kinds[1:], names, strict=True))
            path = f"{group}/providers/{kinds[0]}/{tail}"
            body = {name: value for name, value in part.items() if name not in {"type", "apiVersion", "name"}}
            definition = self._definitions.find(part["type"], part["apiVersion"])
            label = f"{part['type']} {part['apiVersion']} PUT"
            if definition is None:
                self._ledger.not_validated[label] += 1
            else:
                self._ledger.validated[label] += 1
                problems = definition.problems("PUT", body)
                self._ledger.refused += [f"template {part['type']}: {problem}" for problem in problems]
            self._state.resources[path.lower()] = {
                **body,
                "id": path,
                "name": names[-1],
                "type": part["type"],
            }
            made.append({"id": path})
        kinds_made = [
            {"resourceType": part["type"].partition("/")[2]} for part in template.get("resources", [])
        ]
        namespaces = {part["type"].partition("/")[0] for part in template.get("resources", [])}
        providers = [{"namespace": name, "resourceTypes": kinds_made} for name in sorted(namespaces)]
        item["properties"] |= {
            "outputResources": made,
            "providers": providers,
            "dependencies": [],
            "outputs": {},
        }

    def _template(self, request: Request, path: str, action: str) -> Reply:
        if action == "validate":
            return Reply(200, {"properties": {"provisioningState": "Succeeded"}})
        item = self._state.find(path)
        return _missing(path) if item is None else Reply(200, {"template": item["properties"]["template"]})


def resource_type(path: str) -> tuple[str | None, bool]:
    """The type that a path names, and whether it names one resource and not all of the type.

    `/subscriptions/S/resourceGroups/G/providers/Microsoft.App/containerApps/a` gives
    `("Microsoft.App/containerApps", True)`.
    """
    if "/providers/" not in path:
        parts = path.strip("/").split("/")
        if len(parts) in {3, 4} and parts[2].lower() == "resourcegroups":
            return "Microsoft.Resources/resourceGroups", len(parts) == 4
        return None, False
    namespace, *rest = path.rpartition("/providers/")[2].split("/")
    return "/".join([namespace, *rest[::2]]), len(rest) % 2 == 0 and bool(rest)


def _server_set(item: Resource | None) -> dict[str, Any]:
    """Of an existing resource, what only Azure sets and so stays."""
    kept = {
        "vaultUri", "principalId", "clientId", "tenantId", "customerId", "InstrumentationKey", "AppId",
        "ConnectionString", "primaryEndpoints", "defaultDomain", "staticIp", "loginServer", "endpoint",
        "latestRevisionName", "latestReadyRevisionName",
    }  # fmt: skip
    properties = (item or {}).get("properties", {})
    return {name: value for name, value in properties.items() if name in kept}


def _merged(item: Any, change: Any) -> Any:
    """A JSON merge patch."""
    if not (isinstance(item, dict) and isinstance(change, dict)):
        return change
    merged = {name: value for name, value in item.items() if name not in change or change[name] is not None}
    for name, value in change.items():
        if value is not None:
            merged[name] = _merged(merged.get(name), value)
    return merged


def _references(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key.lower() not in _NOT_REFERENCES:
                yield from _references(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item, name)
    elif isinstance(value, str) and matched(
        "/subscriptions/[^/]+/resourceGroups/[^/]+/providers/[^ ]+", value
    ):
        yield value


def _missing(path: str) -> Reply:
    if "/providers/" not in path:
        return _no_group(path.rpartition("/")[2])
    return refusal(404, "ResourceNotFound", f"The Resource '{path}' was not found.")


def _no_group(name: str) -> Reply:
    return refusal(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")


def _tombstone(item: Resource) -> Resource:
    kind = "deletedVaults" if "vaults" in item["type"].lower() else "deletedAccounts"
    namespace = item["type"].split("/")[0]
    path = f"{_SUBSCRIPTION}/providers/{namespace}/locations/{item['location']}/{kind}/{item['name']}"
    properties = {
        "vaultId": item["id"],
        "location": item["location"],
        "deletionDate": "2026-01-01T00:00:00Z",
        "scheduledPurgeDate": "2026-01-08T00:00:00Z",
        "purgeProtectionEnabled": True,
        "tags": item.get("tags") or {},
    }
    return {"id": path, "name": item["name"], "type": f"{namespace}/{kind}", "properties": properties}


def _definition(name: str) -> Resource:
    role = ROLES[name]
    path = f"{_SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{role.id}"
    return {
        "id": path,
        "name": role.id,
        "type": "Microsoft.Authorization/roleDefinitions",
        "properties": {
            "roleName": name,
            "type": "BuiltInRole",
            "permissions": [role.allowed],
            "assignableScopes": ["/"],
        },
    }


_MODELS = (
    ("OpenAI", "gpt-5-mini", "2025-08-07", "GlobalStandard", "OpenAI.GlobalStandard.gpt-5-mini"),
    ("OpenAI", "gpt-4.1", "2025-04-14", "GlobalStandard", "OpenAI.GlobalStandard.gpt4.1"),
    (
        "OpenAI",
        "text-embedding-3-small",
        "1",
        "GlobalStandard",
        "OpenAI.GlobalStandard.text-embedding-3-small",
    ),
    (
        "OpenAI",
        "text-embedding-3-small",
        "1",
        "DataZoneStandard",
        "OpenAI.DataZoneStandard.text-embedding-3-small",
    ),
)
_QUOTA = {usage: 1000 for *_, usage in _MODELS}


def _model(kind: str, name: str, version: str, sku: str, usage: str) -> Resource:
    skus = [{"name": sku, "usageName": usage, "capacity": {"maximum": 1000, "default": 10}}]
    return {
        "kind": kind,
        "skuName": "S0",
        "model": {"format": kind, "name": name, "version": version, "skus": skus},
    }
