"""Flags, lists, names and secrets, and the two kinds of checks that most variables need."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_core import PydanticCustomError

TRUE_WORDS = frozenset({"true", "1", "yes", "on"})
FALSE_WORDS = frozenset({"false", "0", "no", "off"})

DEPLOYMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_GUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_TOKENS = re.compile(r"[1-9][0-9]{0,8}")
_LIMITS_EXAMPLE = "gpt-4o=100000,embeddings=50000"
_FALLBACKS_EXAMPLE = "gpt-5=gpt-5-mini|gpt-4.1"
_NO_DEPLOYMENT = "has an item that is not a deployment name"
_DEPLOYMENT_REMEDY = "Write names of letters, digits, '.', '_', ':' and '-', for example"
_HEADER_NAME = "[A-Za-z0-9!#$%&'*+.^_`|~-]+"


class AsJson:
    """Marks a type whose lists and mappings are JSON in a variable, because their items may have commas."""


def wrong(what: str, remedy: str) -> PydanticCustomError:
    """The error that a parser raises: `what` is wrong with the value, `remedy` is what to write instead."""
    return PydanticCustomError("setting", "{what}", {"what": what, "remedy": remedy})


def matching(pattern: str, what: str, remedy: str) -> BeforeValidator:
    """A check for a whole text. Example: `matching("[a-z]+", …)` passes `eastus` on and refuses `east us`."""

    def check(value: object) -> object:
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        if not re.fullmatch(pattern, text):
            raise wrong(what, remedy)
        return value

    return BeforeValidator(check)


def list_matching(pattern: str, what: str, remedy: str, *, all_words: Sequence[str] = ()) -> BeforeValidator:
    """A check for each item of a comma separated list. `all_words` mean everything, and each stands alone.

    Example: `list_matching("[A-Z]+", …)` turns `GET, POST` into `("GET", "POST")` and refuses `GET,post`.
    """

    def check(value: object) -> object:
        items = split_list(value)
        for item in items if isinstance(items, tuple) else ():
            if item not in all_words and not re.fullmatch(pattern, item):
                raise wrong(what, remedy)
        if isinstance(items, tuple) and len(items) > 1 and not set(items).isdisjoint(all_words):
            raise wrong("has * beside other items", "Write * alone, or the items without it")
        return items

    return BeforeValidator(check)


def parse_flag(value: object) -> object:
    """Turn one of the accepted words into a bool; no other word ever counts as true.

    Example: `Yes` → `True`.
    """
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise wrong("is neither yes nor no", "Write true or false (1, 0, yes, no, on and off work as well)")


def split_list(value: object) -> object:
    """Split a comma separated list and drop empty items. Example: `a, b,` → `("a", "b")`."""
    if not isinstance(value, str):
        return value
    items = tuple(item.strip() for item in value.split(",") if item.strip())
    if not items:
        raise wrong("has no items", "Write at least one, separated by commas, or remove the variable")
    return items


def _assignments(value: str) -> Iterator[tuple[str, str, str]]:
    """The items of a list around their '='. Example: `a, b = c` → `("a", "", "")` and `("b", "=", "c")`."""
    items = split_list(value)
    assert isinstance(items, tuple)
    for item in items:
        name, equals, text = item.partition("=")
        yield name.strip(), equals, text.strip()


def parse_deployments(value: object) -> object:
    """Parse deployments with optional renames into a mapping from the client's name to the backend's.

    Example: `gpt-4o,embeddings=emb-3-small` → `{"gpt-4o": "gpt-4o", "embeddings": "emb-3-small"}`.
    """
    if not isinstance(value, str):
        return value
    deployments: dict[str, str] = {}
    for name, renamed, target in _assignments(value):
        target = target if renamed else name
        if not (DEPLOYMENT_NAME.fullmatch(name) and DEPLOYMENT_NAME.fullmatch(target)):
            raise wrong(_NO_DEPLOYMENT, f"{_DEPLOYMENT_REMEDY} gpt-4o,embeddings=emb-3-small")
        if name in deployments:
            raise wrong(f"lists the deployment '{name}' twice", "Keep one of the two")
        deployments[name] = target
    return deployments


def parse_token_limits(value: object) -> object:
    """Parse limits of tokens a minute by deployment.

    Example: `gpt-4o=100000,embeddings=50000` → `{"gpt-4o": 100000, "embeddings": 50000}`.
    """
    if not isinstance(value, str):
        return value
    limits: dict[str, int] = {}
    for name, _, tokens in _assignments(value):
        if not DEPLOYMENT_NAME.fullmatch(name):
            raise wrong(_NO_DEPLOYMENT, f"{_DEPLOYMENT_REMEDY} {_LIMITS_EXAMPLE}")
        if not _TOKENS.fullmatch(tokens):
            raise wrong(
                f"has no limit for the deployment '{name}'",
                f"Write a whole number from 1 to 999999999 behind '=', such as {_LIMITS_EXAMPLE}",
            )
        if name in limits:
            raise wrong(f"lists the deployment '{name}' twice", "Keep one of the two")
        limits[name] = int(tokens)
    return limits


def parse_fallbacks(value: object) -> object:
    """Parse the deployments that take the place of others.

    Example: `gpt-5=gpt-5-mini|gpt-4.1` → `{"gpt-5": ("gpt-5-mini", "gpt-4.1")}`.
    """
    if not isinstance(value, str):
        return value
    fallbacks: dict[str, tuple[str, ...]] = {}
    for name, _, others in _assignments(value):
        names = tuple(other.strip() for other in others.split("|"))
        if not all(map(DEPLOYMENT_NAME.fullmatch, (name, *names))):
            raise wrong(_NO_DEPLOYMENT, f"{_DEPLOYMENT_REMEDY} {_FALLBACKS_EXAMPLE}")
        if len({name, *names}) <= len(names):
            raise wrong(
                f"names a deployment twice for '{name}'",
                "Write each fallback once, and none that is the deployment itself",
            )
        if name in fallbacks:
            raise wrong(
                f"lists the deployment '{name}' twice", f"Write all in one item: {_FALLBACKS_EXAMPLE}"
            )
        fallbacks[name] = names
    return fallbacks


def parse_label(value: object) -> object:
    """Check a free name that appears in metric labels and logs. Example: `Team A` stays as it is."""
    text = str(value)
    if len(text) > 128 or not text.isprintable():
        raise wrong(
            "is too long, or has a line break or an invisible character",
            "Write at most 128 printable characters on one line",
        )
    return value


Flag = Annotated[bool, BeforeValidator(parse_flag)]
Label = Annotated[str, BeforeValidator(parse_label)]
SURFACES = ("openai", "anthropic", "inference")
"""Azure OpenAI, Claude on Foundry, and Foundry's model inference API."""
Surfaces = Annotated[
    tuple[str, ...],
    list_matching(
        "|".join(SURFACES),
        "has an item that is no surface",
        f"Write one or more of {', '.join(SURFACES[:-1])} and {SURFACES[-1]}",
    ),
]
TokenLimits = Annotated[dict[str, int], BeforeValidator(parse_token_limits)]
Fallbacks = Annotated[dict[str, tuple[str, ...]], BeforeValidator(parse_fallbacks)]
Deployments = Annotated[dict[str, str], BeforeValidator(parse_deployments)]
DeploymentNames = Annotated[
    tuple[str, ...],
    list_matching(
        DEPLOYMENT_NAME.pattern, _NO_DEPLOYMENT, f"{_DEPLOYMENT_REMEDY} gpt-4o,text-embedding-3-small"
    ),
]
_BACKEND_NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
BackendName = Annotated[  # appears in metric labels and in `x-gateway-attempts`
    str,
    matching(
        _BACKEND_NAME,
        "cannot be used as a name",
        "Write at most 63 letters, digits, '.', '_' and '-', beginning with a letter or digit",
    ),
]
BackendNames = Annotated[
    tuple[str, ...],
    list_matching(
        _BACKEND_NAME, "has an item that is not the name of a backend", "Write names like eastus,westus"
    ),
]
ClientNames = Annotated[tuple[str, ...], BeforeValidator(split_list)]
HashKey = Annotated[
    str,
    matching(
        _HEADER_NAME,
        "is not the name of a header, cookie or variable",
        "Write one name, such as x-session-id",
    ),
]
HeaderNames = Annotated[
    tuple[str, ...],
    list_matching(
        _HEADER_NAME,
        "has an item that is not a header name",
        "Write names like authorization,x-request-id",
        all_words=("*", "**"),
    ),
]
HeaderSecret = Annotated[
    SecretStr,
    matching(
        r"[\x21-\x7e]+",
        "has blanks, line breaks or letters that no HTTP header can carry",
        "Write the key alone, without quotes or text around it",
    ),
]
ConnectionString = Annotated[  # the collector refuses one without its key
    SecretStr,
    matching(
        r"(?is)(?:.*;)?\s*InstrumentationKey\s*=\s*[^;\s].*",
        "has no InstrumentationKey",
        "Copy the whole connection string from the resource's overview: "
        "InstrumentationKey=…;IngestionEndpoint=https://…",
    ),
]
Tenant = Annotated[  # tokens name the tenant by its id, never by a domain
    str,
    AfterValidator(str.lower),
    matching(
        _GUID, "is not a tenant id", "Write the directory (tenant) id, a GUID, as shown by az account show"
    ),
]
AppId = Annotated[
    str,
    AfterValidator(str.lower),
    matching(_GUID, "is not an application id", "Write the application (client) id, a GUID"),
]
AppIds = Annotated[
    tuple[str, ...],
    AfterValidator(lambda ids: tuple(map(str.lower, ids))),
    list_matching(_GUID, "has an item that is not an application id", "Write the GUIDs, separated by commas"),
]
