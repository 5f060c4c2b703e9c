"""Says in plain words what pydantic found wrong."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from renderer.model.group import Group, extra_of, is_secret

_Wording = tuple[str, str]

# A longer value is not repeated: it may be a key in the wrong variable.
_LONGEST_QUOTE = 12


def explain(group: type[Group], field: str, error: ErrorDetails, value: object) -> _Wording:
    """What is wrong with a field, and what to write; secrets are never quoted.

    Example: the weight `ten` → `("is not a whole number (it is 'ten')", "Write digits only, such as 10")`.
    """
    info = group.model_fields[field]
    context: Mapping[str, Any] = error.get("ctx", {})
    if error["type"] == "setting":
        return context["what"], context["remedy"]
    if error["type"] == "missing":
        return "is missing", f"Set it: {in_sentence(info.description or '')}"
    quote = "" if is_secret(info) else _quote(value)
    wording = _WORDINGS.get(error["type"])
    if wording is None:
        return f"is not valid{quote}", "Look its values up in the reference"
    what, remedy = wording(context, value)
    unit = extra_of(info)["unit"]
    return f"{what}{quote}", f"{remedy} (in {unit})" if unit else remedy


def in_sentence(about: str) -> str:
    """A setting's meaning as part of a sentence. Example: "Its `KEY`. Required …" → `its KEY`."""
    text = about.replace("`", "").split(". ")[0].rstrip(".")
    return text[:1].lower() + text[1:]


def _quote(value: object) -> str:
    text = str(value)
    return f" (it is '{text}')" if len(text) <= _LONGEST_QUOTE and text.isprintable() else ""


def _choice(context: Mapping[str, Any], value: object) -> _Wording:
    expected = str(context["expected"])
    words = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
    close = difflib.get_close_matches(str(value).lower(), words, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return "is not one of the accepted words", f"Write {expected.replace(chr(39), '')}{hint}"


_WORDINGS: dict[str, Callable[[Mapping[str, Any], object], _Wording]] = {
    "int_parsing": lambda _c, _v: ("is not a whole number", "Write digits only, such as 10"),
    "int_parsing_size": lambda _c, _v: ("is far too large", "Write a smaller whole number"),
    "int_from_float": lambda _c, _v: ("is not a whole number", "Write digits only, such as 10"),
    "float_parsing": lambda _c, _v: ("is not a number", "Write a number such as 0.5"),
    "finite_number": lambda _c, _v: ("is not a finite number", "Write a number such as 0.5"),
    "greater_than": lambda c, _v: ("is too small", f"Write a number greater than {c['gt']:g}"),
    "greater_than_equal": lambda c, _v: ("is too small", f"Write a number of at least {c['ge']:g}"),
    "less_than": lambda c, _v: ("is too large", f"Write a number less than {c['lt']:g}"),
    "less_than_equal": lambda c, _v: ("is too large", f"Write a number of at most {c['le']:,}"),
    "literal_error": _choice,
}
