"""Runs users with locust: `python -m e2e.load.driver`. Only `e2e.load.session` starts it.

It reads one load a line from standard input (`Load.as_json`) and plays it. It writes a line for each
request, a sample as JSON, and a line `{"ended": "<phase>"}` when the last user of a load has its last answer.
Between two loads no request is under way, so what the parent changes then holds for the whole next load.
"""

from __future__ import annotations

import json
import random
import sys
import time
from typing import Any, ClassVar

from locust import HttpUser, constant_pacing, task
from locust.env import Environment
from requests import Response
from requests.adapters import HTTPAdapter

from e2e.load.behaviours import BEHAVIOURS, read_answer
from e2e.load.samples import Sample

ANSWER_SECONDS = 60.0
"""The longest time between two reads of one answer."""


class Visitor(HttpUser):
    """A locust user that follows one group's description and writes a line for each request."""

    abstract = True
    group: ClassVar[dict[str, Any]] = {}
    load: ClassVar[dict[str, Any]] = {}
    numbers: ClassVar[list[int]] = []
    """The numbers of the users that have begun, one list for a whole load."""

    def on_start(self) -> None:
        """Draws where this user begins within the pace, so that users do not march in step."""
        number = len(self.numbers)
        self.numbers.append(number)
        self.options = self.group["options"]
        self.dice = random.Random(f"{self.load['seed']}-{self.load['phase']}-{number}")  # noqa: S311
        urls = self.load["urls"]
        self.base = urls[self.options.get("replica", number) % len(urls)]
        # No request is sent twice: what the gateway does with the first one counts.
        self.client.mount("http://", HTTPAdapter(max_retries=0))
        time.sleep(self.dice.uniform(0, self.group["pace_s"]))

    @task
    def act(self) -> None:
        """One step of the group's behaviour."""
        BEHAVIOURS[self.group["does"]](self)

    def exchange(
        self, step: str, method: str, path: str, body: Any = None, *, place: str = "", client: str = ""
    ) -> tuple[Sample, Any]:
        """Sends one request and writes its sample."""
        who = client or self.dice.choice(self.group["clients"])
        base = self.dice.choice(self.load["urls"]) if self.options.get("any_replica") else self.base
        headers = {"api-key": self.load["keys"][who], "content-type": "application/json"}
        if self.group["lane"]:
            headers["x-priority"] = self.group["lane"]
        sample = Sample(time.time(), self.load["phase"], self.group["label"], who, step, place=place)
        began = time.perf_counter()
        response: Response = self.client.request(
            method,
            f"{base}{self._route()}{path}",
            name=step,
            data=body if isinstance(body, str) or body is None else json.dumps(body),
            headers=headers,
            stream=True,
            timeout=ANSWER_SECONDS,
        )
        document = None
        if response.status_code:
            document = read_answer(response, sample, began)
        else:
            sample.total_ms = (time.perf_counter() - began) * 1000
        sys.stdout.write(sample.as_line() + "\n")
        return sample, document

    def _route(self) -> str:
        route = self.group["route"]
        return f"/{route}" if route else ""


def play(load: dict[str, Any]) -> None:
    """Runs all users of one load until its end."""
    numbers: list[int] = []
    kinds = [
        type(
            f"Visitor{index}",
            (Visitor,),
            {
                "abstract": False,
                "host": load["urls"][0],
                "fixed_count": group["count"],
                "wait_time": constant_pacing(group["pace_s"]),
                "group": group,
                "load": load,
                "numbers": numbers,
            },
        )
        for index, group in enumerate(load["users"])
    ]
    environment = Environment(user_classes=kinds, stop_timeout=ANSWER_SECONDS)
    runner = environment.create_local_runner()
    total = sum(group["count"] for group in load["users"])
    runner.start(total, spawn_rate=max(total, 1))
    time.sleep(load["seconds"])
    runner.quit()


def main() -> None:
    """Plays loads until the end of the input."""
    # So that the parent sees progress; a line is one write, so lines of several users cannot mix.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    for line in iter(sys.stdin.readline, ""):
        load = json.loads(line)
        play(load)
        sys.stdout.write(json.dumps({"ended": load["phase"]}) + "\n")


if __name__ == "__main__":
    main()
