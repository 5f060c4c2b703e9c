"""R1-R3: what a coding agent sends again with each turn leads to the backend that made it."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.simulator import Simulator
from tests.behaviour.conftest import Stage
from tests.behaviour.support import attempts
from tests.behaviour.test_stateful import on_eastus, respond

NOT_VERIFIED = "The encrypted content gAAA for item rs_1 could not be verified."
REFUSALS: dict[str, Any] = {
    "404 without a code": (404, {"message": "Item with id 'rs_1' not found.", "code": None}),
    "400 without a code": (400, {"message": "Item with id 'rs_1' not found.", "code": None}),
    "404 with the status as its code": (404, {"message": "Item with id 'rs_1' not found.", "code": "404"}),
    "not verified": (400, {"message": NOT_VERIFIED, "code": None}),
    "invalid_encrypted_content": (400, {"message": NOT_VERIFIED, "code": "invalid_encrypted_content"}),
}
SEALED: dict[str, Any] = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [],
    "encrypted_content": "sealed.westus.1",
}


@pytest.mark.parametrize("name", REFUSALS)
def test_r2_an_item_that_one_backend_refuses_is_offered_to_the_next(
    stage: Stage, sim: Simulator, name: str
) -> None:
    status, error = REFUSALS[name]
    sim.fail("eastus", status=status, body={"error": {"type": "invalid_request_error", **error}})
    assert attempts(respond(on_eastus(stage), input=[SEALED])) == [f"eastus:{status}", "westus:200"]
