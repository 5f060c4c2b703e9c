"""Reading server-sent events as a client does."""

from __future__ import annotations

import json
from typing import Any

import httpx


def datas(answer: httpx.Response) -> list[str]:
    """The data of each event of a whole stream."""
    lines = answer.text.replace("\r\n", "\n").split("\n")
    return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]


def documents(answer: httpx.Response) -> list[dict[str, Any]]:
    """The JSON events of a whole stream, without ``[DONE]``."""
    return [json.loads(data) for data in datas(answer) if data != "[DONE]"]
