"""The reference page of all settings, written from the model by `render-config --reference`."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from renderer.model.backends import Backend
from renderer.model.clients import Client
from renderer.model.group import Group, Guardrail, extra_of, is_secret, types_in
from renderer.names import Place, scalar_groups, variable, yaml_path

_INTRODUCTION = """\
# Configuration

<!-- Written by `render-config --reference` from the model in renderer/model/; edit that instead. -->

Variables configure the gateway. `render-config` reads and checks them all, and renders the files that APISIX
and the collector run on. It reports all mistakes at once: the variable, what is wrong, what to write.

## Where values come from

1. Environment variables.
2. Key Vault, when `KEY_VAULT_URL` is set: the secret `azure-openai-key-0` is the variable
   `AZURE_OPENAI_KEY_0` (lower case, `-` for `_`). Only names on this page are read. The identity needs the
   role *Key Vault Secrets User* on the vault.
3. A file: lines of `NAME=value` (`--env-file .env`), or YAML with the names of the column *In YAML*
   (`--settings gateway.yaml`). Both options are one: the name of the file tells its format.

The first place that has a variable wins. Values are trimmed, and an empty value counts as unset. Write yes
and no as `true` or `false` (`1`, `0`, `yes`, `no`, `on` and `off` work as well). Separate the items of a list
by commas. Unknown variables are errors where they may have been meant for the gateway:
[renderer.md](renderer.md#unknown-variables) says when. Values that are valid and cannot work are
[warnings](renderer.md#warnings).

Backends and clients are numbered from 0 without gaps: `AZURE_OPENAI_ENDPOINT_0`, `AZURE_OPENAI_ENDPOINT_1`, …
In YAML they are the lists `backends` and `clients`, and the number is the place in the list:
[renderer.md](renderer.md#yaml).

Exit codes of `render-config`: 0 fine, 2 invalid configuration (or a warning, with `--strict`), 3 Key Vault.
"""


def reference_page() -> str:
    """The page as Markdown: a table for each group of the model."""
    groups: list[type[Group]] = [Backend, Client, *scalar_groups().values()]
    return "\n".join([_INTRODUCTION, *(line for group in groups for line in _section(group))])


def _section(group: type[Group]) -> Iterator[str]:
    yield f"## {group.title}\n"
    if group.about:
        yield f"{group.about}\n"
    yield "| Variable | In YAML | Default | Values | Meaning |"
    yield "|---|---|---|---|---|"
    for field, info in group.model_fields.items():
        default = "required when on" if _is_needed(group, field) else _default(info)
        names = f"`{variable(group, field)}` | `{yaml_path(Place(group, field))}`"
        meaning = (info.description or "").replace("|", r"\|")  # which would end the cell, in code too
        yield f"| {names} | {default} | {_values(info)} | {meaning} |"
    yield ""


def _is_needed(group: type[Group], field: str) -> bool:
    return issubclass(group, Guardrail) and (field,) in group.needs


def _default(info: FieldInfo) -> str:
    if shown := extra_of(info)["shown"]:
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
    return ", ".join(part for part in (_kind(info), _limits(info), extra_of(info)["unit"]) if part)


_KINDS: dict[object, str] = {
    bool: "yes or no",
    int: "whole number",
    float: "number",
    tuple: "list",
    dict: "list",
}


def _kind(info: FieldInfo) -> str:
    if is_secret(info):
        return "secret"
    kinds = list(types_in(info.annotation))
    words = [f"`{kind}`" for kind in kinds if isinstance(kind, str)]
    return ", ".join(words) or next((_KINDS[kind] for kind in kinds if kind in _KINDS), "text")


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
