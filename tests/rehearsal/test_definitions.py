"""The stand-in refuses what Microsoft's definitions refuse. These tests need none of the real tools."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tests.rehearsal.azure.cloud import Cloud
from tests.rehearsal.azure.definitions import FOLDER, Definitions
from tests.rehearsal.azure.state import SUBSCRIPTION
from tests.rehearsal.azure.wire import Request, encode_token

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"

# Bodies that follow their definitions, as the provider writes them.
STORAGE = {
    "location": "swedencentral",
    "kind": "StorageV2",
    "sku": {"name": "Standard_ZRS"},
    "properties": {
        "minimumTlsVersion": "TLS1_2",
        "allowSharedKeyAccess": False,
        "publicNetworkAccess": "Enabled",
    },
}
VAULT = {
    "location": "swedencentral",
    "properties": {
        "tenantId": "11111111-2222-3333-4444-555555555555",
        "sku": {"family": "A", "name": "standard"},
        "enableRbacAuthorization": True,
        "accessPolicies": [],
    },
}
APP = {
    "location": "swedencentral",
    "properties": {
        "configuration": {
            "activeRevisionsMode": "Single",
            "ingress": {"external": True, "targetPort": 9080, "transport": "auto", "traffic": []},
        },
        "template": {
            "containers": [
                {
                    "name": "gateway",
                    "image": "gateway:1",
                    "resources": {"cpu": 0.5, "memory": "1Gi"},
                    "probes": [{"type": "Liveness", "httpGet": {"port": 7085, "path": "/status"}}],
                }
            ],
            "scale": {"minReplicas": 0, "maxReplicas": 2},
        },
    },
}
ALERT = {
    "location": "global",
    "properties": {
        "severity": 1,
        "enabled": True,
        "scopes": [GROUP],
        "evaluationFrequency": "PT1M",
        "windowSize": "PT5M",
        "criteria": {
            "odata.type": "Microsoft.Azure.Monitor.MultipleResourceMultipleMetricCriteria",
            "allOf": [
                {
                    "criterionType": "StaticThresholdCriterion",
                    "name": "m",
                    "metricName": "Requests",
                    "operator": "GreaterThan",
                    "threshold": 10,
                    "timeAggregation": "Total",
                }
            ],
        },
    },
}
BODIES = {
    "Microsoft.Storage/storageAccounts": ("2025-08-01", STORAGE),
    "Microsoft.KeyVault/vaults": ("2026-02-01", VAULT),
    "Microsoft.App/containerApps": ("2025-07-01", APP),
    "Microsoft.Insights/metricAlerts": ("2018-03-01", ALERT),
}

_CONTAINER = "properties.template.containers.0"
_CRITERION = "properties.criteria.allOf.0"

# (type, where, what is written there; None removes it)
FAULTS = [
    ("Microsoft.App/containerApps", "properties.configuration.ingress.transport", "http3"),
    ("Microsoft.App/containerApps", "properties.configuration.activeRevisionsMode", "single"),
    ("Microsoft.App/containerApps", f"{_CONTAINER}.resources.cpu", "0.5"),
    ("Microsoft.App/containerApps", f"{_CONTAINER}.resources.cpus", 0.5),
    ("Microsoft.App/containerApps", f"{_CONTAINER}.probes.0.type", "Live"),
    ("Microsoft.App/containerApps", "properties.template.scale.minReplica", 0),
    ("Microsoft.App/containerApps", "location", None),
    ("Microsoft.KeyVault/vaults", "properties.sku.name", "Standard"),
    ("Microsoft.KeyVault/vaults", "properties.sku", None),
    ("Microsoft.KeyVault/vaults", "properties.enableRbacAuthorisation", True),
    ("Microsoft.Storage/storageAccounts", "properties.minimumTlsVersion", "TLS1.2"),
    ("Microsoft.Storage/storageAccounts", "sku", None),
    ("Microsoft.Storage/storageAccounts", "properties.allowSharedKeyAccess", "no"),
    ("Microsoft.Insights/metricAlerts", f"{_CRITERION}.operator", "Above"),
    ("Microsoft.Insights/metricAlerts", f"{_CRITERION}.treshold", 10),
]


def changed(body: dict[str, Any], where: str, value: object) -> dict[str, Any]:
    """A copy of a body with one value changed, or removed."""
    made = copy.deepcopy(body)
    place: Any = made
    *path, last = where.split(".")
    for part in path:
        place = place[int(part)] if part.isdigit() else place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return made


def put(cloud: Cloud, kind: str, version: str, body: dict[str, Any]) -> int:
    """Status of the cloud's answer to a PUT."""
    token = encode_token({"aud": "https://management.azure.com"})
    target = f"{GROUP}/providers/{kind}/made?api-version={version}"
    headers = {"authorization": f"Bearer {token}"}
    request = Request("PUT", "management.azure.com", target, headers, json.dumps(body).encode())
    return cloud.answer(request).status


@pytest.fixture
def cloud() -> Cloud:
    made = Cloud()
    made.state.resources[GROUP.lower()] = {
        "id": GROUP,
        "name": "rg",
        "type": "Microsoft.Resources/resourceGroups",
        "location": "swedencentral",
    }
    return made


@pytest.mark.parametrize("kind", BODIES)
def test_a_body_that_follows_its_definition_is_accepted_and_counted(kind: str) -> None:
    version, body = BODIES[kind]
    found = Definitions().find(kind, version)
    assert found is not None
    assert found.problems("PUT", body) == []


@pytest.mark.parametrize(("kind", "where", "value"), FAULTS, ids=lambda value: str(value).rpartition(".")[2])
def test_a_planted_fault_is_refused(cloud: Cloud, kind: str, where: str, value: object) -> None:
    version, body = BODIES[kind]
    assert put(cloud, kind, version, changed(body, where, value)) == 400
    assert [line for line in cloud.ledger.refused if line.startswith(f"PUT {kind}: ")]


def test_a_version_that_was_not_recorded_is_listed_as_not_validated(cloud: Cloud) -> None:
    assert put(cloud, "Microsoft.Storage/storageAccounts", "2015-01-01", STORAGE) < 300
    assert cloud.ledger.not_validated == {"Microsoft.Storage/storageAccounts 2015-01-01 PUT": 1}


def test_a_version_must_be_named(cloud: Cloud) -> None:
    assert put(cloud, "Microsoft.Storage/storageAccounts", "", STORAGE) == 400


def test_a_reference_to_nothing_is_refused(cloud: Cloud) -> None:
    body = {
        **ALERT,
        "properties": {**ALERT["properties"], "scopes": [f"{GROUP}/providers/Microsoft.App/containerApps/a"]},
    }
    assert put(cloud, "Microsoft.Insights/metricAlerts", "2018-03-01", body) == 400


def test_what_is_required_is_not_required_of_a_merge_patch() -> None:
    found = Definitions().find("Microsoft.App/containerApps", "2025-07-01")
    assert found is not None
    assert found.problems("PATCH", {"tags": {"a": "b"}}) == []
    assert found.problems("PATCH", {"tag": {"a": "b"}}) != []


def test_every_definition_can_be_used() -> None:
    for path in FOLDER.glob("*.json"):
        document = json.loads(path.read_text(encoding="utf-8"))
        found = Definitions().find(document["resourceType"], document["apiVersion"])
        assert found is not None
        assert found.problems("PUT", {"nonsense": True}) != []
