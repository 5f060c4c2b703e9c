"""Deploys the gateway: checks, secrets, images, Terraform, the new revision, a first request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from azure.identity import AzureCliCredential
from azure.keyvault.secrets import SecretClient

from renderer import Settings as GatewaySettings
from renderer.model.clients import Client
from renderer.names import variable
from scripts.deploy.console import counted
from scripts.deploy.deploy_errors import DeployError, NotReadyError
from scripts.deploy.deployment import Ended, Mode, Outcome, deploy
from scripts.deploy.derived_settings import Wiring, e2e_regions, simulated, text, wire_azure, wire_simulators
from scripts.deploy.images import GATEWAY, RENDERER, SIMULATOR, Image, ImageBuilder, require_docker
from scripts.deploy.layout import REPOSITORY, STACKS
from scripts.deploy.revision import wait_for_revision
from scripts.deploy.rollout import Door, SmokeResult, check_gateway
from scripts.deploy.session import Session
from scripts.deploy.tfvars import is_placeholder
from scripts.deploy.vault_seeder import Action, Seeded, Seeder
from scripts.deploy.workload_settings import WorkloadSettings
from scripts.terraform.runner import Output

WORKLOAD = STACKS["workload"]

NEEDED_OUTPUTS = frozenset(
    {
        "environment_default_domain",
        "gateway_identity_client_id",
        "key_vault_uri",
        "registry_login_server",
        "registry_name",
    }
)
"""Outputs of earlier stacks that are needed before Terraform is asked."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator chose."""

    deploy_e2e: bool = False
    local_docker: bool = False
    azure_openai: bool = True
    image_build: bool = True


def open_vault(url: str) -> SecretClient:
    """Client of a vault with the present login. Retries are the seeder's, in sight."""
    # The login of the Azure CLI, as for everything else here: another credential that happens to be around,
    # such as this machine's identity, would have other roles.
    return SecretClient(url, AzureCliCredential(process_timeout=60), retry_total=0)


def open_http() -> httpx.Client:
    """Client for the request through the gateway."""
    return httpx.Client(timeout=30)


@dataclass(frozen=True, slots=True)
class Outside:
    """What the deployment talks to beside Azure's management."""

    vault: Callable[[str], SecretClient] = open_vault
    http: Callable[[], httpx.Client] = open_http
    root: Path = REPOSITORY


@dataclass(frozen=True, slots=True)
class Deployed:
    """What came of it."""

    outcome: Outcome
    settings: GatewaySettings
    seeded: list[Seeded] = field(default_factory=list)
    smoke: SmokeResult | None = None


def deploy_workload(
    session: Session, mode: Mode, options: Options, outside: Outside | None = None
) -> Deployed:
    """Deploy the gateway. Nothing is touched before every setting is known to be right."""
    outside = outside or Outside()
    values = session.settings(WORKLOAD)
    user = WorkloadSettings.read(session.layout.tfvars(WORKLOAD), values)
    session.screen.hide(user.secrets.values())
    if options.deploy_e2e:
        user = user.without_backends()
    _check_early(user, values, options)
    session.check_agreement(WORKLOAD, values)
    session.az.require()
    upstream = session.upstream(WORKLOAD)
    session.require(WORKLOAD, NEEDED_OUTPUTS - set(upstream))
    _require_backends(user, upstream, options)
    wiring = (
        wire_simulators(upstream, e2e_regions(values))
        if options.deploy_e2e
        else wire_azure(upstream, user, with_foundry=options.azure_openai)
    )
    settings = _check(user, values, wiring, upstream)
    counts = f"{counted(settings.backends, 'backend')}, {counted(settings.clients, 'client')}"
    session.screen.done(f"settings are valid: {counts}")
    seeder = Seeder(outside.vault(text(upstream, "key_vault_uri")), session.waiter)
    images = _Images.of(session, upstream, options, outside.root)
    images.check()
    seeded = _seed(session, seeder, {**user.secrets, **wiring.secrets(seeder)}, mode)
    if mode is not Mode.PLAN:
        images.build()
    variables = wiring.variables(seeded, user) | images.references
    outcome = deploy(session, WORKLOAD, mode, variables, replaced=("app_settings",))
    if mode is Mode.PLAN or outcome.ended is Ended.DECLINED:
        return Deployed(outcome, settings, seeded)
    _wait(session, outcome.outputs)
    if values.get("ingress_external") is False:
        session.screen.warn("no request was sent: the gateway answers inside its environment only")
        return Deployed(outcome, settings, seeded)
    gateway = settings.gateway
    door = Door(gateway.require_auth, _client_key(settings, user, seeder), gateway.expose_backend_headers)
    new_roles = any(backend.auth == "managed-identity" for backend in settings.backends)
    smoke = _try(session, text(outcome.outputs, "gateway_url"), door, outside, new_roles=new_roles)
    return Deployed(outcome, settings, seeded, smoke)


def _check_early(user: WorkloadSettings, values: Mapping[str, Any], options: Options) -> None:
    """Find typos and gaps in a second, with stand-ins for what earlier stacks will add."""
    if options.deploy_e2e:
        wiring = Wiring(simulators=e2e_regions(values))
        user.check(simulated(wiring.simulators, _stem(values), "example.com"), wiring.secret_names)
    else:
        user.check_early(azure_openai=options.azure_openai)


