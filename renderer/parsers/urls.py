"""Endpoints and other URLs, hosts, and what an endpoint tells about its resource and its cloud."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from renderer.parsers.basics import SURFACES, wrong

SOVEREIGN_DOMAINS = (".azure.us", ".azure.cn")
AZURE_DOMAINS = (".azure.com", *SOVEREIGN_DOMAINS)
"""Domains of Azure's public, US Government and China clouds."""

ENDPOINT_REMEDY = "Write the endpoint of a resource, such as https://my-resource.openai.azure.com"

_WEBSITES = frozenset(
    {"ai.azure.com", "oai.azure.com", "portal.azure.com", "management.azure.com", "login.microsoftonline.com"}
)
_HOST_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_HOST = 253
_DEFAULT_PORTS = {"http": 80, "https": 443}


def parse_endpoint(value: object) -> object:
    """Check the endpoint of a backend and return its origin.

    Example: `HTTPS://My-EastUS.OpenAI.Azure.com:443/` → `https://my-eastus.openai.azure.com`.
    """
    url = _split_url(value, "https://my-resource.openai.azure.com")
    other = no_resource(url.hostname or "")
    if other and url.path.strip("/"):  # its origin alone would be wrong, too
        raise wrong(other, ENDPOINT_REMEDY)
    return _origin_alone(url, "but the gateway sends each request's own path and query")


def no_resource(host: str) -> str | None:
    """What is wrong with a host that people take for that of a resource; None for any other host.

    Example: `api.openai.com` → "is an address of OpenAI, …".
    """
    if host == "openai.com" or host.endswith(".openai.com"):
        return "is an address of OpenAI, whose paths and keys are others than those of Azure"
    return "is a website of Azure and serves no model" if host in _WEBSITES else None


def parse_base_url(value: object) -> object:
    """Check the address of a collector and return its origin.

    Example: `http://127.0.0.1:4318/` → `http://127.0.0.1:4318`.
    """
    return _origin_alone(_split_url(value, "http://127.0.0.1:4318"), "but the exporter adds its own path")


def parse_vault_url(value: object) -> object:
    """Check the address of a Key Vault and return its origin.

    Example: `https://my-vault.vault.azure.net/` → `https://my-vault.vault.azure.net`.
    """
    example = "https://my-vault.vault.azure.net"
    url = _split_url(value, example)
    _require_https(url, example)
    return _origin_alone(url, "which a vault's address does not have")


def parse_https_url(value: object) -> object:
    """Check an https URL; path and query stay. Example: `https://host/path?a=b` stays as it is."""
    example = "https://host.example.com/path"
    url = _split_url(value, example)
    _require_https(url, example)
    return url.geturl()


def parse_host(value: object) -> object:
    """Check a host name or IP address, without scheme and port. Example: `my-cache` stays as it is."""
    text = str(value)
    if len(text) < 2 or not _is_host(text):
        raise wrong("is not a host name", "Write the name or address alone, without scheme and port")
    return value


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
    if url.scheme not in _DEFAULT_PORTS:
        raise wrong("does not start with https://", f"Write it like {example}")
    if "@" in url.netloc:
        raise wrong("has a user name or password in it", f"Write it like {example}")
    host = url.hostname or ""
    bracketed = "[" in url.netloc and ":" not in host  # RFC 3986 allows [v1.x], but nothing can connect to it
    if not _is_host(host) or bracketed or port == 0 or url.netloc.endswith(":"):
        raise wrong("has no valid host and port", f"Write it like {example}")
    return url


def _require_https(url: SplitResult, example: str) -> None:
    if url.scheme != "https":
        raise wrong("does not start with https://", f"Write it like {example}")


def _origin_alone(url: SplitResult, because: str) -> str:
    """Scheme, host and port in one spelling: lower case, without the scheme's own port."""
    host = url.hostname or ""
    port = "" if url.port in (None, _DEFAULT_PORTS[url.scheme]) else f":{url.port}"
    origin = f"{url.scheme}://{f'[{host}]' if ':' in host else host}{port}"
    if url.path not in ("", "/") or url.query or url.fragment:
        raise wrong(f"has a path, query or fragment, {because}", f"Write only {origin}")
    return origin


def _is_host(host: str) -> bool:
    """Whether this is a host name that can be looked up, or an IP address without a zone."""
    if _is_ip(host):
        return True
    return len(host) <= _LONGEST_HOST and all(map(_HOST_LABEL.fullmatch, host.split(".")))


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine. Example: `http://127.0.0.1:8001` → `True`."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return _is_ip(host) and ipaddress.ip_address(host).is_loopback


def is_sovereign(url: str) -> bool:
    """Whether a URL is of the US Government or China cloud, where identities of the public cloud do not work.

    Example: `https://a.openai.azure.us` → `True`.
    """
    return (urlsplit(url).hostname or "").endswith(SOVEREIGN_DOMAINS)


def name_from_endpoint(endpoint: object) -> str:
    """The name of a backend that has no NAME: its resource, or host and port outside Azure.

    Examples: `https://my-eastus.openai.azure.com` → `my-eastus`, `http://127.0.0.1:8001` → `127.0.0.1-8001`.
    """
    try:
        url = _split_url(endpoint, "")
    except PydanticCustomError:
        return "unnamed"
    host = url.hostname or ""
    if host.endswith(AZURE_DOMAINS):
        return host.split(".", 1)[0]
    name = host if url.port is None else f"{host}-{url.port}"
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:63] or "unnamed"


def token_scope_of(endpoint: object, surface: str = "openai") -> str:
    """The scope of a managed identity's token for a surface, in the cloud that the endpoint belongs to.

    Examples: `https://a.openai.azure.us` → `https://cognitiveservices.azure.us/.default`, and for `anthropic`
    `https://a.services.ai.azure.com` → `https://ai.azure.com/.default`.
    """
    host = host_of(endpoint)
    domain = next((each for each in AZURE_DOMAINS if host.endswith(each)), AZURE_DOMAINS[0])
    return f"https://{'ai' if surface == 'anthropic' else 'cognitiveservices'}{domain}/.default"


def surfaces_of(endpoint: object) -> tuple[str, ...]:
    """What the resource behind an endpoint offers, by its host.

    Example: `https://a.services.ai.azure.com` → `("openai", "anthropic", "inference")`.
    """
    domains = tuple(f".services.ai{domain}" for domain in AZURE_DOMAINS)
    return SURFACES if host_of(endpoint).endswith(domains) else SURFACES[:1]


def host_of(endpoint: object) -> str:
    """The host of an endpoint in lower case; empty when it is no URL. `https://A.b:1` → `a.b`."""
    try:
        return _split_url(endpoint, "").hostname or ""
    except PydanticCustomError:
        return ""


Endpoint = Annotated[str, BeforeValidator(parse_endpoint)]
BaseUrl = Annotated[str, BeforeValidator(parse_base_url)]
HttpsUrl = Annotated[str, BeforeValidator(parse_https_url)]
VaultUrl = Annotated[str, BeforeValidator(parse_vault_url)]
Host = Annotated[str, BeforeValidator(parse_host)]
