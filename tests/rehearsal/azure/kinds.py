"""What Azure adds to a resource of each kind, and which kinds take their time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from tests.rehearsal.azure.state import SUBSCRIPTION, TENANT, Resource, State

SLOW = frozenset(
    kind.lower()
    for kind in (
        "Microsoft.App/containerApps",
        "Microsoft.App/managedEnvironments",
        "Microsoft.CognitiveServices/accounts",
        "Microsoft.CognitiveServices/accounts/deployments",
        "Microsoft.ContainerRegistry/registries",
        "Microsoft.Network/privateDnsZones",
        "Microsoft.Network/privateEndpoints",
        "Microsoft.Network/privateEndpoints/privateDnsZoneGroups",
        "Microsoft.Network/virtualNetworks",
        "Microsoft.Network/virtualNetworks/subnets",
        "Microsoft.OperationalInsights/workspaces",
        "Microsoft.Resources/deployments",
        "Microsoft.Storage/storageAccounts",
        "Microsoft.KeyVault/vaults",
    )
)
"""Writes of these are long-running operations."""

SLOW_TO_DELETE = SLOW - {"microsoft.keyvault/vaults", "microsoft.storage/storageaccounts"} | {
    "microsoft.resources/resourcegroups",
    "microsoft.monitor/accounts",
}

NEVER_201 = {
    "microsoft.insights/components",
    "microsoft.insights/diagnosticsettings",
    "microsoft.insights/metricalerts",
    "microsoft.storage/storageaccounts/blobservices",
}
"""A write of these is answered with 200, also when it makes the resource."""

SOFT_DELETED = {"microsoft.keyvault/vaults": "vaults", "microsoft.cognitiveservices/accounts": "accounts"}
"""Deleted resources of these keep their names."""


def complete(state: State, item: Resource) -> None:
    """Add what Azure sets itself."""
    properties: dict[str, Any] = item.setdefault("properties", {})
    add = _ADDED.get(item["type"].lower())
    if add is not None:
        add(state, item, properties)
    properties["provisioningState"] = "Succeeded"
    identity = item.get("identity")
    if identity and "SystemAssigned" in identity.get("type", ""):
        identity.setdefault("principalId", state.guid())
        identity.setdefault("tenantId", TENANT)
    for each, value in ((identity or {}).get("userAssignedIdentities") or {}).items():
        known = (state.find(each) or {}).get("properties", {})
        value.update({name: known.get(name) for name in ("principalId", "clientId")})


def _once(properties: dict[str, Any], **values: Any) -> None:
    for name, value in values.items():
        properties.setdefault(name, value)


def _storage(state: State, item: Resource, properties: dict[str, Any]) -> None:
    name = item["name"]
    item["sku"]["tier"] = item["sku"]["name"].split("_")[0]
    services = ("blob", "dfs", "file", "queue", "table", "web")
    _once(
        properties,
        primaryEndpoints={each: f"https://{name}.{each}.core.windows.net/" for each in services},
        primaryLocation=item["location"],
        statusOfPrimary="available",
        creationTime="2026-01-01T00:00:00Z",
        supportsHttpsTrafficOnly=True,
        encryption={"services": {}, "keySource": "Microsoft.Storage"},
    )


def _container(state: State, item: Resource, properties: dict[str, Any]) -> None:
    _once(properties, publicAccess="None", hasImmutabilityPolicy=False, hasLegalHold=False, deleted=False)
    _once(properties, defaultEncryptionScope="$account-encryption-key", denyEncryptionScopeOverride=False)


def _workspace(state: State, item: Resource, properties: dict[str, Any]) -> None:
    _once(properties, customerId=state.guid(), createdDate="2026-01-01T00:00:00Z")
    _once(properties, publicNetworkAccessForIngestion="Enabled", publicNetworkAccessForQuery="Enabled")
    properties.setdefault("features", {}).setdefault("legacy", 0)


def _insights(state: State, item: Resource, properties: dict[str, Any]) -> None:
    key = properties.get("InstrumentationKey") or state.guid()
    ingestion = "https://swedencentral-0.in.applicationinsights.azure.com/"
    _once(
        properties,
        InstrumentationKey=key,
        AppId=state.guid(),
        ConnectionString=f"InstrumentationKey={key};IngestionEndpoint={ingestion}",
        Application_Type="web",
        publicNetworkAccessForIngestion="Enabled",
        publicNetworkAccessForQuery="Enabled",
    )


def managed_group_of(account: Resource) -> str:
    """The resource group that Azure makes and removes with an account of Azure Monitor."""
    name, location = account["name"], account["location"]
    return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/MA_{name}_{location}_managed"


def _monitor(state: State, item: Resource, properties: dict[str, Any]) -> None:
    name, location = item["name"], item["location"]
    group = managed_group_of(item)
    endpoint, rule = (
        f"{group}/providers/Microsoft.Insights/{kind}/{name}"
        for kind in ("dataCollectionEndpoints", "dataCollectionRules")
    )
    _once(
        properties,
        accountId=state.guid(),
        publicNetworkAccess="Enabled",
        metrics={"prometheusQueryEndpoint": f"https://{name}.{location}.prometheus.monitor.azure.com"},
        defaultIngestionSettings={
            "dataCollectionEndpointResourceId": endpoint,
            "dataCollectionRuleResourceId": rule,
        },
    )
    host = f"{name}.{location}-1.metrics.ingest.monitor.azure.com"
    common = {"name": name, "location": location}
    made = (
        (
            group,
            "Microsoft.Resources/resourceGroups",
            {"name": group.rpartition("/")[2], "location": location},
            {},
        ),
        (
            endpoint,
            "Microsoft.Insights/dataCollectionEndpoints",
            common,
            {
                "immutableId": "dce-00000000000000000000000000000001",
                "metricsIngestion": {"endpoint": f"https://{host}"},
                "logsIngestion": {"endpoint": f"https://{host.replace('metrics', 'logs')}"},
                "configurationAccess": {
                    "endpoint": f"https://{host.replace('metrics.ingest', 'handler.control')}"
                },
                "networkAcls": {"publicNetworkAccess": "Enabled"},
            },
        ),
        (
            rule,
            "Microsoft.Insights/dataCollectionRules",
            common,
            {
                "immutableId": "dcr-00000000000000000000000000000002",
                "dataCollectionEndpointId": endpoint,
                "dataSources": {
                    "prometheusForwarder": [{"name": "p", "streams": ["Microsoft-PrometheusMetrics"]}]
                },
                "destinations": {"monitoringAccounts": [{"name": "m", "accountResourceId": item["id"]}]},
                "dataFlows": [{"streams": ["Microsoft-PrometheusMetrics"], "destinations": ["m"]}],
            },
        ),
    )
    for each, kind, head, body in made:
        state.resources.setdefault(
            each.lower(),
            {"id": each, "type": kind, **head, "properties": {"provisioningState": "Succeeded", **body}},
        )


def _identity(state: State, item: Resource, properties: dict[str, Any]) -> None:
    _once(properties, principalId=state.guid(), clientId=state.guid(), tenantId=TENANT)


def _registry(state: State, item: Resource, properties: dict[str, Any]) -> None:
    item["sku"]["tier"] = item["sku"]["name"]
    _once(
        properties,
        loginServer=f"{item['name'].lower()}.azurecr.io",
        creationDate="2026-01-01T00:00:00Z",
        policies={},
        dataEndpointHostNames=[],
        privateEndpointConnections=[],
    )
    state.images.setdefault(item["name"].lower(), [])


def _vault(state: State, item: Resource, properties: dict[str, Any]) -> None:
    _once(properties, vaultUri=f"https://{item['name']}.vault.azure.net/", enableSoftDelete=True)
    properties.setdefault("accessPolicies", [])
    properties.pop("createMode", None)


def _environment(state: State, item: Resource, properties: dict[str, Any]) -> None:
    word = hashlib.sha256(item["id"].encode()).hexdigest()[:8]
    _once(
        properties,
        defaultDomain=f"rehearsal-{word}.{item['location']}.azurecontainerapps.io",
        staticIp="20.0.0.1",
        customDomainConfiguration={"customDomainVerificationId": "0" * 64},
        zoneRedundant=False,
        peerAuthentication={"mtls": {"enabled": False}},
        peerTrafficConfiguration={"encryption": {"enabled": False}},
    )


def _account(state: State, item: Resource, properties: dict[str, Any]) -> None:
    name = properties.get("customSubDomainName", item["name"])
    _once(properties, endpoint=f"https://{name}.openai.azure.com/", internalId=state.guid(), apiProperties={})


def _deployment(state: State, item: Resource, properties: dict[str, Any]) -> None:
    _once(
        properties, raiPolicyName="Microsoft.DefaultV2", versionUpgradeOption="OnceNewDefaultVersionAvailable"
    )
    item.setdefault("systemData", {"createdAt": "2026-01-01T00:00:00Z"})


def _assignment(state: State, item: Resource, properties: dict[str, Any]) -> None:
    _once(properties, scope=item["id"].rpartition("/providers/")[0], principalType="User")


def _zone(state: State, item: Resource, properties: dict[str, Any]) -> None:
    path = f"{item['id']}/SOA/@"
    record = {
        "email": "azureprivatedns-host.microsoft.com",
        "expireTime": 2419200,
        "host": "azureprivatedns.net",
        "minimumTtl": 10,
        "refreshTime": 3600,
        "retryTime": 300,
        "serialNumber": 1,
    }
    start = {"fqdn": f"{item['name']}.", "ttl": 3600, "soaRecord": record}
    kind = "Microsoft.Network/privateDnsZones/SOA"
    state.resources.setdefault(path.lower(), {"id": path, "name": "@", "type": kind, "properties": start})


def _endpoint(state: State, item: Resource, properties: dict[str, Any]) -> None:
    """Its network interface, with an address of the subnet."""
    group = item["id"].partition("/providers/")[0]
    path = f"{group}/providers/Microsoft.Network/networkInterfaces/{item['name']}.nic"
    _once(properties, networkInterfaces=[{"id": path}], customDnsConfigs=[])
    address = {"name": "privateEndpointIpConfig", "properties": {"privateIPAddress": "10.20.3.4"}}
    state.resources[path.lower()] = {
        "id": path,
        "name": f"{item['name']}.nic",
        "type": "Microsoft.Network/networkInterfaces",
        "location": item["location"],
        "properties": {"provisioningState": "Succeeded", "ipConfigurations": [address]},
    }


_ADDED: dict[str, Callable[[State, Resource, dict[str, Any]], None]] = {
    "microsoft.app/managedenvironments": _environment,
    "microsoft.authorization/roleassignments": _assignment,
    "microsoft.cognitiveservices/accounts": _account,
    "microsoft.cognitiveservices/accounts/deployments": _deployment,
    "microsoft.containerregistry/registries": _registry,
    "microsoft.insights/components": _insights,
    "microsoft.keyvault/vaults": _vault,
    "microsoft.managedidentity/userassignedidentities": _identity,
    "microsoft.monitor/accounts": _monitor,
    "microsoft.network/privatednszones": _zone,
    "microsoft.network/privateendpoints": _endpoint,
    "microsoft.operationalinsights/workspaces": _workspace,
    "microsoft.storage/storageaccounts": _storage,
    "microsoft.storage/storageaccounts/blobservices/containers": _container,
}
