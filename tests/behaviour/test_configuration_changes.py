"""Section 10 of the gateway's behaviour: new settings while requests are running, and stopping."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import httpx
import pytest
import yaml

from e2e.simulator import Region, Simulator
from e2e.waiting import eventually
from renderer import ConfigurationError
from scripts.engines import EngineError, Gateway
from tests.behaviour.conftest import CHAT, CLIENT_KEY, REGIONS, Stage
from tests.behaviour.support import V1_CHAT, attempts, chat, winner

EASTUS_FIRST: dict[str, Any] = {"AZURE_OPENAI_PRIORITY_0": 10}
STREAM: dict[str, Any] = CHAT | {"stream": True}
NEW_CLIENT_KEY = "client-key-of-team-a-0002"


@pytest.fixture
def rotating(pytestconfig: pytest.Config) -> Iterator[Stage]:
    """A stage whose regions accept two keys each, as Azure's do."""
    regions = [Region(name, key=f"key-of-{name}", secondary_key=f"new-key-of-{name}") for name in REGIONS]
    with Simulator(regions) as sim, ExitStack() as stack:
        yield Stage(sim, pytestconfig.getoption("--engine"), stack)


def rendered(gateway: Gateway) -> dict[str, Any]:
    """The configuration that the gateway has."""
    content: dict[str, Any] = yaml.safe_load((gateway.directory / "apisix.yaml").read_text())
    return content


def with_metadata(gateway: Gateway, plugin: str, **members: object) -> str:
    """The gateway's configuration with other members in one plugin's metadata."""
    content = rendered(gateway)
    next(item for item in content["plugin_metadata"] if item["id"] == plugin).update(members)
    return yaml.safe_dump(content) + "#END\n"


def put_in_place(gateway: Gateway, apisix_yaml: str) -> None:
    """Replaces apisix.yaml; the engine may refuse it as a whole or in part."""
    with suppress(EngineError):
        gateway.replace_configuration(apisix_yaml)


def test_c1_the_renderer_refuses_with_every_error(stage: Stage) -> None:
    gateway = stage.gateway()
    wrong = stage.environment(AZURE_OPENAI_WEIGHT_0=-1, GATEWAY_LOG_MODE="none", LB_ALG="random")
    with pytest.raises(ConfigurationError) as refused:
        gateway.reload(wrong)
    assert len(refused.value.problems) == 3


def test_c1_what_the_renderer_refuses_changes_nothing(stage: Stage) -> None:
    gateway = stage.gateway()
    before = (gateway.directory / "apisix.yaml").read_bytes()
    with pytest.raises(ConfigurationError):
        gateway.reload(stage.environment(AZURE_OPENAI_WEIGHT_0=-1))
    assert (gateway.directory / "apisix.yaml").read_bytes() == before


@pytest.mark.parametrize(
    "text", ["routes: [}\n#END\n", "routes: []\n", ""], ids=["no yaml", "no end", "empty"]
)
def test_c1_a_file_that_is_not_whole_leaves_the_last_good_one(stage: Stage, text: str) -> None:
    gateway = stage.gateway()
    with pytest.raises(EngineError):
        gateway.replace_configuration(text)
    assert chat(stage.http(gateway)).status_code == 200


@pytest.mark.parametrize(
    ("plugin", "members"),
    [
        ("azure-openai-gateway", {"backends": []}),
        ("azure-openai-gateway", {"backends": [{"name": "x", "endpoint": "no address"}]}),
        ("azure-openai-gateway", {"failover": {"connect_timeout_ms": "soon"}}),
        ("azure-openai-auth", {"clients": [{"name": "team-a", "key_sha256": ["no digest"]}]}),
    ],
)
def test_c1_invalid_backends_or_clients_leave_the_last_good_ones(
    stage: Stage, plugin: str, members: dict[str, Any]
) -> None:
    gateway = stage.gateway(**EASTUS_FIRST)
    client = stage.http(gateway)
    chat(client)
    put_in_place(gateway, with_metadata(gateway, plugin, **members))
    assert attempts(chat(client)) == ["eastus:200"]


def test_c1_a_refused_configuration_admits_nobody_new(stage: Stage) -> None:
    gateway = stage.gateway()
    put_in_place(gateway, with_metadata(gateway, "azure-openai-auth", clients=[]))
    assert chat(stage.http(gateway, "not-a-key-of-anybody")).status_code == 401


