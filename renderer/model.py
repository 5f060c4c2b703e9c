"""The typed model of every setting: the one place that knows names, defaults, meanings and units.

The loader, the reference page and the search for misspelt names are all derived from these classes. A field's
variable is its `env`; in the two numbered groups (`Backend`, `Client`) it is the part between the group's
prefix and the number, as in `AZURE_OPENAI_<env>_<N>`.
"""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic.config import JsonDict

from renderer.parsers import (
    AppId,
    AppIds,
    BackendName,
    BaseUrl,
    Cidrs,
    ConnectionString,
    Deployments,
    Endpoint,
    Flag,
    HashKey,
    HeaderNames,
    HeaderSecret,
    Host,
    HttpsUrl,
    Label,
    Methods,
    Names,
    Origins,
    Patterns,
    Pricing,
    Tenant,
    VaultUrl,
    name_from_endpoint,
    token_scope_of,
)

MINIMUM_KEY_LENGTH = 16
"""Characters of the shortest client key: shorter ones can be guessed from their digest."""

DAY_MS = 86_400_000
DAY_SECONDS = 86_400
YEAR_SECONDS = 366 * DAY_SECONDS
BIGGEST_COUNT = 1_000_000_000


def setting(
    env: str, default: Any = ..., *, about: str, unit: str = "", shown: str = "", **limits: Any
) -> Any:
    """Declare a setting: its variable, default, meaning and unit.

    `shown` replaces the default in the reference page where it is not a constant. `limits` are pydantic's
    (`ge`, `le`, `max_length` …).
    """
    extra: JsonDict = {"env": env, "unit": unit, "shown": shown}
    return Field(default, description=about, json_schema_extra=extra, **limits)


