"""Deploys the gateway: checks, secrets, images, Terraform, the new revision, a first request."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from renderer import Settings as GatewaySettings
from renderer.model.backends import Backend
from renderer.model.clients import Client
from renderer.names import secret_of, variable
from scripts.deploy.base_images import COLLECTOR, REDIS, BaseImages
from scripts.deploy.console import counted
from scripts.deploy.deploy_errors import DeployError, NotReadyError
from scripts.deploy.deployment import Ended, Mode, Outcome, deploy
from scripts.deploy.derived_settings import (
    DerivedSettings,
    of_stage,
    output_text,
    with_foundry_accounts,
)
from scripts.deploy.images import GATEWAY, RENDERER, SIMULATOR, ImageBuilder
from scripts.deploy.layout import REPOSITORY, STACKS
from scripts.deploy.revision_report import App, with_report
from scripts.deploy.rollout import MODELS_PATH, Door, SmokeResult, check_gateway, wait_for_revision
from scripts.deploy.session import Session
from scripts.deploy.simulated_stage import stage_secrets, stage_settings
from scripts.deploy.tfvars import is_placeholder
from scripts.deploy.value_check import check_values
from scripts.deploy.vault_seeder import Action, Seeded, Seeder, open_vault
from scripts.deploy.workload_settings import WorkloadSettings, multiplied_limits
from scripts.terraform import Output

if TYPE_CHECKING:
    from azure.keyvault.secrets import SecretClient

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
"""Outputs of earlier stacks that the command needs before it runs Terraform."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command."""

    deploy_e2e: bool = False
    local_docker: bool = False
    azure_openai: bool = True
    image_build: bool = True
    refresh_images: bool = False


def open_http() -> httpx.Client:
    """Client for the requests through the gateway."""
    return httpx.Client(timeout=30)


@dataclass(frozen=True, slots=True)
class Outside:
    """What the command uses besides the Azure CLI and Terraform: vault, gateway, sources of images."""

    vault: Callable[[str], SecretClient] = open_vault
    http: Callable[[], httpx.Client] = open_http
    root: Path = REPOSITORY


@dataclass(frozen=True, slots=True)
class Deployed:
    """The result of the command."""

    outcome: Outcome
    settings: GatewaySettings
    derived: DerivedSettings
    seeded: list[Seeded] = field(default_factory=list)
    smoke: SmokeResult | None = None


def deploy_workload(
    session: Session, mode: Mode, options: Options, outside: Outside | None = None
) -> Deployed:
    """Deploy the gateway. Nothing is changed before every setting is checked."""
    outside = outside or Outside()
    values = session.settings.read(WORKLOAD)
    user = read_settings(session, values, options)
    session.az.require()
    upstream = _read_upstream(session, user, options)
    derived = (
        of_stage(upstream, values)
        if options.deploy_e2e
        else with_foundry_accounts(upstream, user, azure_openai=options.azure_openai)
    )
    checked = user.check(derived.settings, derived.secret_names)
    settings = checked.settings
    counts = f"{counted(settings.backends, 'backend')}, {counted(settings.clients, 'client')}"
    session.screen.done(f"settings are valid: {counts}")
    warning = multiplied_limits(settings, values)
    for text in (*map(str, checked.warnings), *([warning] if warning else [])):
        session.screen.warn(text)
    seeder = Seeder(outside.vault(output_text(upstream, "key_vault_uri")), session.waiter)
    images = _images(session, upstream, values, options, outside.root)
    images.check()
    seeded = _seed(session, seeder, {**user.secrets, **derived.secrets(seeder)}, mode)
    if mode.applies:
        images.build()
    variables = derived.variables(seeded, user) | images.references
    app = App.of(values, output_text(upstream, "log_analytics_workspace_id"))
    try:
        outcome = deploy(session, WORKLOAD, mode, variables, replaced=("app_settings",))
    except DeployError as error:
        raise with_report(session.az, app, error) from None
    if not mode.applies or outcome.ended is Ended.DECLINED:
        return Deployed(outcome, settings, derived, seeded)
    _wait(session, app, output_text(outcome.outputs, "latest_revision_name"))
    if values.get("ingress_external") is False:
        session.screen.warn("no request was sent: the gateway is reachable only inside its environment")
        return Deployed(outcome, settings, derived, seeded)
    url, key = output_text(outcome.outputs, "gateway_url"), _client_key(settings, user, derived, seeder)
    return Deployed(outcome, settings, derived, seeded, _try(session, url, settings, key, outside))


def read_settings(session: Session, values: Mapping[str, Any], options: Options) -> WorkloadSettings:
    """The user's settings. Typos and gaps show within a second, with stand-ins for what other stacks add."""
    user = WorkloadSettings.read(session.settings.path(WORKLOAD), values)
    session.screen.hide(user.secrets.values())
    if options.deploy_e2e:
        user = user.of_stage(values)
        user.check(stage_settings(values, "example.com"), list(stage_secrets()))
    else:
        user.check_early(azure_openai=options.azure_openai)
    session.settings.check_agreement(WORKLOAD, values)
    check_values(session, WORKLOAD, values)
    return user


