"""Section 1 of the gateway's behaviour: what it serves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import httpx
import pytest

from e2e.simulator import Simulator
from e2e.waiting import eventually
from tests.behaviour.conftest import API_VERSION, CHAT, Stage
from tests.behaviour.support import DEPLOYMENT_CHAT, V1_CHAT, V1_RESPONSES, attempts, chat
from tests.engines.raw_server import RawServer

CHAT_MESSAGES = [{"role": "user", "content": "Hello"}]
INFERENCE = [
    ("/openai/v1/chat/completions", {"model": "gpt-4o", "messages": CHAT_MESSAGES}),
    ("/openai/v1/completions", {"model": "gpt-4o", "prompt": "Hello"}),
    ("/openai/v1/embeddings", {"model": "text-embedding-3-small", "input": "Hello"}),
    ("/openai/v1/responses", {"model": "gpt-4o", "input": "Hello"}),
    ("/openai/v1/images/generations", {"model": "gpt-image-1", "prompt": "a gateway"}),
    ("/openai/v1/audio/speech", {"model": "tts-1", "input": "Hello", "voice": "alloy"}),
    (DEPLOYMENT_CHAT, {"messages": CHAT_MESSAGES}),
    (f"/openai/deployments/gpt-4o/completions?api-version={API_VERSION}", {"prompt": "Hello"}),
    (f"/openai/deployments/text-embedding-3-small/embeddings?api-version={API_VERSION}", {"input": "Hello"}),
    (
        f"/openai/deployments/gpt-image-1/images/generations?api-version={API_VERSION}",
        {"prompt": "a gateway"},
    ),
    (
        f"/openai/deployments/tts-1/audio/speech?api-version={API_VERSION}",
        {"input": "Hello", "voice": "alloy"},
    ),
    ("/openai/responses?api-version=2025-03-01-preview", {"model": "gpt-4o", "input": "Hello"}),
]


@pytest.mark.parametrize(("target", "body"), INFERENCE, ids=[target.split("?")[0] for target, _ in INFERENCE])
def test_s1_inference_paths_are_served(stage: Stage, target: str, body: dict[str, object]) -> None:
    assert stage.http(stage.shared_gateway()).post(target, json=body).status_code == 200


@pytest.mark.parametrize(
    "target",
    [
        V1_CHAT,
        V1_CHAT + "?api-version=preview",
        DEPLOYMENT_CHAT,
        DEPLOYMENT_CHAT + "&a=1&a=2&empty=&encoded=%2F%20x",
        "/openai/deployments/gpt%2D4o/chat/completions?api-version=2024-10-21",
    ],
)
def test_s1_path_and_query_reach_the_backend_exactly_as_sent(
    stage: Stage, sim: Simulator, target: str
) -> None:
    client = stage.http(stage.shared_gateway())
    client.request(
        "POST",
        "/",
        json={"model": "gpt-4o", "messages": CHAT_MESSAGES},
        extensions={"target": target.encode()},
    )
    assert sim.wait_for_requests("eastus")[0].path == target


@pytest.mark.parametrize("target", [V1_CHAT, DEPLOYMENT_CHAT])
def test_s1_an_unchanged_body_arrives_byte_for_byte(stage: Stage, sim: Simulator, target: str) -> None:
    body = (
        b'{ "seed":12345678901234567890, "model":"gpt-4o",\n'
        b' "messages":[{"role":"user","content":"\\u00e9\xc3\xa9"}],"temperature":0.10, "user":null }'
    )
    stage.http(stage.shared_gateway()).post(
        target, content=body, headers={"content-type": "application/json"}
    )
    assert sim.requests("eastus")[0].body == body


def test_s1_no_query_stays_no_query(stage: Stage, sim: Simulator) -> None:
    chat(stage.http(stage.shared_gateway()))
    assert "?" not in sim.requests("eastus")[0].path


def test_s1_a_body_larger_than_nginx_buffers_arrives_whole(stage: Stage, sim: Simulator) -> None:
    text = "x" * 3_000_000
    chat(stage.http(stage.shared_gateway()), messages=[{"role": "user", "content": text}])
    assert text.encode() in sim.requests("eastus")[0].body


def test_s1_a_body_over_the_limit_is_413(stage: Stage) -> None:
    client = stage.http(stage.gateway(["eastus"], MAX_REQUEST_BODY_MB=1))
    assert chat(client, user="x" * 1_100_000).status_code == 413


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"text"'])
def test_s1_a_body_that_is_no_json_object_is_400_in_openai_shape(stage: Stage, body: bytes) -> None:
    client = stage.http(stage.shared_gateway())
    response = client.post(V1_CHAT, content=body, headers={"content-type": "application/json"})
    assert (response.status_code, "JSON" in response.json()["error"]["message"]) == (400, True)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("application/x-www-form-urlencoded", "its Content-Type is application/x-www-form-urlencoded."),
        ("Text/Plain; charset=utf-8", "its Content-Type is text/plain."),
        ("odd", "its Content-Type is another."),
    ],
)
def test_s1_json_of_another_content_type_is_400_and_the_answer_names_the_right_one(
    stage: Stage, given: str, words: str
) -> None:
    client = stage.http(stage.shared_gateway())
    body = b'{"model":"gpt-4o","messages":[]}'
    answer = client.post(V1_CHAT, content=body, headers={"content-type": given})
    message = answer.json()["error"]["message"]
    assert (answer.status_code, "Content-Type: application/json" in message, words in message) == (
        400,
        True,
        True,
    )


@pytest.mark.parametrize("target", [V1_RESPONSES, "/openai/v1/conversations"])
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"input":' + b"[" * 200 + b"]" * 200 + b"}", "deep"),
        (b'{"input":[' + b"[]," * 1_000_000 + b"[]]}", "more than 1000000"),
    ],
    ids=["deep", "many"],
)
def test_s1_json_that_is_too_complex_is_400(
    stage: Stage, sim: Simulator, target: str, body: bytes, words: str
) -> None:
    client = stage.http(stage.shared_gateway())
    answer = client.post(target, content=body, headers={"content-type": "application/json"})
    error = answer.json()["error"]
    assert (answer.status_code, words in error["message"], sim.requests("eastus")) == (400, True, [])


def test_s1_broken_json_is_400_and_the_answer_says_where(stage: Stage) -> None:
    answer = stage.http(stage.shared_gateway()).post(
        V1_CHAT, content=b'{"model": "gpt-4o",}', headers={"content-type": "application/json"}
    )
    assert "at byte 20" in answer.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"{}", b'{"model":"gpt-4o","input":"\\ud83d"}'], ids=["empty", "surrogate"])
def test_s1_odd_objects_reach_the_backend_as_they_are(stage: Stage, sim: Simulator, body: bytes) -> None:
    client = stage.http(stage.shared_gateway())
    client.post(V1_RESPONSES, content=body, headers={"content-type": "application/json"})
    assert [request.body for request in sim.requests("eastus")] == [body]


@pytest.mark.parametrize("body", [b"[]", b'"text"'])
def test_s1_json_that_is_no_object_is_400_and_the_answer_says_so(stage: Stage, body: bytes) -> None:
    client = stage.http(stage.shared_gateway())
    answer = client.post(V1_RESPONSES, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, "object" in answer.json()["error"]["message"]) == (400, True)


def ask(client: httpx.Client, target: str) -> httpx.Response:
    """A chat at a target that is sent as it is written."""
    return client.post("/", json=CHAT, extensions={"target": target.encode()})


@pytest.mark.parametrize("slashes", ["//", "///"])
@pytest.mark.parametrize("target", [V1_CHAT, DEPLOYMENT_CHAT])
def test_s1_empty_segments_at_the_beginning_are_left_out(
    stage: Stage, sim: Simulator, slashes: str, target: str
) -> None:
    answer = ask(stage.http(stage.shared_gateway()), slashes + target[1:])
    assert (answer.status_code, sim.requests("eastus")[0].path) == (200, target)


def test_s1_empty_segments_anywhere_else_are_400(stage: Stage, sim: Simulator) -> None:
    answer = ask(stage.http(stage.shared_gateway()), "//openai//v1/chat/completions")
    assert (answer.status_code, sim.requests("eastus")) == (400, [])


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_b1_t6_a_body_of_any_size_keeps_its_other_bytes(stage: Stage, sim: Simulator, size: int) -> None:
    text = "x" * size
    messages = f'"messages":[{{"role":"user","content":"{text}"}}]'
    gateway = stage.gateway(["eastus"], AZURE_OPENAI_DEPLOYMENTS_0="gpt-4o=my-gpt4o")
    body = f'{{"stream":true, {messages}, "model":"gpt-4o"}}'
    stage.http(gateway).post(V1_CHAT, content=body, headers={"content-type": "application/json"})
    expected = '{"stream_options":{"include_usage":true},' + body[1:].replace("gpt-4o", "my-gpt4o")
    assert sim.requests("eastus")[0].body == expected.encode()


@pytest.mark.parametrize("model", [{"name": "gpt-4o"}, 4, True, ["gpt-4o"]])
def test_s1_a_model_that_is_no_string_is_400_in_openai_shape(stage: Stage, model: object) -> None:
    response = chat(stage.http(stage.shared_gateway()), model=model)
    assert (response.status_code, "'model'" in response.json()["error"]["message"]) == (400, True)


def test_s1_a_null_model_is_nothing_to_worry_about_on_the_deployments_surface(stage: Stage) -> None:
    client = stage.http(stage.shared_gateway())
    response = client.post(DEPLOYMENT_CHAT, json={"model": None, "messages": CHAT_MESSAGES})
    assert response.status_code == 200


def test_s1_the_official_client_works_with_base_url_and_key_alone(stage: Stage) -> None:
    client = stage.openai(stage.shared_gateway())
    answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hello"}])
    assert answer.choices[0].message.content


def test_s1_the_official_azure_client_works_with_endpoint_and_key_alone(stage: Stage) -> None:
    client = stage.azure(stage.shared_gateway())
    answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hello"}])
    assert answer.choices[0].message.content


def test_s2_get_is_served(stage: Stage) -> None:
    assert stage.http(stage.shared_gateway()).get("/openai/v1/models").status_code == 200


def test_s2_head_is_served_without_a_body(stage: Stage) -> None:
    response = stage.http(stage.shared_gateway()).head("/openai/v1/models")
    assert (response.status_code < 500, response.content) == (True, b"")


def test_s2_delete_is_served(stage: Stage) -> None:
    client = stage.openai(stage.shared_gateway())
    response = client.responses.create(model="gpt-4o", input="Hello")
    client.responses.delete(response.id)
    with pytest.raises(Exception, match="404"):
        client.responses.retrieve(response.id)


def test_s2_a_post_without_a_body_is_served(stage: Stage, sim: Simulator) -> None:
    client = stage.openai(stage.gateway(["eastus"]))
    response = client.responses.create(model="gpt-4o", input="Hello", background=True)
    client.responses.cancel(response.id)
    assert sim.requests("eastus")[-1].body == b""


@pytest.mark.parametrize("size", [1_000, 5_000_000])
def test_s2_multipart_uploads_arrive_byte_for_byte(stage: Stage, sim: Simulator, size: int) -> None:
    audio = bytes(range(256)) * (size // 256)
    client = stage.openai(stage.shared_gateway())
    client.audio.transcriptions.create(model="whisper-1", file=("speech.wav", audio))
    assert audio in sim.requests("eastus")[0].body


def test_s2_an_upload_fails_over_with_its_whole_body(stage: Stage, sim: Simulator) -> None:
    audio = bytes(range(256)) * 20_000
    sim.fail("eastus", status=429, retry_after=5)
    client = stage.openai(stage.gateway(AZURE_OPENAI_PRIORITY_0=10))
    client.audio.transcriptions.create(model="whisper-1", file=("speech.wav", audio))
    assert audio in sim.requests("westus")[0].body


def test_s2_an_upload_on_a_connection_that_has_died_is_sent_again_from_its_start(stage: Stage) -> None:
    created = (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",)
    audio = bytes(range(256)) * 20_000
    with RawServer([created, RawServer.CUT], [created]) as backend:
        client = stage.http(stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url))
        answers = [client.post("/openai/v1/files", files={"file": audio}) for _ in range(2)]
    assert ([answer.status_code for answer in answers], audio in backend.requests[-1]) == ([200, 200], True)


def test_f1_a_refusal_of_an_upload_that_comes_early_is_the_clients(stage: Stage, sim: Simulator) -> None:
    with RawServer([RawServer.REFUSE]) as backend:
        client = stage.http(stage.gateway(AZURE_OPENAI_ENDPOINT_0=backend.url, AZURE_OPENAI_PRIORITY_0=10))
        answer = client.post("/openai/v1/files", files={"file": b"x" * 30_000_000})
    assert (answer.status_code, sim.requests("westus")) == (413, [])


def test_s2_the_deployment_of_an_upload_is_read_from_its_form(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=429, retry_after=60, deployment="whisper-1")
    gateway = stage.gateway(AZURE_OPENAI_PRIORITY_0=10)
    stage.openai(gateway).audio.transcriptions.create(model="whisper-1", file=("a.wav", b"RIFF"))
    assert chat(stage.http(gateway)).headers["x-gateway-attempts"] == "eastus:200"


def test_s2_binary_answers_arrive_byte_for_byte(stage: Stage, sim: Simulator) -> None:
    target, speech = "/openai/v1/audio/speech", {"model": "tts-1", "input": "Hello", "voice": "alloy"}
    with httpx.Client(base_url=sim.endpoint("eastus"), headers={"api-key": "key-of-eastus"}) as direct:
        sound = direct.post(target, json=speech).content
    through = stage.http(stage.shared_gateway()).post(target, json=speech).content
    assert (len(through) > 0, through) == (True, sound)


@pytest.mark.parametrize("status", [100, 102, 103])
def test_s1_an_interim_answer_is_not_the_answer(stage: Stage, status: int) -> None:
    def answer(body: bytes) -> tuple[bytes, ...]:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        return (b"HTTP/1.1 %d Interim\r\n\r\n" % status, head + body)

    with RawServer([answer(b'{"n":1}'), answer(b'{"n":2}'), RawServer.HOLD]) as backend:
        client = stage.http(stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url))
        assert [chat(client).json(), chat(client).json()] == [{"n": 1}, {"n": 2}]


def test_s1_a_switch_of_protocols_that_nobody_asked_for_is_a_failed_attempt(stage: Stage) -> None:
    with RawServer([(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",)]) as backend:
        gateway = stage.gateway(AZURE_OPENAI_ENDPOINT_0=backend.url, AZURE_OPENAI_PRIORITY_0=10)
        assert attempts(chat(stage.http(gateway))) == ["eastus:reset", "westus:200"]


def test_s1_an_answer_of_two_lengths_is_a_failed_attempt(stage: Stage) -> None:
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n"
    )
    with RawServer([(head + b"{} ",)]) as backend:
        gateway = stage.gateway(AZURE_OPENAI_ENDPOINT_0=backend.url, AZURE_OPENAI_PRIORITY_0=10)
        assert attempts(chat(stage.http(gateway))) == ["eastus:reset", "westus:200"]


def test_f4_a_request_at_which_a_backend_hangs_up_is_repeated_once_at_the_most(stage: Stage) -> None:
    warm = (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",)
    with RawServer(*[[warm, RawServer.CUT]] * 4, [RawServer.CUT]) as backend:
        gateway = stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url)
        clients = [stage.http(gateway) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(chat, clients))
        before = backend.connections
        # One when the backend took its time to hang up.
        assert attempts(chat(clients[0])) in (["eastus:reset"], ["eastus:reset"] * 2)
        assert backend.connections - before <= 1


def test_f4_the_new_connection_of_a_repeated_request_is_not_kept_open(stage: Stage) -> None:
    warm = (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",)
    with RawServer([warm, RawServer.CUT], [warm, RawServer.HOLD]) as backend:
        client = stage.http(stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url))
        assert [chat(client).status_code for _ in range(2)] == [200, 200]
        eventually(lambda: (backend.connections, backend.open_connections) == (2, 0))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize(
    "path", ["v1/Chat/Completions", "Deployments/gpt-4o/chat/completions", "V1/responses", "Responses"]
)
def test_s4_inference_in_another_case_is_404(stage: Stage, sim: Simulator, method: str, path: str) -> None:
    client = stage.http(stage.shared_gateway())
    answer = client.request(method, f"/openai/{path}", json={"model": "gpt-4o", "messages": []})
    assert (answer.status_code, sim.requests("eastus")) == (404, [])


def test_s2_a_large_file_is_passed_on_as_it_is_read(stage: Stage) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 20000000\r\n\r\n"
    with RawServer([(head, b"[" + b" " * 100_000), RawServer.WAIT]) as backend:
        client = stage.http(stage.gateway(["eastus"], AZURE_OPENAI_ENDPOINT_0=backend.url))
        with client.stream("GET", "/openai/v1/files/file-1/content") as response:
            # The rest is not there yet.
            assert next(response.iter_raw())[:1] == b"["


def test_s2_errors_fail_over_like_inference(stage: Stage, sim: Simulator) -> None:
    sim.fail("eastus", status=503)
    response = stage.http(stage.gateway(AZURE_OPENAI_PRIORITY_0=10)).get("/openai/v1/models")
    assert response.headers["x-gateway-attempts"] == "eastus:503,westus:200"


@pytest.mark.parametrize(
    "path",
    [
        "/openai//deployments/gpt-4o/chat/completions",
        "/openai/./deployments/gpt-4o/chat/completions",
        "/openai/deployments/o1/../gpt-4o/chat/completions",
        "/openai/deployments/gpt-4o/chat/completions/",
        "/openai/deployments/gpt-4o%2Fchat/completions",
        "/openai/deployments/gpt-4o/..%5c..%5cdeployments%5co1/chat/completions",
        "/openai/deployments/%2e%2e/chat/completions",
        "/openai/%64eployments/gpt-4o/chat/completions",
        "/openai/Deployments/gpt-4o/audio/transcriptions",
        "/openai/V1/files",
        "/%6fpenai/v1/chat/completions",
    ],
)
def test_s1_a_path_that_could_mean_something_else_to_a_backend_is_400(
    stage: Stage, sim: Simulator, path: str
) -> None:
    client = stage.http(stage.shared_gateway())
    answer = client.post("/", json={"messages": CHAT_MESSAGES}, extensions={"target": path.encode()})
    assert (answer.status_code, answer.json()["error"]["code"], sim.requests("eastus")) == (
        400,
        "invalid_request",
        [],
    )


@pytest.mark.parametrize("name", ["gpt 4o", "a:b", "50%"])
def test_s1_a_deployment_may_have_a_name_that_needs_encoding(stage: Stage, sim: Simulator, name: str) -> None:
    client = stage.http(stage.shared_gateway())
    answer = client.post(
        f"/openai/deployments/{quote(name)}/chat/completions?api-version={API_VERSION}",
        json={"messages": CHAT_MESSAGES},
    )
    assert (answer.status_code, sim.requests("eastus") != []) == (200, True)


@pytest.mark.parametrize(
    "model",
    ["m" * 129, "m" * 2_000_000, "a\nb", "a\x00b", "/files"],
    ids=["long", "2 MB", "two lines", "a zero", "a path"],
)
def test_s1_a_name_that_no_deployment_can_have_is_404(stage: Stage, sim: Simulator, model: str) -> None:
    answer = chat(stage.http(stage.shared_gateway()), model=model)
    assert (answer.status_code, answer.json()["error"]["code"], sim.requests("eastus")) == (
        404,
        "DeploymentNotFound",
        [],
    )


@pytest.mark.parametrize("path", ["/", "/v1/chat/completions", "/openai", "/apisix/admin/routes", "/metrics"])
def test_s4_anything_else_is_404_in_openai_error_shape(stage: Stage, path: str) -> None:
    response = stage.http(stage.shared_gateway()).post(path, json={})
    assert (response.status_code, response.json()["error"]["type"]) == (404, "not_found_error")


def test_s4_leaving_openai_by_dots_reaches_no_backend(stage: Stage, sim: Simulator) -> None:
    stage.http(stage.shared_gateway()).get("/", extensions={"target": b"/openai/../admin"})
    assert sim.requests("eastus") == []


def test_s5_liveness_needs_no_key(stage: Stage) -> None:
    assert stage.http(stage.shared_gateway(), key=None).get("/health/live").status_code == 200


def test_s5_readiness_needs_no_key(stage: Stage) -> None:
    assert stage.http(stage.shared_gateway(), key=None).get("/health/ready").status_code == 200
