"""``models``: the deployments of the region."""

from __future__ import annotations

from e2e.simulator.answers import Answer, Json, json_answer
from e2e.simulator.calls import Call
from e2e.simulator.error_bodies import not_found

_WHEN_ANY_IS_SERVED = ["gpt-4o", "gpt-4o-mini", "text-embedding-3-small"]
_CREATED = 1_715_644_800


def list_all(call: Call) -> Answer:
    """``GET …/models``."""
    return json_answer({"object": "list", "data": [_model(name) for name in _names(call)]})


def get(call: Call, model_id: str) -> Answer:
    """``GET …/models/{id}``."""
    if model_id not in _names(call) and call.state.region.deployments is not None:
        raise not_found(f"The model '{model_id}' does not exist", "model", "model_not_found")
    return json_answer(_model(model_id))


def _names(call: Call) -> list[str]:
    names = call.state.deployment_names()
    return _WHEN_ANY_IS_SERVED if names is None else names


def _model(name: str) -> Json:
    embeds = "embedding" in name
    return {
        "id": name,
        "object": "model",
        "created": _CREATED,
        "created_at": _CREATED,
        "owned_by": "system",
        "status": "succeeded",
        "lifecycle_status": "generally-available",
        "capabilities": {
            "fine_tune": False,
            "inference": True,
            "completion": False,
            "chat_completion": not embeds,
            "embeddings": embeds,
        },
    }