def test_c1_a_good_file_after_a_bad_one_is_taken_up(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    put_in_place(gateway, with_metadata(gateway, "azure-openai-gateway", backends=[]))
    gateway.reload(stage.environment(["westus"]))
    assert winner(chat(stage.http(gateway))) == "westus"


def test_c1_no_log_shows_the_secrets_of_a_refused_configuration(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    backends = [{"name": "eastus", "endpoint": "http://127.0.0.1:1", "key": "a-new-secret-key", "weight": -1}]
    put_in_place(gateway, with_metadata(gateway, "azure-openai-gateway", backends=backends))
    if stage.engine != "embedded":
        pytest.skip("APISIX itself logs an invalid item with its values; the renderer never writes one")
    assert "a-new-secret-key" not in gateway.error_log.read_text()


class Load:
    """Clients that send numbered requests, one after the other, until they are stopped."""

    def __init__(self, clients: list[httpx.Client]) -> None:
        self.statuses: Counter[int | str] = Counter()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(client, number)) for number, client in enumerate(clients)
        ]

    @property
    def sent(self) -> int:
        """How many requests have been answered."""
        return sum(self.statuses.values())

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _run(self, client: httpx.Client, number: int) -> None:
        count = 0
        while not self._stopped.is_set():
            count += 1
            status = self._send(client, f"{number}-{count}", stream=count % 2 == 0)
            with self._lock:
                self.statuses[status] += 1

    @staticmethod
    def _send(client: httpx.Client, user: str, *, stream: bool) -> int | str:
        try:
            answer = chat(client, user=user, stream=stream)
        except httpx.HTTPError as error:
            return type(error).__name__
        broken = stream and not answer.text.endswith("data: [DONE]\n\n")
        return "incomplete" if broken else answer.status_code


@contextmanager
def under_load(stage: Stage, gateway: Gateway) -> Iterator[Load]:
    """Load on the gateway, before, during and after what happens inside."""
    load = Load([stage.http(gateway) for _ in range(4)])
    load.start()
    try:
        eventually(lambda: load.sent >= 20, seconds=20)
        yield load
        afterwards = load.sent + 20
        eventually(lambda: load.sent >= afterwards, seconds=20)
    finally:
        load.stop()


def users(stage: Stage) -> Counter[str]:
    """How often each numbered request has reached a backend."""
    return Counter(request.json()["user"] for region in REGIONS for request in stage.sim.requests(region))


def rotated(stage: Stage, *backends: str, **settings: object) -> dict[str, str]:
    """The settings with the backends' second keys."""
    env = stage.environment(backends, **settings)
    return env | {f"AZURE_OPENAI_KEY_{n}": f"new-key-of-{region}" for n, region in enumerate(backends)}


def test_c2_a_rotated_key_and_a_new_backend_fail_no_request(rotating: Stage) -> None:
    gateway = rotating.gateway(["eastus", "westus"])
    with under_load(rotating, gateway) as load:
        gateway.reload(rotated(rotating, *REGIONS))
    assert set(load.statuses) == {200}


def test_c2_nor_is_one_sent_twice(rotating: Stage) -> None:
    gateway = rotating.gateway(["eastus", "westus"])
    with under_load(rotating, gateway) as load:
        gateway.reload(rotated(rotating, *REGIONS))
    assert (set(users(rotating).values()), len(users(rotating))) == ({1}, load.sent)


def test_c2_with_several_workers_too(rotating: Stage) -> None:
    gateway = rotating.gateway(["eastus", "westus"], workers=2)
    with under_load(rotating, gateway) as load:
        gateway.reload(rotated(rotating, *REGIONS))
    assert set(load.statuses) == {200}


def test_c2_the_new_key_is_used_from_then_on(rotating: Stage) -> None:
    gateway = rotating.gateway(["eastus"])
    chat(rotating.http(gateway))
    gateway.reload(rotated(rotating, "eastus"))
    chat(rotating.http(gateway))
    keys = [request.header("api-key") for request in rotating.sim.requests("eastus")]
    assert keys == ["key-of-eastus", "new-key-of-eastus"]


