"""The admin API as its client sees it; the command line talks to a running simulator through this."""

from __future__ import annotations

from typing import Any

import httpx

from e2e.simulator.problems import ProblemsError

KEY_HEADER = "x-simulator-admin-key"


class AdminClient:
    """Talks to a running simulator by the URL of any of its regions. Raises :class:`ProblemsError`."""

    def __init__(self, url: str, key: str | None) -> None:
        self._url = url.rstrip("/")
        self._headers = {KEY_HEADER: key} if key else {}

    def regions(self) -> dict[str, Any]:
        """The state of every region by name."""
        states: dict[str, Any] = self._send("GET", "regions")["regions"]
        return states

    def region(self, name: str, method: str, resource: str, document: Any = None) -> Any:
        """One admin request about one region."""
        return self._send(method, f"regions/{name}/{resource}", document)

    def _send(self, method: str, path: str, document: Any = None) -> Any:
        url = f"{self._url}/_simulator/{path}"
        try:
            answer = httpx.request(
                method, url, json=document, headers=self._headers, timeout=10, trust_env=False
            )
            content = answer.json()
        except httpx.HTTPError:
            raise ProblemsError(
                [f"no simulator at {self._url}: start one with 'serve', or give --url of one of its regions"]
            ) from None
        except (httpx.InvalidURL, ValueError):
            raise ProblemsError([f"{self._url} is no simulator: give --url of one of its regions"]) from None
        if not answer.is_success:
            raise ProblemsError(
                [str(problem) for problem in content.get("errors", [f"status {answer.status_code}"])]
            )
        return content
