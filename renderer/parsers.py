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

SOVEREIGN_DOMAINS = (".azure.us", ".azure.cn")
AZURE_DOMAINS = (".azure.com", *SOVEREIGN_DOMAINS)
"""Domains of Azure's public, US Government and China clouds."""

TRUE_WORDS = frozenset({"true", "1", "yes", "on"})
FALSE_WORDS = frozenset({"false", "0", "no", "off"})

_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")
_HOST_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_HOST = 253
_DEFAULT_PORTS = {"http": 80, "https": 443}
_BACKEND_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_DEPLOYMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?")
_RANGED_QUANTIFIER = re.compile(r"\{[0-9]*,[0-9]*\}")
_INSTRUMENTATION_KEY = re.compile(r"(?i)(?:^|;)\s*InstrumentationKey\s*=\s*[^;\s]")
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
        _check_deployment(name, "gpt-4o,text-embedding-3-small")
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
        for each in (name, target):
            _check_deployment(each, "gpt-4o,embeddings=emb-3-small")
        if name in deployments:
            raise wrong(f"lists the deployment '{name}' twice", "Keep one of the two")
        deployments[name] = target
    return deployments


def _check_deployment(name: str, example: str) -> None:
    if not _DEPLOYMENT.fullmatch(name):
        raise wrong(
            "has an item that is no deployment name",
            f"Write names of letters, digits, '.', '_', ':' and '-', for example {example}",
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
    if any(not "\x21" <= letter <= "\x7e" for letter in text):
        raise wrong(
            "has a blank or a letter that no URL has",
            f"Write it like {example} (an international host name in its xn-- form)",
        )
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
    bracketed = "[" in url.netloc and ":" not in host  # RFC 3986 has [v1.x], which nobody can connect to
    if not _is_host(host) or bracketed or port == 0 or url.netloc.endswith(":"):
        raise wrong("has no valid host and port", f"Write it like {example}")
    return url


def _is_host(host: str) -> bool:
    """Whether it is a host name that can be looked up, or an IP address (without a zone)."""
    if _is_ip(host):
        return True
    labels = host.split(".")
    return len(host) <= _LONGEST_HOST and all(map(_HOST_LABEL.fullmatch, labels))


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def _origin(url: SplitResult) -> str:
    """The one spelling of scheme, host and port: lower case, without the scheme's own port."""
    host = url.hostname or ""
    port = "" if url.port in (None, _DEFAULT_PORTS[url.scheme]) else f":{url.port}"
    return f"{url.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def is_loopback(url: str) -> bool:
    """Whether the host of `url` is this machine itself."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return _is_ip(host) and ipaddress.ip_address(host).is_loopback


def name_from_endpoint(endpoint: object) -> str:
    """The name of a backend without NAME: the resource's name, or host and port outside Azure."""
    try:
        url = _split_url(endpoint, "")
    except PydanticCustomError:
        return "unnamed"
    host = url.hostname or ""
    if host.endswith(AZURE_DOMAINS):
        return host.split(".", 1)[0]
    name = host if url.port is None else f"{host}-{url.port}"
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:63] or "unnamed"


def is_sovereign(url: str) -> bool:
    """Whether a URL is of the US Government or the China cloud, which know no identity of the public one."""
    return (urlsplit(url).hostname or "").endswith(SOVEREIGN_DOMAINS)


def token_scope_of(endpoint: object) -> str:
    """What a managed identity asks a token for, in the cloud that the endpoint belongs to."""
    try:
        host = _split_url(endpoint, "").hostname or ""
    except PydanticCustomError:
        host = ""
    domain = next((each for each in AZURE_DOMAINS if host.endswith(each)), AZURE_DOMAINS[0])
    return f"https://cognitiveservices{domain}/.default"


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
        raise wrong(
            "is too long, or has a line break or an invisible character",
            "Write at most 128 printable characters on one line",
        )
    return value


