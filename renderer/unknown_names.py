"""Variables that were meant for the gateway, but are unknown to it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache

from rapidfuzz import process
from rapidfuzz.distance import OSA

from renderer.names import Place, is_known, numbered_stems, place_of, scalar_names, sections, yaml_path
from renderer.origins import origin_of
from renderer.problems import Problem

# Nobody else uses these prefixes: every variable that begins so is a mistake when the model does not know it.
# Prefixes that other software uses as well (AZURE_, REDIS_, OTEL_, ENABLE_, APISIX_ …) are not here: for
# those only a near miss of a known name is a mistake.
OWN_PREFIXES = (
    "AI_PROXY_",
    "AI_RATE_LIMIT_",
    "BREAKER_",
    "COOLDOWN_",
    "CORS_",
    "ENABLE_LOW_LANE_",
    "ENTRA_",
    "GATEWAY_CLIENT_",
    "IP_RESTRICTION_",
    "LOW_LANE_",
    "PROMPT_GUARD_",
    "QUOTA_",
    "RATE_LIMIT_",
    "STORED_RESOURCE",
)

# Ours, and other tools' as well. A name that resembles one of ours is a mistake; the others are told.
SHARED_PREFIXES = ("AZURE_OPENAI_", "GATEWAY_", "LB_")

# All our names of this prefix have a number, so a name without one is another tool's, however similar it is.
_NUMBERED_PREFIX = "AZURE_OPENAI_"
_HAS_INDEX = re.compile(r"_\d+(_|$)|\d$")

# Other software exports these: the OpenAI SDKs and what is built on them, this repository's simulator and
# other commands, compose.yaml, CGI. Kubernetes describes a service called "redis" by variables like
# REDIS_PORT_6379_TCP_ADDR.
_SDK = re.compile(
    r"AZURE_OPENAI_([A-Z][A-Z0-9]*_([0-9]+_)?)*"
    r"(AD_TOKEN|API_KEY|BASE|BASE_PATH|BASE_URL|DEPLOYMENT|ENDPOINT|INSTANCE|MODEL|RESOURCE|SERVICE|VERSION)"
    r"(_NAME|_ID)?"
)
_FOREIGN = re.compile(
    r"AZURE_OPENAI_SIMULATOR_\w+"
    r"|GATEWAY_(CONFIG_DIR|ENV_FILE|ENVIRONMENT|INTERFACE|KEY|PORT|STACKS_DIR|STATE_DIR|STATUS_PORT|URL)"
    r"|\w+_SERVICE_HOST|\w+_SERVICE_PORT(_\w+)?|\w+_PORT_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?"
)

_ENABLE = re.compile(r"^(ENABLED?_?|USE_)|(_?ENABLED?|_ON)$")


def _words(name: str) -> str:
    """A name without its spelling. Example: `ENABLE_IP_ALLOW_LISTS` → `IPALLOWLIST`."""
    return _ENABLE.sub("", name).replace("_", "").removesuffix("S")


def _by_words(names: Mapping[str, str]) -> dict[str, str]:
    return {_words(word): name for name, words in names.items() for word in words.split()}


# What people call our guardrails and their settings. Words of the first table count together with "enable"
# only, because other software has a JWT or an AUTH as well.
_SWITCHES = _by_words(
    {
        "ENABLE_AI_RATE_LIMIT": (
            "AI_LIMIT AI_RATE_LIMITING LLM_RATE_LIMIT TOKEN_BUDGET TOKEN_LIMIT TOKEN_LIMITING TOKEN_QUOTA "
            "TOKEN_RATE_LIMIT TOKEN_RATE_LIMITING"
        ),
        "ENABLE_CORS": "CORS_POLICY",
        "ENABLE_ENTRA_AUTH": (
            "AAD AAD_AUTH AZURE_AD AZURE_AD_AUTH ENTRA ENTRA_ID ENTRA_ID_AUTH JWT JWT_AUTH OAUTH OIDC"
        ),
        "ENABLE_IP_RESTRICTION": (
            "ALLOWLIST BLOCKLIST DENYLIST IP_ACL IP_ALLOWLIST IP_BLACKLIST IP_BLOCKLIST IP_DENYLIST "
            "IP_FILTER IP_FILTERING IP_WHITELIST WHITELIST"
        ),
        "ENABLE_PROMPT_GUARD": (
            "CONTENT_FILTER CONTENT_SAFETY GUARDRAIL PROMPT_FILTER PROMPT_GUARDRAIL PROMPT_SHIELD"
        ),
        "ENABLE_QUOTA": "REQUEST_QUOTA",
        "ENABLE_RATE_LIMIT": (
            "RATE_LIMITER RATE_LIMITING REQUEST_LIMIT REQUEST_RATE_LIMIT THROTTLE THROTTLING"
        ),
        "ENABLE_RESPONSE_HEADERS": "HSTS SECURE_HEADER SECURITY_HEADER",
        "GATEWAY_REQUIRE_AUTH": "AUTH AUTHENTICATION CLIENT_AUTH KEY_AUTH",
    }
)
_VALUES = _by_words(
    {
        "AI_RATE_LIMIT_HIGH_LIMIT": "TOKEN_LIMIT TOKEN_QUOTA TOKEN_RATE_LIMIT",
        "CORS_ALLOW_ORIGINS": "ALLOWED_ORIGIN ALLOW_ORIGIN",
        "ENABLE_IP_RESTRICTION": "IP_FILTER IP_FILTERING",
        "ENABLE_RATE_LIMIT": "RATE_LIMITING",
        "GATEWAY_REQUIRE_AUTH": "AUTH_REQUIRED REQUIRE_AUTH REQUIRE_AUTHENTICATION",
        "GATEWAY_TRUSTED_PROXIES": "TRUSTED_PROXIES TRUSTED_PROXY",
        "IP_ALLOWLIST": (
            "ALLOWED_CIDR ALLOWED_IP ALLOWED_IP_RANGE ALLOW_IP IP_ALLOW IP_ALLOWED IP_SAFELIST IP_WHITELIST"
        ),
        "IP_DENYLIST": "BLOCKED_IP BLOCK_IP DENIED_IP DENY_IP IP_BLACKLIST IP_BLOCK IP_BLOCKLIST IP_DENY",
        "MAX_REQUEST_BODY_MB": (
            "MAX_BODY MAX_BODY_MB MAX_BODY_SIZE MAX_REQUEST_BODY MAX_REQUEST_BODY_SIZE MAX_REQUEST_SIZE"
        ),
        "PROMPT_ALLOW_PATTERNS": "PROMPT_ALLOW PROMPT_ALLOWED_PATTERN PROMPT_ALLOWLIST",
        "PROMPT_DENY_PATTERNS": (
            "PROMPT_BLOCKLIST PROMPT_BLOCK_PATTERN PROMPT_DENIED_PATTERN PROMPT_DENY PROMPT_DENYLIST"
        ),
        "REDIS_HOST": (
            "REDIS_ADDR REDIS_ADDRESS REDIS_CONNECTION_STRING REDIS_ENDPOINT REDIS_HOSTNAME REDIS_SERVER "
            "REDIS_URI REDIS_URL"
        ),
        "REDIS_PASSWORD": "REDIS_ACCESS_KEY REDIS_AUTH REDIS_KEY REDIS_PASS REDIS_PRIMARY_KEY",
        "REDIS_TLS": "REDIS_SSL REDIS_USE_SSL REDIS_USE_TLS",
    }
)

_NUMBER = re.compile(r"(?<!\d)\d{1,9}(?!\d)")
_SHORTEST_NEAR_MISS = 8


def unknown_in_environment(texts: Mapping[str, str]) -> Iterator[Problem]:
    """A problem for each unknown variable that was evidently meant for the gateway.

    Other software has variables in the environment too, so the rest is left alone. Example:
    `{"AZURE_OPENAI_WIEGHT_0": "1", "PATH": "/bin"}` → one problem that suggests `AZURE_OPENAI_WEIGHT_0`.
    """
    for name, text in texts.items():
        meant = None if _is_foreign(name, text) else _meant(name)
        if meant is not None or (name.startswith(OWN_PREFIXES) and not _is_foreign(name, text)):
            yield _problem(name, meant)


def ignored_in_environment(texts: Mapping[str, str]) -> Iterator[str]:
    """The unknown variables that begin like some of ours, and are not read. What everybody knows is left out.

    Example: `{"AZURE_OPENAI_DEPLOYMENT": "gpt-4o", "PATH": "/bin"}` → `AZURE_OPENAI_DEPLOYMENT`.
    """
    for name, text in texts.items():
        is_known_to_all = _is_link(name, text) or _FOREIGN.fullmatch(name)
        if name.startswith(SHARED_PREFIXES) and not name.startswith(OWN_PREFIXES) and not is_known_to_all:
            yield name


def unknown_in_file(texts: Mapping[str, str]) -> Iterator[Problem]:
    """A problem for each unknown name of a file of settings or of tfvars, where all names are the gateway's.

    Example: `{"REDIS_HOST": "a", "TIMEZONE": "b"}` → one problem with `TIMEZONE`.
    """
    for name, text in texts.items():
        origin = origin_of(text)
        if (
            origin is not None and origin.path == name
        ):  # so the YAML file has it, and no setting has that path
            yield _problem_of_path(name, origin.where)
        elif not is_known(name):
            yield _problem(name, _spelt_otherwise(name) or closest_name(name))


def _is_foreign(name: str, text: str) -> bool:
    return bool(_SDK.fullmatch(name) or _FOREIGN.fullmatch(name)) or _is_link(name, text)


def _is_link(name: str, text: str) -> bool:
    return name.endswith("_PORT") and text.startswith("tcp://")


def _meant(name: str) -> str | None:
    """The setting that a variable of the environment was meant for; None where that is not evident."""
    spelt = _spelt_otherwise(name)
    if spelt is not None:
        return spelt
    if name.startswith(_NUMBERED_PREFIX) and not _HAS_INDEX.search(name):
        return None
    return closest_name(name) if name.startswith((*OWN_PREFIXES, *SHARED_PREFIXES)) else _near_miss(name)


def _problem(name: str, meant: str | None) -> Problem:
    remedy = f"Did you mean {meant}?" if meant else "Remove it, or look its name up in the reference"
    return Problem(name, "is not a setting of the gateway", remedy)


def _problem_of_path(path: str, where: str) -> Problem:
    """The problem with a name of a YAML file. Example: `redis.hots` → "Did you mean redis.host?"."""
    meant = _path_of_variable(path) or _close_path(path)
    return replace(_problem(path, meant), origin=where)


def _path_of_variable(path: str) -> str | None:
    """The path of a variable that stands in a YAML file. Example: `REDIS_HOST` → `redis.host`."""
    name = path.rpartition(".")[2].upper().replace("-", "_")
    place = place_of(name) or place_of(_spelt_otherwise(name) or "")
    return yaml_path(place) if place is not None else None


def _close_path(path: str) -> str | None:
    section, _, name = path.rpartition(".")
    if not section:
        found = difflib.get_close_matches(name, sections(), n=1)
        return found[0] if found else _section_of_field(name)
    group = sections()[section.partition("[")[0]]
    plain = name.lower().replace("-", "_")
    found = difflib.get_close_matches(plain, group.model_fields, n=1)
    return f"{section}.{found[0]}" if found else _section_of_field(plain)


def _section_of_field(name: str) -> str | None:
    """The path of a field that stands in the wrong place, if there is one of that name only."""
    owners = [group for group in sections().values() if name in group.model_fields]
    return yaml_path(Place(owners[0], name)) if len(owners) == 1 else None


def _spelt_otherwise(name: str) -> str | None:
    """The variable that has the same words. Examples: `azure-openai-key-0`, `ENABLE_IP_ALLOWLIST`."""
    shouted = name.upper().replace("-", "_")
    if is_known(shouted):
        return shouted
    words = _words(shouted)
    switch = _SWITCHES.get(words) if _ENABLE.search(shouted) else None
    return switch or _VALUES.get(words) or _known_words().get(words)


@cache
def _known_words() -> dict[str, str]:
    return {_words(name): name for name in scalar_names()}


def closest_name(name: str) -> str | None:
    """The known variable that resembles `name` most, with the same index where it has one.

    Example: `AZURE_OPENAI_WEIGHTS_12` → `AZURE_OPENAI_WEIGHT_12`.
    """
    found = difflib.get_close_matches(name, _candidates(name), n=1, cutoff=0.75)
    return found[0] if found else None


def _candidates(name: str) -> list[str]:
    """What `name` may be meant for: the plain variables, and the numbered ones with its last number."""
    numbers = _NUMBER.findall(name)
    index = int(numbers[-1]) if numbers else 0  # reads the digits of any script
    return sorted([*scalar_names(), *(f"{stem}_{index}" for stem in numbered_stems())])


def _near_miss(name: str) -> str | None:
    """A known variable one slip of the keyboard away; two slips for long names.

    A slip inserts, deletes or replaces a letter, or swaps two neighbours.
    """
    slips = 1 if len(name) <= 12 else 2
    candidates = [known for known in _candidates(name) if len(known) >= _SHORTEST_NEAR_MISS]
    found = process.extractOne(name, candidates, scorer=OSA.distance, score_cutoff=slips)
    return found[0] if found else None
