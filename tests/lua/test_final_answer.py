"""The answer after the last candidate, at moments that a real request cannot be made to hit."""

from __future__ import annotations

from tests.engines.support import Lua


def test_f5_a_backend_that_recovers_just_after_it_was_passed_over_makes_no_404(lua: Lua) -> None:
    chunk = """
    local final_answer = require("apisix.plugins.azure-openai.outcome.final_answer")
    local backend = { name = "eastus", fingerprint = "1", weight = 1 }
    local plan = { deployment = "gpt-4o", size = 0 }
    local answer = final_answer.compose({ backends = { backend } }, {}, { plan }, {})
    return answer.status, answer.headers["retry-after"]
    """
    assert lua(chunk) == [503, 1]