def parse_hash_key(value: object) -> object:
    """Check what consistent hashing goes by: the name of a header, a cookie or a variable."""
    if not _HEADER_NAME.fullmatch(str(value)):
        raise wrong("is no name of a header, cookie or variable", "Write one name, such as x-session-id")
    return value


def parse_connection_string(value: object) -> object:
    """Check a connection string of Application Insights, which the collector refuses without its key."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    if not _INSTRUMENTATION_KEY.search(text):
        raise wrong(
            "has no InstrumentationKey",
            "Copy the whole connection string from the resource's overview: "
            "InstrumentationKey=…;IngestionEndpoint=https://…",
        )
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
            # Netmasks and zones (10.0.0.0/255.0.0.0, fe80::1%eth0) are Python's, not nginx's.
            network = ipaddress.ip_network(item, strict=False) if _ADDRESS.fullmatch(item) else None
        except ValueError:
            network = None
        if network is None:
            raise wrong(
                f"has an item (number {position}) that is no IP address and no range",
                "Write addresses and ranges like 203.0.113.7,10.0.0.0/8,2001:db8::/32",
            )
        if "/" in item and ipaddress.ip_address(item.split("/")[0]) != network.network_address:
            raise wrong(
                f"has a range (number {position}) that does not begin at its first address",
                f"Write {network}, or the address without /{network.prefixlen} if only that one is meant",
            )
    return items


def parse_patterns(value: object) -> object:
    """Parse regular expressions: a JSON list of strings, or comma separated when none has a comma."""
    if not isinstance(value, str):
        return value
    patterns = _json_strings(value)
    if patterns is None:
        if _RANGED_QUANTIFIER.search(value):
            raise wrong(
                "has a comma inside a pattern, which would be split there",
                'Write the patterns as a JSON list: ["a{1,3}","b"]',
            )
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
    raise wrong("is a JSON list of something else than patterns", 'Write texts in it: ["a{1,3}","b"]')


def _compile_error(pattern: str) -> str | None:
    import pcre2  # type: ignore[import-untyped]  # only guardrails need it, and it is the library that APISIX matches with

    try:
        pcre2.compile(pattern)
    except pcre2.LibraryError as error:
        return str(error).removeprefix("compilation failed ")
    return None


def _list_or_star(value: object) -> object:
    """Split a list in which `*` or `**`, which stand for everything, have to be alone."""
    items = split_list(value)
    if isinstance(items, tuple) and len(items) > 1 and {"*", "**"} & set(items):
        raise wrong("has * beside other items", "Write * alone, or the items without it")
    return items


def parse_origins(value: object) -> object:
    """Parse CORS origins: `*`, or a comma separated list of `scheme://host[:port]`."""
    items = _list_or_star(value)
    for item in items if isinstance(items, tuple) else ():
        if item != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9.\[\]:_-]+", item):
            raise wrong(
                "has an item that is no origin",
                "Write origins without a path, like https://app.example.com, or * alone",
            )
    return items


def parse_header_names(value: object) -> object:
    """Parse a comma separated list of header names; `*` and `**` stand for all of them."""
    items = _list_or_star(value)
    for item in items if isinstance(items, tuple) else ():
        if not _HEADER_NAME.fullmatch(item):
            raise wrong("has an item that is no header name", "Write names like authorization,x-request-id")
    return items


def parse_methods(value: object) -> object:
    """Parse a comma separated list of HTTP methods; `*` stands for all of them."""
    items = _list_or_star(value)
    for item in items if isinstance(items, tuple) else ():
        if item != "*" and not re.fullmatch(r"[A-Z]+", item):
            raise wrong("has an item that is no HTTP method", "Write methods like GET,POST,OPTIONS, or *")
    return items


def parse_host(value: object) -> object:
    """Check a host name or IP address, without scheme and port."""
    text = str(value)
    if len(text) < 2 or not _is_host(text):
        raise wrong("is no host name", "Write the name or address alone, without scheme and port")
    return value


def parse_tenant(value: object) -> object:
    """Check the id of an Entra tenant: its tokens name it so, and never by a domain."""
    text = str(value)
    if not _GUID.fullmatch(text):
        raise wrong("is no tenant id", "Write the directory (tenant) id, a GUID, as shown by az account show")
    return text.lower()


def parse_app_ids(value: object) -> object:
    """Parse a comma separated list of application (client) ids."""
    items = split_list(value)
    for item in items if isinstance(items, tuple) else ():
        if not _GUID.fullmatch(item):
            raise wrong("has an item that is no application id", "Write the GUIDs, separated by commas")
    return tuple(str(item).lower() for item in items) if isinstance(items, tuple) else items


def parse_app_id(value: object) -> object:
    """Check an application (client) id."""
    if not _GUID.fullmatch(str(value)):
        raise wrong("is no application id", "Write the application (client) id, a GUID")
    return str(value).lower()


_SMALLEST_PRICE = 0.0001
_LARGEST_PRICE = 1_000_000


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
        text = value if value.startswith(("{", "[")) else Path(value).read_text(encoding="utf-8-sig")
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
    return {
        str(model): _price(position, str(model), entry)
        for position, (model, entry) in enumerate(table.items(), start=1)
    }


def _price(position: int, model: str, entry: object) -> Price:
    kinds = ("prompt", "cached", "completion")
    fits = (
        isinstance(entry, Mapping)
        and set(entry) <= set(kinds)
        and "prompt" in entry
        and all(_is_amount(amount) for amount in entry.values())
    )
    if not fits or not _DEPLOYMENT.fullmatch(model):
        raise wrong(
            f"has an entry (number {position}) that is no price of a model",
            "Write per model prompt, and optionally cached and completion: numbers of USD per million "
            f"tokens, 0 or from {_SMALLEST_PRICE:.4f} to {_LARGEST_PRICE:,}",
        )
    assert isinstance(entry, Mapping)
    prompt = entry["prompt"]
    amounts = (prompt, entry.get("cached", prompt), entry.get("completion", 0))
    return Price(*(round(float(amount), 4) for amount in amounts))


def _is_amount(amount: object) -> bool:
    """A price per token, a million times too small, must not pass and then be rounded to nothing."""
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        return False
    return amount == 0 or _SMALLEST_PRICE <= amount <= _LARGEST_PRICE


Flag = Annotated[bool, BeforeValidator(parse_flag)]
HeaderSecret = Annotated[SecretStr, BeforeValidator(parse_header_secret)]
Endpoint = Annotated[str, BeforeValidator(parse_endpoint)]
BaseUrl = Annotated[str, BeforeValidator(parse_base_url)]
HttpsUrl = Annotated[str, BeforeValidator(parse_https_url)]
VaultUrl = Annotated[str, BeforeValidator(parse_vault_url)]
BackendName = Annotated[str, BeforeValidator(parse_backend_name)]
Label = Annotated[str, BeforeValidator(parse_label)]
HashKey = Annotated[str, BeforeValidator(parse_hash_key)]
ConnectionString = Annotated[SecretStr, BeforeValidator(parse_connection_string)]
Host = Annotated[str, BeforeValidator(parse_host)]
Tenant = Annotated[str, BeforeValidator(parse_tenant)]
Names = Annotated[tuple[str, ...], BeforeValidator(parse_names)]
Deployments = Annotated[dict[str, str], BeforeValidator(parse_deployments)]
Cidrs = Annotated[tuple[str, ...], BeforeValidator(parse_cidrs)]
Patterns = Annotated[tuple[str, ...], BeforeValidator(parse_patterns)]
Origins = Annotated[tuple[str, ...], BeforeValidator(parse_origins)]
HeaderNames = Annotated[tuple[str, ...], BeforeValidator(parse_header_names)]
Methods = Annotated[tuple[str, ...], BeforeValidator(parse_methods)]
AppId = Annotated[str, BeforeValidator(parse_app_id)]
AppIds = Annotated[tuple[str, ...], BeforeValidator(parse_app_ids)]
Pricing = Annotated[dict[str, Any], BeforeValidator(parse_pricing)]
