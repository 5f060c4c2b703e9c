"""How a setting is declared: its variable, default, meaning and unit, in a group of settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo

DAY_MS = 86_400_000
DAY_SECONDS = 86_400
BIGGEST_COUNT = 1_000_000_000
BIGGEST_BUDGET_TOKENS = 1_000_000_000_000
SMALLEST_BUDGET_USD = 0.01
BIGGEST_BUDGET_USD = 10_000_000


def setting(
    env: str, default: Any = ..., *, about: str, unit: str = "", shown: str = "", **limits: Any
) -> Any:
    """Declare a setting.

    `shown` replaces the default in the reference page when the default is not a constant. `limits` are
    pydantic's (`ge`, `le` …).
    """
    extra: JsonDict = {"env": env, "unit": unit, "shown": shown}
    return Field(default, description=about, json_schema_extra=extra, **limits)


def milliseconds(env: str, default: int, about: str, *, least: int = 1) -> Any:
    """Declare a duration in milliseconds, up to a day."""
    return setting(env, default, about=about, unit="ms", ge=least, le=DAY_MS)


def seconds(env: str, default: int, about: str, *, least: int = 1) -> Any:
    """Declare a duration in seconds, up to a day."""
    return setting(env, default, about=about, unit="s", ge=least, le=DAY_SECONDS)


def limit(env: str, about: str, *, default: int | None = None, unit: str = "", shown: str = "") -> Any:
    """Declare a limit of requests or tokens."""
    return setting(env, default, about=about, unit=unit, shown=shown, ge=1, le=BIGGEST_COUNT)


def budget_of_tokens(env: str, about: str) -> Any:
    """Declare a budget of tokens in a period."""
    return setting(env, None, about=about, unit="tokens", ge=1, le=BIGGEST_BUDGET_TOKENS)


def budget_of_usd(env: str, about: str) -> Any:
    """Declare a budget of USD in a period."""
    return setting(
        env,
        None,
        about=about,
        unit="USD",
        ge=SMALLEST_BUDGET_USD,
        le=BIGGEST_BUDGET_USD,
        allow_inf_nan=False,
    )


def extra_of(info: FieldInfo) -> dict[str, str]:
    """What `setting` keeps of a field: `env`, `unit` and `shown`."""
    assert isinstance(info.json_schema_extra, dict)
    return {name: str(text) for name, text in info.json_schema_extra.items()}


def is_secret(info: FieldInfo) -> bool:
    """Whether values of this field must never be shown."""
    return SecretStr in types_in(info.annotation)


def types_in(annotation: object) -> Iterator[object]:
    """A type and its arguments, generics by their origin. Example: `tuple[str]` → `tuple`, `str`."""
    yield get_origin(annotation) or annotation
    for argument in get_args(annotation):
        yield from types_in(argument)


class Group(BaseModel):
    """Settings that belong together; `title` and `about` head their table in the reference page."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    title: ClassVar[str]
    about: ClassVar[str] = ""


class NumberedGroup(Group):
    """One member of a group that is numbered from 0: its variables are `<prefix>_<FIELD>_<N>`."""

    prefix: ClassVar[str]
    member: ClassVar[str]


class Guardrail(Group):
    """A protection that is off until its switch is on.

    `needs` lists the fields that it cannot do without, each as a tuple of alternatives: one of them suffices.
    `independent` are the fields that have an effect without the switch.
    """

    needs: ClassVar[tuple[tuple[str, ...], ...]] = ()
    independent: ClassVar[tuple[str, ...]] = ()
    enabled: bool
