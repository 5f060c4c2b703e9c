"""Guardrails: protections in front of every route below /openai/, each off until its switch is on."""

from __future__ import annotations

from renderer.model.group import BIGGEST_COUNT, DAY_SECONDS, Guardrail, limit, setting
from renderer.parsers.basics import AppIds, Flag, HeaderNames, Label, Tenant
from renderer.parsers.guardrails import Cidrs, Methods, Origins, Patterns

YEAR_SECONDS = 366 * DAY_SECONDS


class Cors(Guardrail):
    """Calls from browsers."""

    title = "Guardrail: CORS"
    needs = (("allow_origins",),)

    enabled: Flag = setting("ENABLE_CORS", False, about="Turns it on.")
    allow_origins: Origins | None = setting(
        "CORS_ALLOW_ORIGINS", None, about="Origins that may call, or `*`."
    )
    allow_methods: Methods = setting(
        "CORS_ALLOW_METHODS", ("GET", "POST", "DELETE", "OPTIONS"), about="Methods they may use, or `*`."
    )
    allow_headers: HeaderNames = setting(
        "CORS_ALLOW_HEADERS", ("**",), about="Headers they may send; `**` allows those they ask for."
    )
    expose_headers: HeaderNames = setting(
        "CORS_EXPOSE_HEADERS",
        ("retry-after", "retry-after-ms", "x-request-id", "x-gateway-backend", "x-gateway-attempts"),
        about="Headers of the answer that scripts may read.",
    )
    allow_credentials: Flag = setting(
        "CORS_ALLOW_CREDENTIALS", False, about="Whether browsers may send cookies and credentials."
    )
    max_age: int = setting(
        "CORS_MAX_AGE", 600, ge=-1, le=DAY_SECONDS, about="How long a preflight is kept.", unit="s"
    )


class IpRestriction(Guardrail):
    """Who may connect, by address."""

    title = "Guardrail: IP restriction"
    about = "Needs one of the two lists, not both."
    needs = (("allowlist", "denylist"),)

    enabled: Flag = setting("ENABLE_IP_RESTRICTION", False, about="Turns it on.")
    allowlist: Cidrs | None = setting(
        "IP_ALLOWLIST", None, about="The only addresses and ranges that may call."
    )
    denylist: Cidrs | None = setting("IP_DENYLIST", None, about="Addresses and ranges that may not call.")


class RateLimit(Guardrail):
    """Requests per second and address."""

    title = "Guardrail: rate limit"
    needs = (("rate",),)

    enabled: Flag = setting("ENABLE_RATE_LIMIT", False, about="Turns it on, per client address.")
    rate: float | None = setting(
        "RATE_LIMIT_RATE",
        None,
        ge=0.001,
        le=BIGGEST_COUNT,
        allow_inf_nan=False,
        about="Requests per second.",
        unit="requests/s",
    )
    burst: int = setting(
        "RATE_LIMIT_BURST",
        0,
        ge=0,
        le=BIGGEST_COUNT,
        about="Requests above the rate that are still served.",
        unit="requests",
    )


class Quota(Guardrail):
    """Requests per window and address."""

    title = "Guardrail: quota"
    needs = (("count",), ("time_window",))

    enabled: Flag = setting("ENABLE_QUOTA", False, about="Turns it on, per client address.")
    count: int | None = limit("QUOTA_COUNT", "Requests in a window.", unit="requests")
    time_window: int | None = setting(
        "QUOTA_TIME_WINDOW", None, ge=1, le=YEAR_SECONDS, about="Length of the window.", unit="s"
    )


class ResponseHeaders(Guardrail):
    """Security headers on every answer."""

    title = "Guardrail: response headers"

    enabled: Flag = setting(
        "ENABLE_RESPONSE_HEADERS",
        False,
        about="Adds `Strict-Transport-Security`, `X-Content-Type-Options`, `X-Frame-Options`, "
        "`Referrer-Policy` and `Cache-Control: no-store`.",
    )


class PromptGuard(Guardrail):
    """Prompts that are turned away."""

    title = "Guardrail: prompt guard"
    about = (
        "Regular expressions (PCRE) for what a request says to a model. Comma separated, or a JSON list of "
        "strings when a pattern has a comma. Needs at least one of the two lists. While it is on, requests "
        "whose prompts the gateway cannot see are 403: realtime sessions, batches, evals, prompts in tokens."
    )
    needs = (("deny_patterns", "allow_patterns"),)

    enabled: Flag = setting("ENABLE_PROMPT_GUARD", False, about="Turns it on.")
    deny_patterns: Patterns | None = setting(
        "PROMPT_DENY_PATTERNS", None, about="A request is turned away when a text in it matches one."
    )
    allow_patterns: Patterns | None = setting(
        "PROMPT_ALLOW_PATTERNS", None, about="A request is turned away when a text of its user matches none."
    )


class EntraAuth(Guardrail):
    """Clients that sign in with a token of Entra ID."""

    title = "Guardrail: Entra ID"
    about = (
        "Tokens of Entra ID are accepted beside the clients' keys. `GATEWAY_CLIENT_APP_ID_<N>` says which "
        "client an application is."
    )
    needs = (("tenant_id",), ("audience",))

    enabled: Flag = setting("ENABLE_ENTRA_AUTH", False, about="Turns it on.")
    tenant_id: Tenant | None = setting(
        "ENTRA_TENANT_ID", None, about="Directory (tenant) id, in Azure's public cloud."
    )
    audience: Label | None = setting("ENTRA_AUDIENCE", None, about="The audience that tokens are issued for.")
    allowed_app_ids: AppIds | None = setting(
        "ENTRA_ALLOWED_APP_IDS",
        None,
        about="Application (client) ids that may call, beside those of the clients. One that belongs to no "
        "client is a client without limits that is named by its id.",
        shown="required when on and no client has an `APP_ID`",
    )
