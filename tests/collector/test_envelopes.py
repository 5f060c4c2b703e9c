"""What Application Insights gets: the envelopes that `azuremonitor` makes of a record and a trace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from e2e.simulator import Simulator
from e2e.waiting import eventually
from tests.collector.conftest import CHAT, CLIENT_KEY, Stage, rendered
from tests.collector.ingestion import Ingestion

ARRIVAL_SECONDS = 20
PATH = "/openai/v1/chat/completions"
Data = dict[str, Any]
Ask = Callable[[httpx.Client], None]


def ask(client: httpx.Client) -> None:
    client.post(PATH, json=CHAT)


def ask_in_vain(client: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(PATH, json=CHAT | {"stream": True})


def leave(client: httpx.Client) -> None:
    with client.stream("POST", PATH, json=CHAT | {"stream": True}) as stream:
        next(stream.iter_text())


THROTTLED = {"status": 429, "retry_after": 60}


@pytest.fixture
def observe(stage: Stage, simulator: Simulator, ingestion: Ingestion) -> Callable[..., None]:
    """Makes a request to a gateway that sends telemetry through a collector, and waits for its envelopes."""

    def make(how: Ask, attempts: int = 1, **faults: dict[str, Any]) -> None:
        insights = {"APPLICATIONINSIGHTS_CONNECTION_STRING": ingestion.connection_string}
        collector = stage.collector(rendered(**insights), environment=insights)
        simulator.reset()
        for region, fault in faults.items():
            simulator.fail(region, **fault)
        gateway = stage.gateway(
            OTEL_COLLECTOR_ENDPOINT=collector.otlp_endpoint,
            GATEWAY_LOG_MODE="dev",
            AZURE_OPENAI_PRIORITY_0="10",
            AZURE_OPENAI_NAME_1="westus",
            AZURE_OPENAI_ENDPOINT_1=simulator.endpoint("westus"),
            AZURE_OPENAI_KEY_1="key-of-westus",
        )
        with httpx.Client(base_url=gateway.url, headers={"api-key": CLIENT_KEY}) as client:
            how(client)
        eventually(lambda: len(ingestion.envelopes) >= attempts + 2, ARRIVAL_SECONDS)

    return make


def data_of(ingestion: Ingestion, base_type: str) -> list[Data]:
    """The data of the envelopes of a type, in the order of their times."""
    # As texts they have no order: their fractions of a second end with the last digit that is not 0.
    envelopes = sorted(ingestion.of_type(base_type), key=lambda each: datetime.fromisoformat(each["time"]))
    return [envelope["data"]["baseData"] for envelope in envelopes]


def request_of(ingestion: Ingestion) -> tuple[str, bool]:
    """`responseCode` and `success` of the only request."""
    [data] = data_of(ingestion, "RequestData")
    return data["responseCode"], data["success"]


def results_of(ingestion: Ingestion) -> list[tuple[str, bool]]:
    """`resultCode` and `success` of each attempt."""
    dependencies = data_of(ingestion, "RemoteDependencyData")
    return [(each["resultCode"], each.get("success", True)) for each in dependencies]


def test_a_success(observe: Callable[..., None], ingestion: Ingestion) -> None:
    observe(ask)
    assert (request_of(ingestion), results_of(ingestion)) == (("200", True), [("200", True)])


def test_a_failover(observe: Callable[..., None], ingestion: Ingestion) -> None:
    observe(ask, 2, eastus=THROTTLED)
    expected = ("200", True), [("429", False), ("200", True)]
    assert (request_of(ingestion), results_of(ingestion)) == expected


def test_an_attempt_without_an_answer_says_why(observe: Callable[..., None], ingestion: Ingestion) -> None:
    observe(ask, 2, eastus={"reset": True})
    assert results_of(ingestion) == [("2", False), ("200", True)]
    [failed, _] = data_of(ingestion, "RemoteDependencyData")
    assert failed["properties"]["error.type"] == "reset"


def test_a_throttled_request(observe: Callable[..., None], ingestion: Ingestion) -> None:
    observe(ask, 2, eastus=THROTTLED, westus=THROTTLED)
    expected = ("429", False), [("429", False), ("429", False)]
    assert (request_of(ingestion), results_of(ingestion)) == expected


def test_an_interrupted_stream_is_no_success(observe: Callable[..., None], ingestion: Ingestion) -> None:
    observe(ask_in_vain, eastus={"cut": 8})
    assert (request_of(ingestion), results_of(ingestion)) == (("502", False), [("502", False)])


def test_an_aborted_stream_is_no_success(observe: Callable[..., None], ingestion: Ingestion) -> None:
    observe(leave, eastus={"stall": 60, "after": 2})
    assert (request_of(ingestion), results_of(ingestion)) == (("499", False), [("200", True)])


def test_an_attempt_is_a_dependency_on_its_backend(
    observe: Callable[..., None], ingestion: Ingestion, simulator: Simulator
) -> None:
    observe(ask)
    [data] = data_of(ingestion, "RemoteDependencyData")
    endpoint = simulator.endpoint("eastus")
    found = data["type"], data["target"], data["data"]
    assert found == ("HTTP", urlsplit(endpoint).netloc, endpoint + PATH)


def test_a_request_has_the_name_of_its_operation(observe: Callable[..., None], ingestion: Ingestion) -> None:
    observe(ask)
    [data] = data_of(ingestion, "RequestData")
    assert (data["name"], data["url"]) == (f"POST {PATH}", f"http://127.0.0.1{PATH}")


def test_a_record_is_a_trace_of_its_request(observe: Callable[..., None], ingestion: Ingestion) -> None:
    observe(ask, 2, eastus=THROTTLED)
    [record], [request] = ingestion.of_type("MessageData"), ingestion.of_type("RequestData")
    data, tags = record["data"]["baseData"], record["tags"]
    operation = request["tags"]["ai.operation.id"], request["data"]["baseData"]["id"]
    assert (tags["ai.operation.id"], tags["ai.operation.parentId"]) == operation
    assert (data["message"], tags["ai.cloud.role"]) == (f"POST {PATH} 200 success", "azure-openai-gateway")
    properties = {name: data["properties"][name] for name in ("path", "status", "outcome", "backend")}
    assert properties == {"path": PATH, "status": "200", "outcome": "success", "backend": "westus"}
    assert '"status":429' in data["properties"]["attempts"]


@pytest.mark.parametrize(
    ("faults", "severity"), [({}, 1), ({"eastus": {"status": 500}, "westus": {"status": 500}}, 3)]
)
def test_the_outcome_is_the_severity_of_the_record(
    observe: Callable[..., None], ingestion: Ingestion, faults: dict[str, Any], severity: int
) -> None:
    observe(ask, 1 + len(faults) // 2, **faults)
    [data] = data_of(ingestion, "MessageData")
    assert data["severityLevel"] == severity
