"""`/++/config`: the part of another simulator's configuration that the APIM GenAI gateway toolkit uses.

The other one is microsoft/aoai-api-simulator. `GET` shows the configuration and `PATCH` merges a part of it,
both with the region's key. A change also empties the windows of all quotas, as there. Latencies are means in
ms: of completions for a whole answer, of chat for each token of it. Embeddings have none.
"""

from __future__ import annotations

import json

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from e2e.simulator.answers import Answer, json_answer
from e2e.simulator.problems import problems_of
from e2e.simulator.regions import Latency
from e2e.simulator.state import RegionState
from e2e.simulator.wire.http import Request

PATH = "/++/config"
COMPLETIONS, CHAT = "completions", "chat/completions"


class _Mean(BaseModel):
    model_config = ConfigDict(extra="ignore")
    mean: float | None = Field(default=None, ge=0)


class _Means(BaseModel):
    model_config = ConfigDict(extra="ignore")
    open_ai_completions: _Mean = _Mean()
    open_ai_chat_completions: _Mean = _Mean()


class _Change(BaseModel):
    model_config = ConfigDict(extra="ignore")
    latency: _Means = _Means()


def serve(request: Request, state: RegionState) -> Answer:
    """The answer to a request for the path; a change is in effect when this returns."""
    if request.method == "GET":
        return json_answer(_shown(state))
    if request.method != "PATCH":
        return json_answer({"detail": f"{PATH} takes GET and PATCH"}, 405)
    try:
        latency = _Change.model_validate(json.loads(request.body)).latency
    except ValidationError as error:
        return json_answer({"detail": problems_of(error)}, 422)
    except ValueError:
        return json_answer({"detail": "the body is not JSON"}, 422)
    if latency.open_ai_completions.mean is not None:
        state.set_latency(Latency(first_byte_ms=latency.open_ai_completions.mean), COMPLETIONS)
    if latency.open_ai_chat_completions.mean is not None:
        state.set_latency(Latency(per_token_ms=latency.open_ai_chat_completions.mean), CHAT)
    state.forget_use()
    return json_answer(_shown(state))


def _shown(state: RegionState) -> dict[str, object]:
    return {
        "simulator_mode": "generate",
        "latency": {
            "open_ai_completions": {"mean": state.latency_of(COMPLETIONS).first_byte_ms, "std_dev": 0},
            "open_ai_chat_completions": {"mean": state.latency_of(CHAT).per_token_ms, "std_dev": 0},
        },
    }
