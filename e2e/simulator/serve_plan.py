"""Makes a plan of what to serve from a configuration file and command-line options.

All problems are reported at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from e2e.simulator.faults import Fault
from e2e.simulator.problems import ProblemsError, problems_of
from e2e.simulator.regions import FAMILIES, Deployment, Family, Latency, PromptCaching, Quota, Region

DEFAULT_REGIONS = ("eastus:8001", "westus:8002")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class DeploymentSettings(_Model):
    """A deployment: a name or these fields in a file, ``gpt-4o:tpm=10000,rpm=60`` as an option."""

    name: str = Field(min_length=1)
    model: str | None = None
    tpm: int | None = Field(default=None, ge=1)
    rpm: int | None = Field(default=None, ge=1)
    token_window_s: float = Field(default=60.0, gt=0)
    request_window_s: float = Field(default=60.0, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _accept_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    def deployment(self) -> Deployment:
        """The deployment of the simulator."""
        quota = Quota(self.tpm, self.rpm, self.token_window_s, self.request_window_s)
        return Deployment(self.name, self.model, quota)


class LatencySettings(_Model):
    """Delays in milliseconds and their jitter."""

    first_byte_ms: float = Field(default=0.0, ge=0)
    per_token_ms: float = Field(default=0.0, ge=0)
    jitter: float = Field(default=0.0, ge=0, le=1)

    def latency(self) -> Latency:
        """The latency of the simulator."""
        return Latency(self.first_byte_ms, self.per_token_ms, self.jitter)


class PromptCacheSettings(_Model):
    """A prompt cache; naming it turns it on."""

    enabled: bool = True
    life_s: float = Field(default=PromptCaching.life_s, gt=0)
    longest_s: float = Field(default=PromptCaching.longest_s, gt=0)

    def caching(self) -> PromptCaching | None:
        """The prompt cache of the simulator."""
        return PromptCaching(self.life_s, self.longest_s) if self.enabled else None


class RegionSettings(_Model):
    """A region; the top level of the file gives the settings that a region leaves out."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9._-]+$")
    port: int = Field(default=0, ge=0, le=65535)
    key: str | None = None
    secondary_key: str | None = None
    token: str | None = None
    deployments: list[DeploymentSettings] | None = None
    latency: LatencySettings | None = None
    surfaces: list[Family] | None = None
    prompt_cache: PromptCacheSettings | None = None
    tool_calls: dict[str, dict[str, Any]] | None = None
    faults: list[Fault] = []


class Settings(_Model):
    """A whole configuration file."""

    host: str = "127.0.0.1"
    key: str | None = None
    token: str | None = None
    admin_key: str | None = None
    deployments: list[DeploymentSettings] | None = None
    latency: LatencySettings = LatencySettings()
    answer_tokens: int = Field(default=16, ge=1)
    background_s: float = Field(default=1.0, ge=0)
    seed: int = 0
    surfaces: list[Family] = list(FAMILIES)
    prompt_cache: PromptCacheSettings = PromptCacheSettings(enabled=False)
    tool_calls: dict[str, dict[str, Any]] = {}
    regions: list[RegionSettings] = []


_KNOWN_NAMES = {
    name
    for model in (Settings, RegionSettings, DeploymentSettings, LatencySettings, PromptCacheSettings, Fault)
    for name in model.model_fields
}


