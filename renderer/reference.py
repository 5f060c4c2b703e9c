"""The reference page of all settings, written from the model by `render-config --reference`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from renderer import names
from renderer.model import Backend, Client, Group

_INTRODUCTION = """\
# Configuration

<!-- Written by `render-config --reference` from the model in renderer/model.py; edit that instead. -->

The gateway is configured by variables. `render-config` reads them, checks them all, and renders the files
that APISIX and the collector run on. Every mistake is reported at once: the variable, what is wrong, what to
write.

## Where values come from

1. Environment variables.
2. Key Vault, when `KEY_VAULT_URL` is set: the secret `azure-openai-key-0` is the variable
   `AZURE_OPENAI_KEY_0` (lower case, `-` for `_`). Only names on this page are read. The identity needs the
   role *Key Vault Secrets User* on the vault.
3. The file given with `--env-file`, lines of `NAME=value`.

The first place that has a variable wins. Values are trimmed, and an empty value is the same as none. Yes and
no are written `true` or `false` (`1`, `0`, `yes`, `no`, `on`, `off`); lists are separated by commas. A
variable that begins like one of these but is none of them is an error.

Backends and clients are numbered from 0 without gaps: `AZURE_OPENAI_ENDPOINT_0`, `AZURE_OPENAI_ENDPOINT_1`, …

Exit codes of `render-config`: 0 fine, 2 invalid configuration, 3 Key Vault.
"""


def reference_page() -> str:
    """The page as Markdown."""
    groups: list[type[Group]] = [Backend, Client, *names.scalar_groups().values()]
    return "\n".join([_INTRODUCTION, *(line for group in groups for line in _section(group))])


def _section(group: type[Group]) -> Iterator[str]:
    yield f"## {group.title}\n"
    if group.about:
        yield f"{group.about}\n"
    yield "| Variable | Default | Values | Meaning |"
    yield "|---|---|---|---|"
    for field, info in group.model_fields.items():
        cells = (f"`{names.variable(group, field)}`", _default(info), _values(info), str(info.description))
        yield f"| {' | '.join(cells)} |"
    yield ""


def _extra(info: FieldInfo) -> dict[str, Any]:
    assert isinstance(info.json_schema_extra, dict)
    return dict(info.json_schema_extra)


def _default(info: FieldInfo) -> str:
    shown = str(_extra(info)["shown"])
    if shown:
        return shown
    if info.default is PydanticUndefined:
        return "required"
    if info.default is None:
        return "none"
    if isinstance(info.default, bool):
        return "`true`" if info.default else "`false`"
    if isinstance(info.default, tuple):
        return "`" + ",".join(info.default) + "`"
    return f"`{info.default}`"


def _values(info: FieldInfo) -> str:
    return ", ".join(part for part in (_kind(info), _limits(info), names.unit_of(info)) if part)


def _kind(info: FieldInfo) -> str:
    if names.is_secret(info):
        return "secret"
    words = [arg for arg in _leaves(info.annotation) if isinstance(arg, str)]
    if words:
        return ", ".join(f"`{word}`" for word in words)
    kinds = {"bool": "yes or no", "int": "whole number", "float": "number", "tuple": "list", "dict": "list"}
    found = [
        kinds[name] for arg in _types(info.annotation) if (name := getattr(arg, "__name__", "")) in kinds
    ]
    return found[0] if found else "text"


def _leaves(annotation: object) -> Iterator[object]:
    for arg in get_args(annotation):
        yield arg
        yield from _leaves(arg)


def _types(annotation: object) -> Iterator[object]:
    yield getattr(annotation, "__origin__", annotation)
    for arg in get_args(annotation):
        yield from _types(arg)


def _limits(info: FieldInfo) -> str:
    bounds = {
        name: getattr(item, name)
        for item in info.metadata
        for name in ("ge", "gt", "le")
        if hasattr(item, name)
    }
    if "gt" in bounds:
        return f"more than {bounds['gt']}"
    if "ge" in bounds:
        return f"{bounds['ge']} to {bounds['le']}" if "le" in bounds else f"{bounds['ge']} or more"
    return ""


if __name__ == "__main__":
    print(reference_page(), end="")