def test_c2_a_new_backend_serves(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"])
    gateway.reload(stage.environment(["eastus", "westus"]))
    client = stage.http(gateway)
    assert {winner(chat(client)) for _ in range(4)} == {"eastus", "westus"}


def test_c2_a_removed_backend_finishes_what_it_began(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", stall=3, after=2)
    gateway = stage.gateway(["eastus"])
    with stage.http(gateway).stream("POST", V1_CHAT, json=STREAM) as stream:
        pieces = stream.iter_text()
        text = next(pieces)
        gateway.reload(stage.environment(["westus"]))
        text += "".join(pieces)
    assert text.endswith("data: [DONE]\n\n")


def test_c2_a_throttled_backend_stays_throttled(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after=60)
    gateway = stage.gateway(**EASTUS_FIRST)
    client = stage.http(gateway)
    chat(client)
    gateway.reload(stage.environment(REGIONS, **EASTUS_FIRST))
    chat(client)
    assert len(sim.requests("eastus")) == 1


def test_c2_a_corrected_key_serves_at_once(stage: Stage) -> None:
    gateway = stage.gateway(["eastus"], AZURE_OPENAI_KEY_0="a-wrong-key-of-eastus")
    client = stage.http(gateway)
    chat(client)
    gateway.reload(stage.environment(["eastus"]))
    assert chat(client).status_code == 200


def with_client_keys(stage: Stage, *keys: str) -> dict[str, str]:
    names = ("GATEWAY_CLIENT_KEY_0", "GATEWAY_CLIENT_KEY_SECONDARY_0")
    return stage.environment(**dict(zip(names, keys, strict=False)))


def test_c2_a_client_rotates_its_key_without_a_gap(stage: Stage) -> None:
    gateway = stage.gateway()
    old, new = stage.http(gateway), stage.http(gateway, NEW_CLIENT_KEY)
    seen = [(chat(old).status_code, chat(new).status_code)]
    for keys in ((CLIENT_KEY, NEW_CLIENT_KEY), (NEW_CLIENT_KEY,)):
        gateway.reload(with_client_keys(stage, *keys))
        seen.append((chat(old).status_code, chat(new).status_code))
    assert seen == [(200, 401), (200, 200), (401, 200)]


def test_c2_a_client_that_rotates_fails_no_request(stage: Stage) -> None:
    gateway = stage.gateway()
    with under_load(stage, gateway) as load:
        gateway.reload(with_client_keys(stage, NEW_CLIENT_KEY, CLIENT_KEY))
    assert set(load.statuses) == {200}


def is_refusing(gateway: Gateway) -> bool:
    try:
        httpx.get(f"{gateway.url}/health/live", timeout=1)
    except httpx.TransportError:
        return True
    return False


@contextmanager
def stopping(gateway: Gateway) -> Iterator[None]:
    """A gateway that is stopping: it takes no new connections and finishes the running requests."""
    thread = threading.Thread(target=gateway.stop, kwargs={"grace": 20.0})
    thread.start()
    try:
        eventually(lambda: is_refusing(gateway), seconds=10)
        yield
    finally:
        thread.join()


def test_c3_a_stream_in_flight_finishes(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", stall=3, after=2)
    gateway = stage.gateway(["eastus"])
    with stage.http(gateway).stream("POST", V1_CHAT, json=STREAM) as stream:
        pieces = stream.iter_text()
        text = next(pieces)
        with stopping(gateway):
            text += "".join(pieces)
    assert text.endswith("data: [DONE]\n\n")


def test_c3_a_request_in_flight_finishes(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", slow_first_byte=3)
    gateway = stage.gateway(["eastus"])
    load = Load([stage.http(gateway)])
    load.start()
    sim.wait_for_requests("eastus")
    with stopping(gateway):
        eventually(lambda: load.sent >= 1, seconds=10)
        load.stop()
    assert load.statuses[200] == 1


def test_c3_a_failover_in_flight_finishes(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", slow_first_byte=3, status=503)
    gateway = stage.gateway(**EASTUS_FIRST)
    with ExitStack() as stack:
        answers: list[httpx.Response] = []
        client = stage.http(gateway)
        thread = threading.Thread(target=lambda: answers.append(chat(client)))
        thread.start()
        sim.wait_for_requests("eastus")
        stack.enter_context(stopping(gateway))
        thread.join()
    assert attempts(answers[0]) == ["eastus:503", "westus:200"]


def test_c3_a_gateway_that_has_nothing_to_do_stops_at_once(stage: Stage) -> None:
    gateway = stage.gateway()
    chat(stage.http(gateway))
    with stopping(gateway):
        pass
    assert gateway.wait(timeout=0) == 0
