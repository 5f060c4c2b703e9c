"""Realtime sessions over a WebSocket, with the official client and without."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import openai
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from e2e.simulator import Simulator

USER_ITEM: Any = {
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": "hello there"}],
}


def dial(sim: Simulator, path: str, key: str = "key-east") -> ClientConnection:
    url = sim.endpoint("eastus").replace("http:", "ws:") + path
    return connect(url, additional_headers={"api-key": key}, proxy=None)


def test_official_client_talks_over_v1(sim: Simulator) -> None:
    base = sim.endpoint("eastus") + "/openai/v1"
    client = openai.OpenAI(base_url=base, websocket_base_url=base.replace("http:", "ws:"), api_key="key-east")
    with client.realtime.connect(model="gpt-realtime") as session:
        assert session.recv().type == "session.created"
        session.conversation.item.create(item=USER_ITEM)
        session.response.create()
        text = ""
        for event in session:
            if event.type == "response.output_text.delta":
                text += event.delta
            if event.type == "response.done":
                break
    assert text.startswith("eastus/gpt-realtime#1: hello there")


def test_preview_path_speaks_the_preview_names(sim: Simulator) -> None:
    with dial(sim, "/openai/realtime?api-version=2024-10-01-preview&deployment=gpt-realtime") as session:
        session.send(json.dumps({"type": "response.create"}))
        kinds: list[str] = []
        while "response.done" not in kinds:
            kinds.append(json.loads(session.recv())["type"])
    assert kinds[:2] == ["session.created", "response.created"]
    assert kinds.count("response.text.delta") == 16


def test_session_can_be_updated(sim: Simulator) -> None:
    with dial(sim, "/openai/v1/realtime?model=gpt-realtime") as session:
        session.recv()
        session.send(json.dumps({"type": "session.update", "session": {"instructions": "be brief"}}))
        assert json.loads(session.recv())["session"]["instructions"] == "be brief"


@pytest.mark.parametrize("message", ["{", "[]", '{"type": "unheard.of"}'])
def test_unknown_event_is_answered_by_an_error(sim: Simulator, message: str) -> None:
    with dial(sim, "/openai/v1/realtime?model=gpt-realtime") as session:
        session.recv()
        session.send(message)
        assert json.loads(session.recv())["type"] == "error"


def test_fragmented_messages_are_put_together(sim: Simulator) -> None:
    with dial(sim, "/openai/v1/realtime?model=gpt-realtime") as session:
        session.recv()
        session.send(['{"type": "session.', 'update", "session"', ': {"instructions": "x"}}'])
        assert json.loads(session.recv())["type"] == "session.updated"


def test_wrong_key_is_refused_before_the_upgrade(sim: Simulator) -> None:
    with pytest.raises(InvalidStatus) as caught:
        dial(sim, "/openai/v1/realtime?model=gpt-realtime", key="wrong")
    assert caught.value.response.status_code == 401


def test_plain_get_is_a_bad_request(http: httpx.Client) -> None:
    assert http.get("/openai/v1/realtime?model=gpt-realtime").status_code == 400


def test_status_fault_refuses_the_upgrade(sim: Simulator) -> None:
    sim.fail("eastus", status=429, path="/realtime")
    with pytest.raises(InvalidStatus) as caught:
        dial(sim, "/openai/v1/realtime?model=gpt-realtime")
    assert caught.value.response.status_code == 429


def test_cut_breaks_a_session_off(sim: Simulator) -> None:
    sim.fail("eastus", cut=3)
    with dial(sim, "/openai/v1/realtime?model=gpt-realtime") as session:
        session.send(json.dumps({"type": "response.create"}))
        received = []
        with pytest.raises(ConnectionClosed):  # noqa: PT012 - any of the reads may be the one that fails
            while True:
                received.append(session.recv())
    assert len(received) == 3


def test_orderly_close_is_no_disconnect(sim: Simulator) -> None:
    with dial(sim, "/openai/v1/realtime?model=gpt-realtime") as session:
        session.recv()
    assert not sim.wait_for_answers("eastus")[0].client_disconnected


def test_dropped_session_is_a_disconnect(sim: Simulator) -> None:
    with dial(sim, "/openai/v1/realtime?model=gpt-realtime") as session:
        session.recv()
        session.socket.shutdown(socket.SHUT_RDWR)
    assert sim.wait_for_disconnect("eastus").status == 101
