"""The typed model of every setting: the one place that knows names, defaults, meanings and units.

The loader, the reference page and the search for misspelt names are derived from these classes. A field's
variable is its `env`; in the two numbered groups (`Backend`, `Client`) it is the part between the group's
prefix and the number, as in `AZURE_OPENAI_<env>_<N>`.

group       how a setting is declared
backends    backends, load balancing, failover
clients     clients, limits of the lanes
gateway     the gateway as a whole, its end-to-end stage, shared state, telemetry, Key Vault
guardrails  protections, each off until its switch is on
"""

from __future__ import annotations

from renderer.model.backends import Backend, Balancing, Failover
from renderer.model.clients import Client, TokenLimits
from renderer.model.gateway import EndToEnd, Gateway, KeyVault, LivePage, Redis, Telemetry
from renderer.model.group import Group
from renderer.model.guardrails import (
    Cors,
    EntraAuth,
    IpRestriction,
    PromptGuard,
    Quota,
    RateLimit,
    ResponseHeaders,
)


class Settings(Group):
    """Everything that the gateway is rendered from. Build it with `renderer.load_settings`."""

    title = "Settings"

    backends: tuple[Backend, ...]
    clients: tuple[Client, ...] = ()
    gateway: Gateway = Gateway()
    live_page: LivePage = LivePage()
    balancing: Balancing = Balancing()
    failover: Failover = Failover()
    token_limits: TokenLimits = TokenLimits()
    redis: Redis = Redis()
    end_to_end: EndToEnd = EndToEnd()
    cors: Cors = Cors()
    ip_restriction: IpRestriction = IpRestriction()
    rate_limit: RateLimit = RateLimit()
    quota: Quota = Quota()
    response_headers: ResponseHeaders = ResponseHeaders()
    prompt_guard: PromptGuard = PromptGuard()
    entra_auth: EntraAuth = EntraAuth()
    telemetry: Telemetry = Telemetry()
    key_vault: KeyVault = KeyVault()

    @property
    def allowed_app_ids(self) -> tuple[str, ...]:
        """The applications whose tokens are accepted, each once: listed ones, then those of clients."""
        of_clients = [client.app_id for client in self.clients if client.app_id is not None]
        return tuple(dict.fromkeys([*(self.entra_auth.allowed_app_ids or ()), *of_clients]))

    @property
    def sample_rate(self) -> float:
        """Share of requests that are traced, 0 to 1, to four places: YAML does not read 1e-05 as a number."""
        if self.telemetry.sample_rate is not None:
            return round(self.telemetry.sample_rate, 4)
        return {"prod": 0.1, "test": 0.5, "dev": 1.0}[self.gateway.log_mode]
