"""The gateway as a whole: its own behaviour, shared state, telemetry and Key Vault."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr

from renderer.model.group import Group, setting
from renderer.parsers.basics import (
    BackendName,
    BackendNames,
    ClientNames,
    ConnectionString,
    Fallbacks,
    Flag,
    HeaderSecret,
    Label,
)
from renderer.parsers.guardrails import Cidrs
from renderer.parsers.prices import Pricing
from renderer.parsers.urls import BaseUrl, Host, HttpsUrl, VaultUrl


class Gateway(Group):
    """Settings of the gateway as a whole."""

    title = "Gateway"

    require_auth: Flag = setting(
        "GATEWAY_REQUIRE_AUTH", True, about="Whether clients must sign in. Off means open to everybody."
    )
    log_mode: Literal["prod", "test", "dev"] = setting(
        "GATEWAY_LOG_MODE",
        "prod",
        about="Access log: `prod` writes JSON in batches, `test` JSON at once, `dev` plain lines at once.",
        shown="`prod`; in `local-gateway` `test`",
    )
    e2e_test_mode: Flag = setting(
        "GATEWAY_E2E_TEST_MODE",
        False,
        about="End-to-end tests: backends may be simulators reached over plain `http`, and each scenario has "
        "routes of its own when its backends are configured.",
    )
    expose_backend_headers: Flag = setting(
        "GATEWAY_EXPOSE_BACKEND_HEADERS",
        True,
        about="Whether answers name the backend and the attempts (`x-gateway-backend`, "
        "`x-gateway-attempts`).",
    )
    log_level: Literal["notice", "warn", "error", "crit", "alert", "emerg"] = setting(
        "APISIX_LOG_LEVEL",
        "warn",
        about="Least severity that the error log shows. There is no `info` and no `debug`: APISIX and its "
        "libraries would log requests, tokens and passwords.",
    )
    home_backend: BackendName | None = setting(
        "GATEWAY_HOME_BACKEND",
        None,
        about="Name of the backend that new files, batches and vector stores go to, where it offers their "
        "surface.",
        shown="the first backend that offers it",
    )
    deployment_fallbacks: Fallbacks | None = setting(
        "DEPLOYMENT_FALLBACKS",
        None,
        about="What takes the place of a deployment in the same request when nobody can serve it, in this "
        "order: `gpt-5=gpt-5-mini|gpt-4.1,o3=o1`. The header `x-gateway-deployment` says which served. A "
        "client's `DEPLOYMENTS` holds for fallbacks, too.",
        shown="none",
    )
    stored_resources: Literal["private", "strict", "shared"] = setting(
        "STORED_RESOURCES",
        "private",
        about="Who may use stored responses, conversations, files and so on. `private`: those that a client "
        "made are its own, and those whose maker is not known are everybody's. `strict`: a client can use "
        "only its own; needs Redis. `shared`: everybody can use all.",
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


class LivePage(Group):
    """The page that shows what the gateway does now."""

    title = "Live page"
    about = "`/live` in a browser. It shows backends, failovers, rates and the last requests of one replica."

    access: Literal["off", "local", "keys"] = setting(
        "GATEWAY_LIVE_PAGE",
        "off",
        about="Who may watch. `off`: nobody, there is no page. `local`: everybody on the same machine. "
        "`keys`: clients, with their key, and each sees its own requests only.",
        shown="`off`; in `local-gateway` `local`",
    )
    operators: ClientNames | None = setting(
        "GATEWAY_LIVE_OPERATORS",
        None,
        about="Names of clients that see the requests of all clients. Only with `GATEWAY_LIVE_PAGE=keys`.",
        shown="none",
    )


class EndToEnd(Group):
    """What only the end-to-end stage has: routes for its scenarios, and a config API beside the gateway."""

    title = "End-to-end tests"
    about = "Only with `GATEWAY_E2E_TEST_MODE=true`."

    preferred_backends: BackendNames | None = setting(
        "GATEWAY_E2E_PREFERRED_BACKENDS",
        None,
        about="Names of backends, the best first, for the routes below `/latency-routing/`. The config API "
        "replaces them.",
        shown="the pool's own order",
    )
    config_api_port: int = setting(
        "CONFIG_API_PORT", 9000, ge=1, le=65535, about="Port of the config API on `127.0.0.1`."
    )
    config_api_token: HeaderSecret | None = setting(
        "CONFIG_API_TOKEN",
        None,
        about="What the gateway and the config API know each other by, at least 16 characters. With it, "
        "clients can post to `/helpers/set-preferred-backends`.",
        shown="no config API",
    )


class Redis(Group):
    """State that replicas share."""

    title = "Shared state"
    about = "Limits, cool-downs and affinity over replicas. Without `REDIS_HOST` each replica keeps its own."

    host: Host | None = setting("REDIS_HOST", None, about="Host name.", shown="not used")
    port: int = setting("REDIS_PORT", 6379, ge=1, le=65535, about="Port.")
    password: SecretStr | None = setting("REDIS_PASSWORD", None, about="Password.")
    tls: Flag = setting("REDIS_TLS", False, about="Whether to connect with TLS (the certificate is checked).")


class Telemetry(Group):
    """Where logs, traces, metrics and costs go."""

    title = "Telemetry"

    collector_endpoint: BaseUrl | None = setting(
        "OTEL_COLLECTOR_ENDPOINT",
        None,
        about="OpenTelemetry collector for records and traces (OTLP over HTTP), such as `http://127.0.0.1:4318`.",
        shown="records on the console only",
    )
    service_name: Label = setting(
        "OTEL_SERVICE_NAME", "azure-openai-gateway", about="Name of the service in logs, traces and metrics."
    )
    sample_rate: float | None = setting(
        "OTEL_SAMPLE_RATE",
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        about="Share of the ordinary requests that are traced, to four decimal places. Errors, failovers, "
        "throttling and slow requests are traced anyway.",
        shown="0.1 in `prod`, 0.5 in `test`, 1.0 in `dev`",
    )
    slow_first_token_ms: int = setting(
        "OTEL_SLOW_FIRST_TOKEN_MS",
        30000,
        ge=1,
        le=3600000,
        about="A request that waits so long for the beginning of its answer is traced anyway.",
        unit="ms",
    )
    connection_string: ConnectionString | None = setting(
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        None,
        about="Application Insights for records and traces, written as the identity `AZURE_CLIENT_ID` when "
        "that is set. The collector reads it from its own environment; no file holds it.",
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
        "path of a JSON file. Adds to the shipped list and overrides it; docs/renderer.md lists the kinds.",
        unit="USD per million tokens",
        shown="list prices of November 2026",
    )


class KeyVault(Group):
    """The vault that further settings come from."""

    title = "Key Vault"

    url: VaultUrl | None = setting(
        "KEY_VAULT_URL",
        None,
        about="A vault to read settings from: secret `azure-openai-key-0` is `AZURE_OPENAI_KEY_0`.",
        shown="not used",
    )
