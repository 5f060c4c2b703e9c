"""Made-up results of scenarios."""

from __future__ import annotations

from collections.abc import Sequence

from e2e.criteria import Criterion, at_most, none
from e2e.load.samples import WHOLE, Sample
from e2e.scenarios.run import Result
from e2e.scenarios.scenario import Evidence, Scenario
from renderer import load_settings

SETTINGS = {
    "AZURE_OPENAI_ENDPOINT_0": "https://x.openai.azure.com",
    "AZURE_OPENAI_KEY_0": "k",
    "GATEWAY_CLIENT_NAME_0": "one",
    "GATEWAY_CLIENT_KEY_0": "a-key-of-more-than-16-characters",
}
GOOD = none("failed requests", 0, 100, 10)
BAD = at_most("slow <requests>", 7, 2, 100, 10)


def sample(at: float, **fields: object) -> Sample:
    """A good answer, unless `fields` say otherwise."""
    usual = {
        "phase": "steady",
        "label": "chat",
        "client": "client-one",
        "step": "chat",
        "status": 200,
        "end": WHOLE,
        "total_ms": 10.0,
        "backend": "payg-backend-1",
        "attempts": "payg-backend-1:200",
        "prompt_tokens": 3,
        "completion_tokens": 4,
    }
    return Sample(**{"at": at, **usual, **fields})  # type: ignore[arg-type]


def evidence(samples: Sequence[Sample]) -> Evidence:
    """What a run with these samples has shown."""
    found = Evidence(load_settings(SETTINGS), samples=list(samples))
    found.spans["steady"] = (min(s.at for s in samples), max(s.at for s in samples))
    found.marks.append((samples[0].at + 1, "key <removed>"))
    return found


def result(name: str = "some-scenario", criteria: Sequence[Criterion] = (GOOD,), **fields: object) -> Result:
    """A finished scenario with ten seconds of samples from two backends."""
    samples = [
        sample(1000 + n / 10, backend=f"payg-backend-{1 + n % 2}", total_ms=float(n)) for n in range(100)
    ]
    scenario = Scenario(name, "It promises <much>.", (), lambda _: [])
    return Result(scenario, 1.0, criteria, evidence(samples), **fields)  # type: ignore[arg-type]