class Group(BaseModel):
    """Settings that belong together; `title` and `about` head their table in the reference page."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    title: ClassVar[str]
    about: ClassVar[str] = ""


class NumberedGroup(Group):
    """One member of a group that is numbered from 0: its variables are `<prefix>_<FIELD>_<N>`."""

    prefix: ClassVar[str]
    member: ClassVar[str]


class Backend(NumberedGroup):
    """One Azure OpenAI or Foundry resource and the credential for it."""

    title = "Backends"
    prefix = "AZURE_OPENAI"
    member = "backend"
    about = "One group of variables for each Azure OpenAI or Foundry resource, numbered from 0 without gaps."

    endpoint: Endpoint = setting(
        "ENDPOINT",
        about="The resource, such as `https://my-resource.openai.azure.com`, without path or query. "
        "`http` is accepted for loopback addresses and in end-to-end test mode only.",
    )
    key: HeaderSecret | None = setting(
        "KEY", None, about="Its key. Required unless `AUTH` is `managed-identity`.", shown="required"
    )
    name: BackendName = setting(
        "NAME", about="Unique name in metrics, logs and response headers.", shown="the resource's name"
    )
    weight: int = setting(
        "WEIGHT", 1, ge=0, le=10_000, about="Share of the requests among equals; 0 drains the backend."
    )
    priority: int = setting(
        "PRIORITY", 0, ge=-10_000, le=10_000, about="The highest number with an available backend serves."
    )
    region: Label | None = setting(
        "REGION", None, about="Label in metrics.", shown="learned from `x-ms-region`"
    )
    deployments: Deployments | None = setting(
        "DEPLOYMENTS",
        None,
        about="The deployments it serves, each optionally renamed: `gpt-4o,embeddings=emb-3-small`.",
        shown="any",
    )
    auth: Literal["key", "managed-identity"] = setting("AUTH", "key", about="How the gateway signs in.")
    client_id: Label | None = setting(
        "CLIENT_ID",
        None,
        about="User-assigned identity, for managed identity.",
        shown="the platform's identity",
    )
    token_scope: HttpsUrl = setting(
        "TOKEN_SCOPE",
        "https://cognitiveservices.azure.com/.default",
        about="What the token is requested for, for managed identity. For endpoints of the US Government "
        "and China clouds the default ends in `.azure.us/.default` and `.azure.cn/.default`.",
    )

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_endpoint(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        endpoint = data.get("endpoint")
        defaults = {"name": name_from_endpoint(endpoint)}
        if data.get("auth") == "managed-identity":
            defaults["token_scope"] = token_scope_of(endpoint)
        return {**defaults, **data}


class Client(NumberedGroup):
    """Somebody who may call the gateway."""

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
        "KEY_SECONDARY", None, about="A second key that works as well, for rotation.", shown="none"
    )
    app_id: AppId | None = setting(
        "APP_ID",
        None,
        about="The application (client) id, unique, whose tokens of Entra ID are this client's. "
        "Needs `ENABLE_ENTRA_AUTH`.",
        shown="none",
    )
    deployments: Names | None = setting(
        "DEPLOYMENTS", None, about="The only deployments it may call.", shown="any"
    )
    tokens_per_minute: int | None = setting(
        "TOKENS_PER_MINUTE", None, ge=1, le=BIGGEST_COUNT, about="Limit of tokens.", unit="tokens/min"
    )
    requests_per_minute: int | None = setting(
        "REQUESTS_PER_MINUTE", None, ge=1, le=BIGGEST_COUNT, about="Limit of requests.", unit="requests/min"
    )
    lane: Literal["high", "low"] | None = setting(
        "LANE", None, about="Pins the client to a lane, whatever its `x-priority` says.", shown="as requested"
    )

    @property
    def keys(self) -> tuple[SecretStr, ...]:
        """The live keys, the primary one first."""
        return tuple(key for key in (self.key, self.key_secondary) if key is not None)

    @property
    def key_digests(self) -> list[str]:
        """SHA-256 of each live key in hex, which is all that the rendered files hold of it."""
        return [hashlib.sha256(key.get_secret_value().encode()).hexdigest() for key in self.keys]


class Gateway(Group):
    """What belongs to the gateway as a whole."""

    title = "Gateway"

    require_auth: Flag = setting(
        "GATEWAY_REQUIRE_AUTH", True, about="Whether clients must sign in. Off means open to everybody."
    )
    log_mode: Literal["prod", "test", "dev"] = setting(
        "GATEWAY_LOG_MODE",
        "prod",
        about="Access log: `prod` writes JSON in batches, `test` JSON at once, `dev` plain lines at once.",
    )
    e2e_test_mode: Flag = setting(
        "GATEWAY_E2E_TEST_MODE",
        False,
        about="End-to-end tests: backends may be simulators reached over plain `http`.",
    )
    expose_backend_headers: Flag = setting(
        "GATEWAY_EXPOSE_BACKEND_HEADERS",
        True,
        about="Whether answers name the backend and the attempts (`x-gateway-backend`, "
        "`x-gateway-attempts`).",
    )
    log_level: Literal["debug", "info", "notice", "warn", "error", "crit", "alert", "emerg"] = setting(
        "APISIX_LOG_LEVEL", "warn", about="Least severity that the error log shows."
    )
    home_backend: BackendName | None = setting(
        "GATEWAY_HOME_BACKEND",
        None,
        about="Name of the backend that new files, batches and vector stores go to.",
        shown="the first backend",
    )
    max_request_body_mb: int = setting(
        "MAX_REQUEST_BODY_MB", 64, ge=1, le=4096, about="Largest request body.", unit="MiB"
    )
    trusted_proxies: Cidrs = setting(
        "GATEWAY_TRUSTED_PROXIES",
        ("100.100.0.0/17", "100.100.128.0/19", "100.100.160.0/19", "100.100.192.0/19"),
        about="Addresses whose `X-Forwarded-For` is believed: those of the ingress. The default is what "
        "a Container Apps environment with workload profiles reserves and its ingress connects from.",
    )
    worker_processes: int | None = setting(
        "GATEWAY_WORKER_PROCESSES",
        None,
        ge=1,
        le=1024,
        about="nginx workers. Set it when the renderer runs in a container of another size than the "
        "gateway's.",
        shown="CPU limit of the container, rounded up",
    )


class Balancing(Group):
    """How a backend is chosen among equals."""

    title = "Load balancing"

    algorithm: Literal["roundrobin", "chash"] = setting(
        "LB_ALG", "roundrobin", about="Weighted round robin, or consistent hashing."
    )
    hash_on: Literal["header", "cookie", "vars", "consumer"] = setting(
        "LB_HASH_ON", "header", about="For `chash`: where the hash key is taken from."
    )
    hash_key: HashKey | None = setting(
        "LB_HASH_KEY",
        None,
        about="For `chash`: name of that header, cookie or variable, such as `x-session-id`. "
        "Not needed with `LB_HASH_ON=consumer`.",
        shown="none",
    )


class Failover(Group):
    """Bounds of the attempts for one request, and how long a failing backend is left alone."""

    title = "Failover"

    connect_timeout_ms: int = setting(
        "AI_PROXY_CONNECT_TIMEOUT_MS", 5_000, ge=1, le=DAY_MS, about="Limit to connect.", unit="ms"
    )
    read_timeout_ms: int = setting(
        "AI_PROXY_READ_TIMEOUT_MS",
        600_000,
        ge=1,
        le=DAY_MS,
        about="Limit between two reads from a backend.",
        unit="ms",
    )
    retry_within_ms: int = setting(
        "AI_PROXY_RETRY_WITHIN_MS",
        60_000,
        ge=1,
        le=DAY_MS,
        about="A failure that took longer than this is not tried again elsewhere.",
        unit="ms",
    )
    max_attempts: int | None = setting(
        "AI_PROXY_MAX_ATTEMPTS",
        None,
        ge=1,
        le=10_000,
        about="Most attempts for one request.",
        shown="all candidates",
    )
    stream_probe_ms: int = setting(
        "AI_PROXY_STREAM_PROBE_MS",
        1_000,
        ge=0,
        le=DAY_MS,
        about="How long a stream's beginning is held back to catch an error in it; 0 turns it off.",
        unit="ms",
    )
    stream_heartbeat_seconds: int = setting(
        "AI_PROXY_STREAM_HEARTBEAT_SECONDS",
        30,
        ge=0,
        le=DAY_SECONDS,
        about="Silent streams get a comment this often; 0 turns it off.",
        unit="s",
    )
    max_wait_ms: int = setting(
        "AI_PROXY_MAX_WAIT_MS",
        0,
        ge=0,
        le=DAY_MS,
        about="How long a request waits for a backend that is about to recover; 0 turns it off.",
        unit="ms",
    )
    cooldown_default_seconds: int = setting(
        "COOLDOWN_DEFAULT_SECONDS",
        10,
        ge=1,
        le=DAY_SECONDS,
        about="Cool-down after a 429 that does not say how long.",
        unit="s",
    )
    cooldown_max_seconds: int = setting(
        "COOLDOWN_MAX_SECONDS", 120, ge=1, le=DAY_SECONDS, about="Longest cool-down.", unit="s"
    )
    breaker_failures: int = setting(
        "BREAKER_FAILURES", 3, ge=1, le=10_000, about="Consecutive failures that open the breaker."
    )
    breaker_open_seconds: int = setting(
        "BREAKER_OPEN_SECONDS", 10, ge=1, le=DAY_SECONDS, about="First pause of an open breaker.", unit="s"
    )
    breaker_max_open_seconds: int = setting(
        "BREAKER_MAX_OPEN_SECONDS", 60, ge=1, le=DAY_SECONDS, about="Longest pause.", unit="s"
    )


class TokenLimits(Group):
    """Limits of the lanes."""

    title = "Token limits and lanes"

    enabled: Flag = setting("ENABLE_AI_RATE_LIMIT", False, about="Turns the limits of the lanes on.")
    strategy: Literal["total_tokens", "req"] = setting(
        "AI_RATE_LIMIT_STRATEGY", "total_tokens", about="Whether tokens or requests are counted."
    )
    window_seconds: int = setting(
        "AI_RATE_LIMIT_WINDOW_SECONDS", 60, ge=1, le=DAY_SECONDS, about="Window of the count.", unit="s"
    )
    high_limit: int = setting(
        "AI_RATE_LIMIT_HIGH_LIMIT",
        200,
        ge=1,
        le=BIGGEST_COUNT,
        about="Limit of the high lane in a window.",
        unit="tokens or requests",
    )
    low_limit: int = setting(
        "AI_RATE_LIMIT_LOW_LIMIT",
        20,
        ge=1,
        le=BIGGEST_COUNT,
        about="Limit of the low lane in a window.",
        unit="tokens or requests",
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


class Redis(Group):
    """State that replicas share."""

    title = "Shared state"
    about = "Limits, cool-downs and affinity over replicas. Without `REDIS_HOST` each replica keeps its own."

    host: Host | None = setting("REDIS_HOST", None, about="Host name.", shown="not used")
    port: int = setting("REDIS_PORT", 6379, ge=1, le=65535, about="Port.")
    password: SecretStr | None = setting("REDIS_PASSWORD", None, about="Password.", shown="none")
    tls: Flag = setting("REDIS_TLS", False, about="Whether to connect with TLS (the certificate is checked).")


class Cors(Group):
    """Calls from browsers."""

    title = "Guardrail: CORS"

    enabled: Flag = setting("ENABLE_CORS", False, about="Turns it on.")
    allow_origins: Origins | None = setting(
        "CORS_ALLOW_ORIGINS", None, about="Origins that may call, or `*`.", shown="required when on"
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


class IpRestriction(Group):
    """Who may connect, by address."""

    title = "Guardrail: IP restriction"
    about = "Needs one of the two lists, not both."

    enabled: Flag = setting("ENABLE_IP_RESTRICTION", False, about="Turns it on.")
    allowlist: Cidrs | None = setting(
        "IP_ALLOWLIST", None, about="The only addresses and ranges that may call.", shown="none"
    )
    denylist: Cidrs | None = setting(
        "IP_DENYLIST", None, about="Addresses and ranges that may not call.", shown="none"
    )


class RateLimit(Group):
    """Requests per second and address."""

    title = "Guardrail: rate limit"

    enabled: Flag = setting("ENABLE_RATE_LIMIT", False, about="Turns it on, per client address.")
    rate: float | None = setting(
        "RATE_LIMIT_RATE",
        None,
        ge=0.001,
        le=BIGGEST_COUNT,
        allow_inf_nan=False,
        about="Requests per second.",
        unit="requests/s",
        shown="required when on",
    )
    burst: int = setting(
        "RATE_LIMIT_BURST",
        0,
        ge=0,
        le=BIGGEST_COUNT,
        about="Requests above the rate that are still served.",
        unit="requests",
    )


class Quota(Group):
    """Requests per window and address."""

    title = "Guardrail: quota"

    enabled: Flag = setting("ENABLE_QUOTA", False, about="Turns it on, per client address.")
    count: int | None = setting(
        "QUOTA_COUNT",
        None,
        ge=1,
        le=BIGGEST_COUNT,
        about="Requests in a window.",
        unit="requests",
        shown="required when on",
    )
    time_window: int | None = setting(
        "QUOTA_TIME_WINDOW",
        None,
        ge=1,
        le=YEAR_SECONDS,
        about="Length of the window.",
        unit="s",
        shown="required when on",
    )


class ResponseHeaders(Group):
    """Security headers on every answer."""

    title = "Guardrail: response headers"

    enabled: Flag = setting(
        "ENABLE_RESPONSE_HEADERS",
        False,
        about="Adds `Strict-Transport-Security`, `X-Content-Type-Options`, `X-Frame-Options`, "
        "`Referrer-Policy` and `Cache-Control: no-store`.",
    )


class PromptGuard(Group):
    """Prompts that are turned away."""

    title = "Guardrail: prompt guard"
    about = (
        "Regular expressions (PCRE) for what a request says to a model. Comma separated, or a JSON list of "
        "strings when a pattern has a comma. Needs at least one of the two lists. While it is on, requests "
        "whose prompts the gateway cannot see are 403: realtime sessions, batches, evals, prompts in tokens."
    )

    enabled: Flag = setting("ENABLE_PROMPT_GUARD", False, about="Turns it on.")
    deny_patterns: Patterns | None = setting(
        "PROMPT_DENY_PATTERNS",
        None,
        about="A request is turned away when a text in it matches one.",
        shown="none",
    )
    allow_patterns: Patterns | None = setting(
        "PROMPT_ALLOW_PATTERNS",
        None,
        about="A request is turned away when a text of its user matches none.",
        shown="none",
    )


class EntraAuth(Group):
    """Clients that sign in with a token of Entra ID."""

    title = "Guardrail: Entra ID"
    about = (
        "Tokens of Entra ID are accepted beside the clients' keys. `GATEWAY_CLIENT_APP_ID_<N>` says which "
        "client an application is."
    )

    enabled: Flag = setting("ENABLE_ENTRA_AUTH", False, about="Turns it on.")
    tenant_id: Tenant | None = setting(
        "ENTRA_TENANT_ID",
        None,
        about="Directory (tenant) id, in Azure's public cloud.",
        shown="required when on",
    )
    audience: Label | None = setting(
        "ENTRA_AUDIENCE", None, about="The audience tokens are issued for.", shown="required when on"
    )
    allowed_app_ids: AppIds | None = setting(
        "ENTRA_ALLOWED_APP_IDS",
        None,
        about="Application (client) ids that may call, beside those of the clients. One that is no client's "
        "is a client without limits that is named by its id.",
        shown="required when on and no client has an `APP_ID`",
    )


class Telemetry(Group):
    """Where traces, metrics and costs go."""

    title = "Telemetry"

    collector_endpoint: BaseUrl | None = setting(
        "OTEL_COLLECTOR_ENDPOINT",
        None,
        about="OpenTelemetry collector for traces (OTLP over HTTP), such as `http://127.0.0.1:4318`.",
        shown="no traces",
    )
    service_name: Label = setting(
        "OTEL_SERVICE_NAME", "azure-openai-gateway", about="Name of the service in traces and metrics."
    )
    sample_rate: float | None = setting(
        "OTEL_SAMPLE_RATE",
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        about="Share of the requests that are traced, to four decimal places.",
        shown="0.1 in `prod`, 0.5 in `test`, 1.0 in `dev`",
    )
    connection_string: ConnectionString | None = setting(
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        None,
        about="Application Insights for traces, written as the identity `AZURE_CLIENT_ID` when that is set. "
        "The collector reads it from its own environment; no file holds it.",
        shown="not used",
    )
    metrics_endpoint: HttpsUrl | None = setting(
        "AZURE_MONITOR_METRICS_ENDPOINT",
        None,
        about="Remote write URL of an Azure Monitor workspace, for metrics.",
        shown="not used",
    )
    client_id: Label | None = setting(
        "AZURE_CLIENT_ID",
        None,
        about="User-assigned managed identity of the gateway: for Key Vault, telemetry and backends.",
        shown="the platform's identity",
    )
    scrape_interval_seconds: int = setting(
        "PROMETHEUS_SCRAPE_INTERVAL_SECONDS",
        30,
        ge=1,
        le=3600,
        about="How often the collector reads the gateway's metrics.",
        unit="s",
    )
    model_pricing: Pricing | None = setting(
        "MODEL_PRICING",
        None,
        about='Prices per model, as JSON (`{"gpt-4o":{"prompt":2.5,"cached":1.25,"completion":10}}`) or the '
        "path of a JSON file. Adds to the shipped list and overrides it.",
        unit="USD per million tokens",
        shown="list prices of August 2026",
    )


class Sources(Group):
    """Where further settings come from."""

    title = "Key Vault"

    key_vault_url: VaultUrl | None = setting(
        "KEY_VAULT_URL",
        None,
        about="A vault to read settings from: secret `azure-openai-key-0` is `AZURE_OPENAI_KEY_0`.",
        shown="not used",
    )


class Settings(Group):
    """Everything the gateway is rendered from. Build it with `renderer.load_settings`."""

    title = "Settings"

    backends: tuple[Backend, ...]
    clients: tuple[Client, ...] = ()
    gateway: Gateway = Gateway()
    balancing: Balancing = Balancing()
    failover: Failover = Failover()
    token_limits: TokenLimits = TokenLimits()
    redis: Redis = Redis()
    cors: Cors = Cors()
    ip_restriction: IpRestriction = IpRestriction()
    rate_limit: RateLimit = RateLimit()
    quota: Quota = Quota()
    response_headers: ResponseHeaders = ResponseHeaders()
    prompt_guard: PromptGuard = PromptGuard()
    entra_auth: EntraAuth = EntraAuth()
    telemetry: Telemetry = Telemetry()
    sources: Sources = Sources()

    @property
    def allowed_app_ids(self) -> tuple[str, ...]:
        """The applications whose tokens are accepted, each once: listed ones, then those of clients."""
        of_clients = [client.app_id for client in self.clients if client.app_id is not None]
        return tuple(dict.fromkeys([*(self.entra_auth.allowed_app_ids or ()), *of_clients]))

    @property
    def sample_rate(self) -> float:
        """Share of requests that are traced, 0 to 1, to four places: YAML has its own idea of 1e-05."""
        if self.telemetry.sample_rate is not None:
            return round(self.telemetry.sample_rate, 4)
        return {"prod": 0.1, "test": 0.5, "dev": 1.0}[self.gateway.log_mode]
