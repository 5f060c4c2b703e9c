"""``models`` of the Anthropic surface: the deployments of the region, whatever their models."""

from __future__ import annotations

from e2e.simulator.answers import Answer, Json, json_answer
from e2e.simulator.calls import Call

_WHEN_ANY_IS_SERVED = ["claude-sonnet-4-5", "claude-haiku-4-5"]
_CREATED = "2025-09-29T00:00:00Z"


def list_all(call: Call) -> Answer:
    """``GET …/models``."""
    names = call.state.deployment_names()
    data = [_model(name) for name in (_WHEN_ANY_IS_SERVED if names is None else names)]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return json_answer({"data": data, "has_more": False, "first_id": first, "last_id": last})


def get(call: Call, model_id: str) -> Answer:
    """``GET …/models/{id}``."""
    if call.state.find_deployment(model_id) is None:
        raise call.forms.unknown_deployment(model_id)
    return json_answer(_model(model_id))


def _model(name: str) -> Json:
    return {"type": "model", "id": name, "display_name": name, "created_at": _CREATED}
