"""The deployment of an environment, stack by stack. A test can start at each point of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.rehearsal.azure.state import State
from tests.rehearsal.stage import Ran, Stage

POINTS = ("login", "bootstrap", "observability", "platform", "foundry", "workload")
"""What is deployed at each point: all up to the stack of that name."""


@dataclass
class Story:
    """Knows each point that was reached, and goes back to it."""

    stage: Stage
    _reached: dict[str, tuple[State, str]] = field(default_factory=dict)

    def start_at(self, point: str) -> None:
        """Go to a point: back to it if the story was there, else on to it."""
        if point not in self._reached:
            if point != "login":
                self.start_at(POINTS[POINTS.index(point) - 1])
                ran = self.deploy(point)
                assert ran.code == 0, ran.screen
            self.remember(point)
        state, settings = self._reached[point]
        self.stage.cloud.faults.clear()
        self.stage.cloud.state = state.copy()
        self.stage.layout.settings.write_text(settings, encoding="utf-8")
        for path in self.stage.layout.working.glob("bootstrap.tfstate*"):
            path.unlink()
        self.stage.note(f"── from here on: {point}")

    def deploy(self, stack: str) -> Ran:
        """Deploy one stack with its own command."""
        return self.stage.run(f"deploy-{stack} dev --yes")

    def remember(self, point: str) -> None:
        """Keep the present as a point of the story."""
        settings = self.stage.layout.settings.read_text(encoding="utf-8")
        self._reached[point] = (self.stage.cloud.state.copy(), settings)
