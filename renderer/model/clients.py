"""Clients, and the limits of the lanes that their requests take."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from pydantic import SecretStr

from renderer.model.group import (
    Guardrail,
    NumberedGroup,
    budget_of_tokens,
    budget_of_usd,
    limit,
    seconds,
    setting,
)
from renderer.parsers.basics import AppId, DeploymentNames, Flag, HeaderSecret, Label

MINIMUM_KEY_LENGTH = 16
"""Characters of the shortest client key: shorter ones can be guessed from their digest."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a client may use in a period of the calendar, in UTC."""

    field: str
    """The field of the client that sets it."""
    unit: str
    """`tokens` or `usd`."""
    period: str
    """`hour`, `day` or `month`."""
    limit: float


class Client(NumberedGroup):
    """An application or team that may call the gateway."""

    title = "Clients"
    prefix = "GATEWAY_CLIENT"
    member = "client"
    about = "One group of variables for each client, numbered from 0 without gaps."

    name: Label = setting("NAME", about="Unique name in metrics and logs.")
    key: HeaderSecret | None = setting(
        "KEY",
        None,
        about=f"The client's key, unique, at least {MINIMUM_KEY_LENGTH} characters.",
        shown="required without `APP_ID`",
    )
    key_secondary: HeaderSecret | None = setting(
        "KEY_SECONDARY", None, about="A second key that works as well, for rotation."
    )
    app_id: AppId | None = setting(
        "APP_ID",
        None,
        about="The application (client) id, unique, whose tokens of Entra ID are this client's. "
        "Needs `ENABLE_ENTRA_AUTH`.",
    )
    deployments: DeploymentNames | None = setting(
        "DEPLOYMENTS", None, about="The only deployments it may call.", shown="any"
    )
    tokens_per_minute: int | None = limit("TOKENS_PER_MINUTE", "Limit of tokens.", unit="tokens/min")
    requests_per_minute: int | None = limit("REQUESTS_PER_MINUTE", "Limit of requests.", unit="requests/min")
    tokens_per_hour: int | None = budget_of_tokens(
        "TOKENS_PER_HOUR", "Budget of tokens in an hour of the clock. All periods are of the calendar in UTC."
    )
    tokens_per_day: int | None = budget_of_tokens("TOKENS_PER_DAY", "Budget of tokens in a day.")
    tokens_per_month: int | None = budget_of_tokens("TOKENS_PER_MONTH", "Budget of tokens in a month.")
    usd_per_hour: float | None = budget_of_usd(
        "USD_PER_HOUR",
        "Budget of money in an hour of the clock, by the prices of `MODEL_PRICING`. Every deployment that "
        "the client may call must have a price.",
    )
    usd_per_day: float | None = budget_of_usd("USD_PER_DAY", "Budget of money in a day.")
    usd_per_month: float | None = budget_of_usd("USD_PER_MONTH", "Budget of money in a month.")
    lane: Literal["high", "low"] | None = setting(
        "LANE", None, about="Pins the client to a lane, whatever its `x-priority` says.", shown="as requested"
    )
    group: Label | None = setting(
        "GROUP", None, about="Clients of one group share their stored resources.", shown="no group"
    )

    @property
    def budgets(self) -> list[Budget]:
        """What it may use in each period; empty without budgets."""
        found = []
        for unit in ("tokens", "usd"):
            for period in ("hour", "day", "month"):
                field = f"{unit}_per_{period}"
                if (amount := getattr(self, field)) is not None:
                    found.append(Budget(field, unit, period, amount))
        return found

    @property
    def keys(self) -> tuple[SecretStr, ...]:
        """The live keys, the primary one first."""
        return tuple(key for key in (self.key, self.key_secondary) if key is not None)

    @property
    def key_digests(self) -> list[str]:
        """SHA-256 of each live key in hex, which is all that the rendered files hold of it."""
        return [hashlib.sha256(key.get_secret_value().encode()).hexdigest() for key in self.keys]


class TokenLimits(Guardrail):
    """Limits of the lanes."""

    title = "Token limits and lanes"
    independent = ("low_lane_reserve_percent",)

    enabled: Flag = setting("ENABLE_AI_RATE_LIMIT", False, about="Turns the limits of the lanes on.")
    strategy: Literal["total_tokens", "req"] = setting(
        "AI_RATE_LIMIT_STRATEGY", "total_tokens", about="Whether tokens or requests are counted."
    )
    window_seconds: int = seconds("AI_RATE_LIMIT_WINDOW_SECONDS", 60, "Window of the count.")
    high_limit: int = limit(
        "AI_RATE_LIMIT_HIGH_LIMIT",
        "Limit of the high lane in a window.",
        default=200,
        unit="tokens or requests",
    )
    low_limit: int = limit(
        "AI_RATE_LIMIT_LOW_LIMIT", "Limit of the low lane in a window.", default=20, unit="tokens or requests"
    )
    reject_code: int = setting(
        "AI_RATE_LIMIT_REJECT_CODE", 503, ge=400, le=599, about="HTTP status of a rejected request."
    )
    reject_message: Label = setting(
        "AI_RATE_LIMIT_REJECT_MESSAGE", "rate limited", about="Message of a rejected request."
    )
    low_lane_reserve_percent: int = setting(
        "LOW_LANE_RESERVE_PERCENT",
        0,
        ge=0,
        le=99,
        about="Requests of the low lane are turned away while less than this share of the backends' quota "
        "remains; 0 turns it off. 30 is a good value to begin with.",
        unit="%",
    )
