"""How the text of a variable becomes a value: flags, lists, endpoints, names, addresses, patterns.

Every parser takes the trimmed text (or an already typed value, for settings built in Python) and raises
`wrong(...)`, which carries what is wrong and what to write. No message repeats the value it complains about,
because the value may be a secret that was put into the wrong variable.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import BeforeValidator, SecretStr
from pydantic_core import PydanticCustomError

TRUE_WORDS = frozenset({"true", "1", "yes", "on"})
FALSE_WORDS = frozenset({"false", "0", "no", "off"})

_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_BACKEND_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_DEPLOYMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TENANT_DOMAIN = re.compile(r"(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def wrong(what: str, remedy: str) -> PydanticCustomError:
    """The error a parser raises: `what` is wrong with the value, `remedy` is what to write instead."""
    return PydanticCustomError("setting", "{what}", {"what": what, "remedy": remedy})


def parse_flag(value: object) -> object:
    """Turn one of the accepted words into a bool, so that no other word is ever taken for true."""
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise wrong("is not a yes or a no", "Write true or false (1, 0, yes, no, on and off work as well)")


def split_list(value: object) -> object:
    """Split a comma separated list; blanks around items and empty items are dropped."""
    if not isinstance(value, str):
        return value
    items = tuple(item.strip() for item in value.split(",") if item.strip())
    if not items:
        raise wrong("has no items", "Write at least one, separated by commas, or remove the variable")
    return items


def parse_names(value: object) -> object:
    """Parse a comma separated list of deployment names."""
    names = split_list(value)
    for name in names if isinstance(names, tuple) else ():
        _check_deployment(name)
    return names


def parse_deployments(value: object) -> object:
    """Parse `name,name=name-at-the-backend` into a mapping from the client's name to the backend's."""
    if not isinstance(value, str):
        return value
    deployments: dict[str, str] = {}
    items = split_list(value)
    assert isinstance(items, tuple)
    for item in items:
        name, renamed, target = (part.strip() for part in item.partition("="))
        if not renamed:
            target = name
        _check_deployment(name)
        _check_deployment(target)
        if name in deployments:
            raise wrong(f"lists the deployment '{name}' twice", "Keep one of the two")
        deployments[name] = target
    return deployments


def _check_deployment(name: str) -> None:
    if not _DEPLOYMENT.fullmatch(name):
        raise wrong(
            "has an item that is no deployment name",
            "Write names of letters, digits, '.', '_' and '-', for example gpt-4o,embeddings=emb-3-small",
        )


def parse_endpoint(value: object) -> object:
    """Check a backend's endpoint and return its origin, `scheme://host[:port]`, without a trailing slash."""
    url = _split_url(value, "https://my-resource.openai.azure.com")
    if url.path not in ("", "/") or url.query or url.fragment:
        part = "a path" if url.path not in ("", "/") else "a query or fragment"
        raise wrong(
            f"has {part}, but the gateway sends each request's own path and query",
            f"Write only the resource: {_origin(url)}",
        )
    return _origin(url)


def parse_base_url(value: object) -> object:
    """Check the address of a collector: `http(s)://host:port`, without a path."""
    url = _split_url(value, "http://127.0.0.1:4318")
    if url.path not in ("", "/") or url.query or url.fragment:
        raise wrong("has a path or query, which the exporter adds itself", f"Write only {_origin(url)}")
    return _origin(url)


def parse_https_url(value: object) -> object:
    """Check an absolute https URL, of which path and query are kept."""
    url = _split_url(value, "https://host.example.com/path")
    if url.scheme != "https":
        raise wrong("does not start with https://", "Write the https URL")
    return url.geturl()


def parse_vault_url(value: object) -> object:
    """Check the address of a Key Vault and return its origin."""
    url = _split_url(value, "https://my-vault.vault.azure.net")
    if url.scheme != "https":
        raise wrong("does not start with https://", "Write https://<vault name>.vault.azure.net")
    if url.path not in ("", "/") or url.query or url.fragment:
        raise wrong("has a path or query", f"Write only the vault: {_origin(url)}")
    return _origin(url)


def _split_url(value: object, example: str) -> SplitResult:
    text = str(value)
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise wrong("is not a URL", f"Write it like {example}") from None
    if url.scheme not in ("http", "https"):
        raise wrong("does not start with https://", f"Write it like {example}")
    if "@" in url.netloc:
        raise wrong("has a user name or password in it", f"Write it like {example}")
    host = url.hostname or ""
    if not (_HOST.fullmatch(host) or _is_ip(host)) or port == 0 or url.netloc.endswith(":"):
        raise wrong("has no valid host and port", f"Write it like {example}")
    if any(not "\x21" <= letter <= "\x7e" for letter in text):
        raise wrong("has a blank or a character that no URL has", f"Write it like {example}")
    return url


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _origin(url: SplitResult) -> str:
    return f"{url.scheme}://{url.netloc.lower()}"