def _require_backends(user: WorkloadSettings, upstream: Mapping[str, Output], options: Options) -> None:
    """Raise `NotReadyError` when the only backends would be those of a stack that is not deployed."""
    expected = options.azure_openai and not options.deploy_e2e and user.next_backend == 0
    if expected and "azure_openai_backends" not in upstream:
        raise NotReadyError(
            "There is no backend: app_settings have none, and the foundry stack is not deployed.",
            remedy="Run deploy-foundry first, or write AZURE_OPENAI_ENDPOINT_0 and its key into "
            f"{user.path.name}.",
        )


def _check(
    user: WorkloadSettings, values: Mapping[str, Any], wiring: Wiring, upstream: Mapping[str, Output]
) -> GatewaySettings:
    """Check everything once more, now with what the earlier stacks add."""
    added = dict(wiring.settings)
    if wiring.simulators:
        domain = text(upstream, "environment_default_domain")
        added |= simulated(wiring.simulators, _stem(values), domain)
    return user.check(added, wiring.secret_names)


def _stem(values: Mapping[str, Any]) -> str:
    return f"{values.get('name')}-{values.get('environment')}"


def _seed(session: Session, seeder: Seeder, wanted: Mapping[str, str], mode: Mode) -> list[Seeded]:
    """Bring Key Vault into line; with `--plan` only say what would be written."""
    session.screen.hide(wanted.values())
    planned = seeder.compare(wanted)
    to_write = [item for item in planned if item.version is None]
    if not to_write:
        session.screen.done(f"Key Vault is up to date: {counted(planned, 'secret')}")
        return planned
    for item in to_write:
        verb = "create" if item.action is Action.CREATED else "change"
        session.screen.say(f"  {verb:8} {item.variable} in Key Vault")
    if mode is Mode.PLAN:
        return planned
    if mode is Mode.ASK and not session.screen.confirm(f"Write {counted(to_write, 'secret')} to Key Vault?"):
        raise DeployError("Nothing was changed.")
    with session.screen.step("seeding Key Vault"):
        return seeder.seed(wanted)


@dataclass(frozen=True, slots=True)
class _Images:
    """The images that this deployment runs, by variable of the stack."""

    builder: ImageBuilder
    images: Mapping[str, Image]
    options: Options

    @classmethod
    def of(cls, session: Session, upstream: Mapping[str, Output], options: Options, root: Path) -> _Images:
        registry, server = text(upstream, "registry_name"), text(upstream, "registry_login_server")
        images: dict[str, Image] = {"gateway_image": GATEWAY, "renderer_image": RENDERER}
        if options.deploy_e2e:
            images["simulator_image"] = SIMULATOR
        return cls(ImageBuilder(root, registry, server, session.az, session.screen), images, options)

    def check(self) -> None:
        """Find now, and not when half of the work is done, that there will be no images."""
        if not self.options.image_build:
            self.builder.require(list(self.images.values()))
        elif self.options.local_docker:
            require_docker()

    def build(self) -> None:
        if self.options.image_build:
            self.builder.ensure(list(self.images.values()), local_docker=self.options.local_docker)

    @property
    def references(self) -> dict[str, str]:
        """Names with the digests of the present sources."""
        return {name: self.builder.reference(image) for name, image in self.images.items()}


def _wait(session: Session, outputs: Mapping[str, Output]) -> None:
    group, app = text(outputs, "workload_resource_group_name"), text(outputs, "gateway_app_name")
    revision = text(outputs, "latest_revision_name")
    with session.screen.step(f"waiting for revision {revision}"):
        wait_for_revision(session.az, group, app, revision, session.waiter)


def _try(session: Session, url: str, door: Door, outside: Outside, *, new_roles: bool) -> SmokeResult:
    with session.screen.step("a request through the gateway"), outside.http() as client:
        result = check_gateway(url, door, session.waiter, client, new_roles=new_roles)
        served = result.backend or ("a backend" if result.status == httpx.codes.OK else "the closed gateway")
        session.screen.done(f"HTTP {result.status} from {served} in {result.milliseconds} ms")
        return result


def _client_key(settings: GatewaySettings, user: WorkloadSettings, seeder: Seeder) -> str | None:
    """The key of the first client that has one."""
    for index, client in enumerate(settings.clients):
        name = variable(Client, "key", index)
        if client.key is not None:
            given = user.secrets.get(name, "")
            return (seeder.read(name) or "") if is_placeholder(given) else given
    return None


def describe(deployed: Deployed) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """The result as values and tables for the screen; there are no keys in it."""
    shown = deployed.outcome.values()
    values: dict[str, Any] = {
        "result": deployed.outcome.ended.name.lower(),
        "url": shown.get("gateway_url"),
        "revision": shown.get("latest_revision_name"),
        "smoke": None if deployed.smoke is None else deployed.smoke.status,
    }
    backends = [
        {"name": item.name, "endpoint": str(item.endpoint), "priority": item.priority, "weight": item.weight}
        | {"auth": item.auth}
        for item in deployed.settings.backends
    ]
    clients = [{"name": item.name, "lane": item.lane} for item in deployed.settings.clients]
    secrets = [{"name": item.variable, "action": item.action.value} for item in deployed.seeded]
    return values, {"backends": backends, "clients": clients, "secrets": secrets}