@dataclass
class Options:
    """The options of the command line; an unset one leaves the file's value."""

    config: Path | None = None
    regions: Sequence[str] = ()
    keys_for: Sequence[str] = ()
    deployments: Sequence[str] = ()
    values: dict[str, Any] = field(default_factory=dict)
    """Top-level settings by name."""
    latency: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What to serve."""

    host: str
    admin_key: str | None
    regions: list[Region]
    faults: dict[str, list[Fault]]


def plan(options: Options) -> Plan:
    """Merge the file and the options. Raises :class:`ProblemsError` with all problems.

    For example, ``Options(regions=["eastus:8001"], values={"key": "k"})`` makes a plan with one region.
    """
    problems: list[str] = []
    document = _read(options.config, problems)
    document |= {name: value for name, value in options.values.items() if value is not None}
    latency = {name: value for name, value in options.latency.items() if value is not None}
    if latency:
        document["latency"] = {**(document.get("latency") or {}), **latency}
    if options.regions or not document.get("regions"):
        document["regions"] = [_region_option(text, problems) for text in options.regions or DEFAULT_REGIONS]
    if options.deployments:
        document["deployments"] = [_deployment_option(text, problems) for text in options.deployments]
    keys = _key_options(options.keys_for, problems)
    problems += _cross_check(document, keys)
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        raise ProblemsError(problems + problems_of(error, known=_KNOWN_NAMES)) from None
    if problems:
        raise ProblemsError(problems)
    return Plan(
        settings.host,
        settings.admin_key,
        [_region(settings, region, keys) for region in settings.regions],
        {region.name: region.faults for region in settings.regions},
    )


def _read(path: Path | None, problems: list[str]) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(f"--config {path}: {error.strerror or 'cannot be read'}")
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" near line {mark.line + 1}" if mark is not None else ""
        problems.append(f"--config {path}: not a YAML file{place}")
    else:
        if document is None or isinstance(document, dict):
            return document or {}
        problems.append(f"--config {path}: expected a mapping such as 'regions: […]' at the top")
    return {}


def _region_option(text: str, problems: list[str]) -> dict[str, Any]:
    name, colon, port = text.partition(":")
    if colon and not port.isdigit():
        problems.append(
            f"--region {text}: write NAME:PORT with a port from 0 to 65535, for example eastus:8001"
        )
        port = ""
    return {"name": name, "port": int(port or 0)}


def _deployment_option(text: str, problems: list[str]) -> dict[str, Any]:
    name, _, rest = text.partition(":")
    values: dict[str, Any] = {"name": name}
    for pair in filter(None, rest.split(",")):
        field_name, equals, value = pair.partition("=")
        if not equals:
            problems.append(
                f"--deployment {text}: write NAME:tpm=N,rpm=N, for example gpt-4o:tpm=10000,rpm=60"
            )
            continue
        values[field_name.strip()] = value.strip()
    return values


def _key_options(texts: Sequence[str], problems: list[str]) -> dict[str, str]:
    keys = {}
    for text in texts:
        name, equals, key = text.partition("=")
        if not equals or not key:
            problems.append(f"--key-for {name}: write REGION=KEY")
        keys[name] = key
    return keys


def _cross_check(document: dict[str, Any], keys: dict[str, str]) -> list[str]:
    """Problems between settings that are valid on their own.

    It reads the raw values, so that an error elsewhere does not hide them.
    """
    given = document["regions"] if isinstance(document["regions"], list) else []
    regions = [region for region in given if isinstance(region, dict)]
    names = [str(region.get("name")) for region in regions]
    known = ", ".join(names)
    problems = [f"--key-for {name}: no such region; there are: {known}" for name in keys if name not in names]
    for name, count in Counter(names).items():
        if count > 1:
            problems.append(f"region {name}: given {count} times; give each region one name and port")
    for port, count in Counter(region.get("port") for region in regions).items():
        if port and count > 1:
            problems.append(f"port {port}: given to {count} regions; each needs its own")
    for region, name in zip(regions, names, strict=True):
        if not (keys.get(name) or region.get("key") or document.get("key")):
            problems.append(
                f"region {name}: no key; give --key KEY, --key-for {name}=KEY "
                "or AZURE_OPENAI_SIMULATOR_KEY (any text: clients send it as api-key)"
            )
    return problems


def _region(settings: Settings, region: RegionSettings, keys: dict[str, str]) -> Region:
    deployments = region.deployments if region.deployments is not None else settings.deployments
    base = Region(
        name=region.name,
        key=keys.get(region.name) or region.key or settings.key or "",
        secondary_key=region.secondary_key,
        token=region.token or settings.token,
        port=region.port,
        latency=(region.latency or settings.latency).latency(),
        answer_tokens=settings.answer_tokens,
        background_s=settings.background_s,
        seed=settings.seed,
        surfaces=region.surfaces if region.surfaces is not None else settings.surfaces,
        prompt_cache=(region.prompt_cache or settings.prompt_cache).caching(),
        tool_calls=region.tool_calls if region.tool_calls is not None else settings.tool_calls,
    )
    if deployments is None:
        return base
    return replace(base, deployments=[deployment.deployment() for deployment in deployments])