def is_loopback(url: str) -> bool:
    """Whether the host of `url` is this machine itself."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return _is_ip(host) and ipaddress.ip_address(host).is_loopback


def name_from_endpoint(endpoint: object) -> str:
    """The name of a backend without NAME: the resource's name, or host and port outside azure.com."""
    try:
        url = _split_url(endpoint, "")
    except PydanticCustomError:
        return "unnamed"
    host = url.hostname or ""
    if host.endswith(".azure.com"):
        return host.split(".", 1)[0]
    name = host if url.port is None else f"{host}-{url.port}"
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:63] or "unnamed"


def parse_backend_name(value: object) -> object:
    """Check a backend's name; it appears in metric labels and in `x-gateway-attempts`."""
    if not _BACKEND_NAME.fullmatch(str(value)):
        raise wrong(
            "is no usable name",
            "Write at most 63 letters, digits, '.', '_' and '-', beginning with a letter or digit",
        )
    return value


def parse_label(value: object) -> object:
    """Check a free name that appears in metric labels and logs."""
    text = str(value)
    if len(text) > 128 or not text.isprintable():
        raise wrong("is no usable name", "Write at most 128 printable characters")
    return value


def parse_header_secret(value: object) -> object:
    """Check a secret that travels in an HTTP header: visible ASCII only."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    if not _VISIBLE_ASCII.fullmatch(text):
        raise wrong(
            "has blanks, line breaks or letters that no HTTP header can carry",
            "Write the key alone, without quotes or text around it",
        )
    return value


def parse_cidrs(value: object) -> object:
    """Parse a comma separated list of IP addresses and CIDR ranges."""
    items = split_list(value)
    for position, item in enumerate(items if isinstance(items, tuple) else (), start=1):
        try:
            ipaddress.ip_network(item, strict=True)
        except ValueError:
            raise wrong(
                f"has an item (number {position}) that is neither an IP address nor a range with its host "
                "bits zero",
                "Write addresses and ranges like 203.0.113.7,10.0.0.0/8,2001:db8::/32",
            ) from None
    return items


def parse_patterns(value: object) -> object:
    """Parse regular expressions: a JSON list of strings, or comma separated when none has a comma."""
    if not isinstance(value, str):
        return value
    patterns = _json_strings(value)
    if patterns is None:
        patterns = split_list(value)  # type: ignore[assignment]
    assert patterns is not None
    for position, pattern in enumerate(patterns, start=1):
        reason = _compile_error(pattern)
        if reason:
            raise wrong(
                f"has a pattern (number {position}) that does not compile: {reason}",
                'Correct it; patterns with commas are written as a JSON list: ["a{1,3}","b"]',
            )
    return patterns


def _json_strings(text: str) -> tuple[str, ...] | None:
    if not text.startswith("["):
        return None
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(items, list) and items and all(isinstance(item, str) and item for item in items):
        return tuple(items)
    return None


def _compile_error(pattern: str) -> str | None:
    import pcre2  # type: ignore[import-untyped]  # only guardrails need it, and it is the library that APISIX matches with

    try:
        pcre2.compile(pattern)
    except pcre2.LibraryError as error:
        return str(error).removeprefix("compilation failed ")
    return None


def parse_origins(value: object) -> object:
    """Parse CORS origins: `*`, or a comma separated list of `scheme://host[:port]`."""
    items = split_list(value)
    for item in items if isinstance(items, tuple) else ():
        if item != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9.\[\]:_-]+", item):
            raise wrong("has an item that is no origin", "Write origins like https://app.example.com, or *")
    return items


def parse_header_names(value: object) -> object:
    """Parse a comma separated list of header names; `*` and `**` stand for all of them."""
    items = split_list(value)
    for item in items if isinstance(items, tuple) else ():
        if not _HEADER_NAME.fullmatch(item):
            raise wrong("has an item that is no header name", "Write names like authorization,x-request-id")
    return items


def parse_methods(value: object) -> object:
    """Parse a comma separated list of HTTP methods; `*` stands for all of them."""
    items = split_list(value)
    for item in items if isinstance(items, tuple) else ():
        if item != "*" and not re.fullmatch(r"[A-Z]+", item):
            raise wrong("has an item that is no HTTP method", "Write methods like GET,POST,OPTIONS, or *")
    return items


def parse_host(value: object) -> object:
    """Check a host name or IP address, without scheme and port."""
    text = str(value)
    if len(text) < 2 or not (_HOST.fullmatch(text) or _is_ip(text)):
        raise wrong("is no host name", "Write the name or address alone, without scheme and port")
    return value


def parse_tenant(value: object) -> object:
    """Check an Entra tenant: its id or one of its domain names."""
    text = str(value)
    if not (_GUID.fullmatch(text) or _TENANT_DOMAIN.fullmatch(text)):
        raise wrong("is no tenant", "Write the directory (tenant) id, a GUID, as shown by az account show")
    return text.lower()


def parse_app_ids(value: object) -> object:
    """Parse a comma separated list of application (client) ids."""
    items = split_list(value)
    for item in items if isinstance(items, tuple) else ():
        if not _GUID.fullmatch(item):
            raise wrong("has an item that is no application id", "Write the GUIDs, separated by commas")
    return tuple(str(item).lower() for item in items) if isinstance(items, tuple) else items


@dataclass(frozen=True, slots=True)
class Price:
    """List price of a model in USD per million tokens; `cached` are prompt tokens served from cache."""

    prompt: float
    cached: float
    completion: float


def parse_pricing(value: object) -> object:
    """Parse model prices, given as JSON or as the path of a JSON file.

    Shape: `{"gpt-4o": {"prompt": 2.5, "cached": 1.25, "completion": 10}}`, USD per million tokens. `cached`
    may be left out (then it costs as much as `prompt`), and so may `completion` (then it costs nothing).
    """
    if not isinstance(value, str):
        return value
    try:
        text = value if value.startswith("{") else Path(value).read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise wrong(
            "is neither JSON nor the path of a readable file",
            'Write {"gpt-4o":{"prompt":2.5,"cached":1.25,"completion":10}} or the path of such a file',
        ) from None
    return prices_from_json(text)


def prices_from_json(text: str) -> dict[str, Price]:
    """Read a table of model prices from JSON text."""
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        raise wrong("is not valid JSON", "Check quotes, commas and braces") from None
    if not isinstance(table, dict):
        raise wrong("is not a JSON object", 'Write {"model name":{"prompt":1,"completion":2}}')
    return {str(model): _price(str(model), entry) for model, entry in table.items()}


def _price(model: str, entry: object) -> Price:
    kinds = ("prompt", "cached", "completion")
    fits = (
        isinstance(entry, Mapping)
        and set(entry) <= set(kinds)
        and "prompt" in entry
        and all(_is_amount(amount) for amount in entry.values())
    )
    if not fits or not _DEPLOYMENT.fullmatch(model):
        raise wrong(
            "has an entry that is no price of a model",
            "Write per model prompt, and optionally cached and completion: numbers of USD per million tokens",
        )
    assert isinstance(entry, Mapping)
    prompt = entry["prompt"]
    amounts = (prompt, entry.get("cached", prompt), entry.get("completion", 0))
    return Price(*(round(float(amount), 4) for amount in amounts))


def _is_amount(amount: object) -> bool:
    return isinstance(amount, int | float) and not isinstance(amount, bool) and 0 <= amount < 1_000_000


Flag = Annotated[bool, BeforeValidator(parse_flag)]
HeaderSecret = Annotated[SecretStr, BeforeValidator(parse_header_secret)]
Endpoint = Annotated[str, BeforeValidator(parse_endpoint)]
BaseUrl = Annotated[str, BeforeValidator(parse_base_url)]
HttpsUrl = Annotated[str, BeforeValidator(parse_https_url)]
VaultUrl = Annotated[str, BeforeValidator(parse_vault_url)]
BackendName = Annotated[str, BeforeValidator(parse_backend_name)]
Label = Annotated[str, BeforeValidator(parse_label)]
Host = Annotated[str, BeforeValidator(parse_host)]
Tenant = Annotated[str, BeforeValidator(parse_tenant)]
Names = Annotated[tuple[str, ...], BeforeValidator(parse_names)]
Deployments = Annotated[dict[str, str], BeforeValidator(parse_deployments)]
Cidrs = Annotated[tuple[str, ...], BeforeValidator(parse_cidrs)]
Patterns = Annotated[tuple[str, ...], BeforeValidator(parse_patterns)]
Origins = Annotated[tuple[str, ...], BeforeValidator(parse_origins)]
HeaderNames = Annotated[tuple[str, ...], BeforeValidator(parse_header_names)]
Methods = Annotated[tuple[str, ...], BeforeValidator(parse_methods)]
AppIds = Annotated[tuple[str, ...], BeforeValidator(parse_app_ids)]
Pricing = Annotated[dict[str, Any], BeforeValidator(parse_pricing)]
