"""Ephemeral keys for browsers, and calls over WebRTC that begin with one. No sound flows."""

from __future__ import annotations

import time

from e2e.simulator.answers import Answer, Json, json_answer
from e2e.simulator.calls import Call
from e2e.simulator.error_bodies import invalid_request
from e2e.simulator.state import RegionState, new_id

KIND = "ephemeral_keys"
_SECONDS = 60
_ANSWER = b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"


def make_secret(call: Call) -> Answer:
    """``POST …/realtime/client_secrets``."""
    session: Json = call.json.get("session") or {}
    seconds = (call.json.get("expires_after") or {}).get("seconds", _SECONDS)
    secret = _make(call, session.get("model"), seconds)
    return json_answer({**secret, "session": {"type": "realtime", "object": "realtime.session", **session}})


def make_session(call: Call) -> Answer:
    """``POST …/realtime/sessions``, and of the preview ``…/realtimeapi/sessions``."""
    secret = _make(call, call.json.get("model"), _SECONDS)
    return json_answer(
        {"id": new_id("sess_"), "object": "realtime.session", **call.json, "client_secret": secret}
    )


def begin_call(call: Call) -> Answer:
    """``POST …/realtime/calls`` with an offer in SDP."""
    if not call.request.body.startswith(b"v=0"):
        raise invalid_request("The body is no offer in SDP.")
    location = [("location", f"/v1/realtime/calls/{new_id('rtc_')}")]
    return Answer(201, _ANSWER, location, "application/sdp")


def deployment_of(state: RegionState, key: str) -> str | None:
    """The deployment whose session may begin with a key; ``None`` when the key is not good any more."""
    found = state.store.get(KIND, key)
    if not isinstance(found, dict) or found["expires_at"] < time.time():
        return None
    return str(found["deployment"])


def _make(call: Call, model: object, seconds: int) -> Json:
    if not isinstance(model, str):
        raise invalid_request("Missing required parameter: 'model'.", "model")
    if call.state.find_deployment(model) is None:
        raise call.forms.unknown_deployment(model)
    key, expires_at = new_id("ek_"), int(time.time()) + seconds
    call.state.store.put(KIND, key, {"deployment": model, "expires_at": expires_at})
    return {"value": key, "expires_at": expires_at}
