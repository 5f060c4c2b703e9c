"""Where the text of a setting was written, so that each message about a value can say so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """A place that settings come from, in words; in a YAML file also the setting's own name there.

    Examples: `Origin("environment")`, `Origin(".env, line 3")`, `Origin("gateway.yaml, line 4",
    "backends[0].key")`.
    """

    where: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.path} in {self.where}" if self.path else self.where


class Text(str):
    """The text of a setting that knows its origin.

    It is a `str`: callers merge sources as plain mappings, and the origin survives that.
    """

    origin: Origin

    def __new__(cls, text: str, origin: Origin) -> Text:
        """A text from that place."""
        made = super().__new__(cls, text)
        made.origin = origin
        return made

    def __getnewargs__(self) -> tuple[str, Origin]:  # type: ignore[override]
        """What a copy is made of."""
        return str(self), self.origin


def origin_of(text: object) -> Origin | None:
    """Where a text was written; None when nobody has noted it."""
    return text.origin if isinstance(text, Text) else None
