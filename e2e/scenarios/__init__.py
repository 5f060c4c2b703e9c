"""The scenarios, one module for each family; `ALL` has them by name.

`scenario` says what a scenario is, `run` plays one, and `shared` holds what several measure in the same way.
"""

from e2e.scenarios import (
    affinity,
    latency,
    neighbours,
    outage,
    prioritization,
    rotation,
    round_robin,
    scalability,
    spillover,
    streams,
    throttling,
    usage,
)
from e2e.scenarios.scenario import Evidence, Phase, Scenario

_FAMILIES = (
    round_robin.SCENARIOS,
    spillover.SCENARIOS,
    latency.SCENARIOS,
    prioritization.SCENARIOS,
    usage.SCENARIOS,
    scalability.SCENARIOS,
    throttling.SCENARIOS,
    outage.SCENARIOS,
    streams.SCENARIOS,
    rotation.SCENARIOS,
    affinity.SCENARIOS,
    neighbours.SCENARIOS,
)

ALL: dict[str, Scenario] = {scenario.name: scenario for family in _FAMILIES for scenario in family}
"""Every scenario by name, in the order in which they run."""

__all__ = ["ALL", "Evidence", "Phase", "Scenario"]