def _read_upstream(session: Session, user: WorkloadSettings, options: Options) -> Mapping[str, Output]:
    """Outputs of the earlier stacks. Raises `NotReadyError` when one is missing, or every backend."""
    upstream = session.upstream(WORKLOAD)
    session.settings.require_outputs(WORKLOAD, NEEDED_OUTPUTS - set(upstream))
    needs_foundry = options.azure_openai and not options.deploy_e2e and user.next_backend == 0
    if needs_foundry and "azure_openai_backends" not in upstream:
        raise NotReadyError(
            "There is no backend: app_settings have none, and the foundry stack is not deployed.",
            remedy=f"Run deploy-foundry first, or write {variable(Backend, 'endpoint', 0)} and its key into "
            f"{user.path.name}.",
        )
    return upstream


def _images(
    session: Session,
    upstream: Mapping[str, Output],
    values: Mapping[str, Any],
    options: Options,
    root: Path,
) -> ImageBuilder:
    images = {"gateway_image": GATEWAY, "renderer_image": RENDERER}
    if options.deploy_e2e:
        images["simulator_image"] = SIMULATOR
    others = {"collector_image": COLLECTOR} if values.get("collector_enabled") is not False else {}
    if values.get("redis_enabled") is True:
        others["redis_image"] = REDIS
    bases = BaseImages(
        registry=output_text(upstream, "registry_name"),
        login_server=output_text(upstream, "registry_login_server"),
        az=session.az,
        screen=session.screen,
        refresh=options.refresh_images,
    )
    return ImageBuilder(
        images,
        root,
        bases,
        # An image that the user names is the user's affair.
        {variable: source for variable, source in others.items() if variable not in values},
        local_docker=options.local_docker,
        may_build=options.image_build,
    )


def _seed(session: Session, seeder: Seeder, wanted: Mapping[str, str], mode: Mode) -> list[Seeded]:
    """Write the secrets that differ into Key Vault. With `--plan` only show them."""
    session.screen.hide(wanted.values())
    planned = seeder.compare(wanted)
    to_write = [item for item in planned if item.version is None]
    if not to_write:
        session.screen.done(f"Key Vault is up to date: {counted(planned, 'secret')}")
        return planned
    for item in to_write:
        verb = "create" if item.action is Action.CREATED else "change"
        session.screen.say(f"  {verb:8} {item.variable} in Key Vault")
    if not mode.applies:
        return planned
    if mode is Mode.ASK and not session.screen.confirm(f"Write {counted(to_write, 'secret')} to Key Vault?"):
        raise DeployError("Nothing was changed.")
    with session.screen.step("seeding Key Vault"):
        return seeder.seed(wanted)


def _wait(session: Session, app: App, revision: str) -> None:
    with session.screen.step(f"waiting for revision {revision}"):
        wait_for_revision(session.az, app, revision, session.waiter)


def _try(
    session: Session, url: str, settings: GatewaySettings, key: str | None, outside: Outside
) -> SmokeResult:
    door = Door(settings.gateway.require_auth, key, settings.gateway.expose_backend_headers)
    new_roles = any(backend.auth == "managed-identity" for backend in settings.backends)
    with session.screen.step("a request through the gateway"), outside.http() as client:
        result = check_gateway(url, door, session.waiter, client, new_roles=new_roles)
        served = result.backend or ("a backend" if result.status == httpx.codes.OK else "the closed gateway")
        session.screen.done(f"HTTP {result.status} from {served} in {result.milliseconds} ms")
        return result


def _client_key(
    settings: GatewaySettings, user: WorkloadSettings, derived: DerivedSettings, seeder: Seeder
) -> str | None:
    """The key of the first client that has one; None when no client has."""
    for index, client in enumerate(settings.clients):
        name = variable(Client, "key", index)
        if client.key is not None:
            given = user.secrets.get(name, "")
            return (seeder.read(derived.kept_as(name)) or "") if is_placeholder(given) else given
    return None


def first_call(deployed: Deployed, session: Session) -> str:
    """Shell commands that call the gateway as its first client. The key stays in Key Vault until then."""
    url = deployed.outcome.values().get("gateway_url")
    vault = output_text(session.outputs(STACKS["platform"]), "key_vault_uri").rstrip("/")
    settings = deployed.settings
    index = next((index for index, client in enumerate(settings.clients) if client.key is not None), None)
    lines, header = [], ""
    if settings.gateway.require_auth and index is not None:
        secret = f"{vault}/secrets/{secret_of(deployed.derived.kept_as(variable(Client, 'key', index)))}"
        lines.append(
            f"export GATEWAY_KEY=$(az keyvault secret show --id {secret} --query value --output tsv)"
        )
        header = ' -H "api-key: $GATEWAY_KEY"'
    names = [name for backend in settings.backends for name in backend.deployments or ()]
    model = next((name for name in names if "embed" not in name), None)
    if model is None:
        return "\n".join([*lines, f"curl {url}{MODELS_PATH}{header}"])
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
    lines.append(
        f"curl {url}/openai/v1/chat/completions{header} -H 'content-type: application/json' -d '{body}'"
    )
    return "\n".join(lines)


def describe(deployed: Deployed) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """The result as values and tables for the screen, without any key."""
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
