"""Turns Pydantic's validation errors into one line: field, problem and fix."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from hpo_dispatcher.contract.errors import InvalidRequest

_Phrase = Callable[[ErrorDetails], tuple[str, str]]

# Pydantic's names of the branches of a union of plain types, and the words that users know.
_SCALARS = {"str": "string", "float": "number", "int": "whole number", "bool": "boolean"}


def wrong(problem: str, fix: str, field: str = "") -> NoReturn:
    """Reject a value from within a model's validator; ``first_problem`` reports it.

    Args:
        problem: what is wrong with the value.
        fix: how to fix it.
        field: the field to name, if it is not the one being validated.
    """
    context = {"problem": problem, "fix": fix, "field": field}
    raise PydanticCustomError("hpoq", "{problem}", context)


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The names that a document may contain, and what to say about others."""

    kind: str  # of its names: field or setting
    names: frozenset[str]
    remove: str  # the fix for a name that resembles none
    reference: str  # where everything allowed is described


def first_problem(
    error: ValidationError, fields: Mapping[str, Any], known: Vocabulary
) -> InvalidRequest:
    """Return the first problem of a validation error.

    An unknown field is reported before a missing one, because it usually is its misspelling.

    Args:
        error: the error that Pydantic raised.
        fields: the message as sent, which distinguishes its field names from union branches.
        known: the names that may be suggested.
    """
    errors = error.errors(include_url=False)
    details = min(errors, key=lambda each: each["type"] != "extra_forbidden")
    if _is_scalar_branch(details):
        problem, fix = _no_scalar(details, errors)
    else:
        problem, fix = _phrase(details, known)
    field = details.get("ctx", {}).get("field") or _path(details, fields) or "request"
    return InvalidRequest(field, problem, fix)


def _is_scalar_branch(details: ErrorDetails) -> bool:
    return bool(details["loc"]) and details["loc"][-1] in _SCALARS


def _no_scalar(details: ErrorDetails, errors: Collection[ErrorDetails]) -> tuple[str, str]:
    """Describe a value that matches no branch of a union."""
    place = details["loc"][:-1]
    branches = {str(each["loc"][-1]) for each in errors if each["loc"][:-1] == place}
    allowed = [word for name, word in _SCALARS.items() if name in branches]
    return f"{shown(details['input'])} is not a {_either(allowed)}", "Give one plain value"


def _either(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _path(details: ErrorDetails, fields: Mapping[str, Any]) -> str:
    parts: list[str] = []
    here: Any = fields
    for step in details["loc"]:
        if _holds(here, step):
            here = here[step]
        elif details["type"] != "missing" or step != details["loc"][-1]:
            continue
        parts.append(str(step))
    return ".".join(parts)


def _holds(container: object, step: int | str) -> bool:
    if isinstance(container, Mapping):
        return step in container
    return isinstance(container, list) and isinstance(step, int) and step < len(container)


def _phrase(details: ErrorDetails, known: Vocabulary) -> tuple[str, str]:
    context = details.get("ctx", {})
    if "fix" in context:  # one of our own rules
        return details["msg"], context["fix"]
    phrase = _PHRASES.get(details["type"])
    if phrase:
        return phrase(details)
    if details["type"] == "extra_forbidden":
        return f"unknown {known.kind}", nearest(
            str(details["loc"][-1]), known.names
        ) or known.remove
    message = details["msg"]
    return f"{message[:1].lower()}{message[1:]}, not {shown(details['input'])}", known.reference


def _pattern(details: ErrorDetails) -> tuple[str, str]:
    pattern = details.get("ctx", {}).get("pattern")
    return f"{shown(details['input'])} is not allowed", f"It must match {pattern}"


def _too_long(details: ErrorDetails) -> tuple[str, str]:
    most = details.get("ctx", {}).get("max_length")
    return f"{len(details['input'])} entries exceed the limit of {most}", "Remove some"


def _not_a(what: str, fix: str) -> _Phrase:
    return lambda details: (f"{shown(details['input'])} is not {what}", fix)


def _compared(problem: str, bound: str, fix: str) -> _Phrase:
    """Return the phrase for a number beyond a bound, which ``{}`` stands for."""

    def phrase(details: ErrorDetails) -> tuple[str, str]:
        limit = f"{details.get('ctx', {}).get(bound):.12g}"
        return f"{shown(details['input'])} is {problem} {limit}", f"{fix} {limit}"

    return phrase


def _one_of(details: ErrorDetails) -> tuple[str, str]:
    """Return the phrase for a word that is none of a few, as Pydantic lists them."""
    listed = str(details.get("ctx", {}).get("expected", ""))
    allowed = re.findall(r"'([^']*)'|([0-9]+)", listed)
    words = [text or number for text, number in allowed]
    near = nearest(str(details["input"]), words)
    return f"{shown(details['input'])} is unknown", near or f"Use {_either(words)}"


def _too_short_text(details: ErrorDetails) -> tuple[str, str]:
    return "empty", f"Write at least {details.get('ctx', {}).get('min_length')} character"


def _too_long_text(details: ErrorDetails) -> tuple[str, str]:
    most = details.get("ctx", {}).get("max_length")
    return f"{len(details['input'])} characters exceed the limit of {most}", "Shorten it"


_boolean = _not_a("a boolean", "Use true or false")
_whole = _not_a("a whole number", "Use a number such as 3")
_number = _not_a("a number", "Use a number such as 0.5")
_list = _not_a("a list", 'Use a list such as ["a", "b"]')
_object = _not_a("an object", 'Use an object such as {"name": "value"}')
_text = _not_a("text", "Write it as text, in quotes")
_PHRASES: dict[str, _Phrase] = {
    "missing": lambda _: ("missing", "Add it"),
    "union_tag_invalid": lambda details: (
        f"type {shown(details['input'].get('type'))} is unknown",
        "Use continuous, integer or categorical",
    ),
    "union_tag_not_found": lambda _: (
        "the range has no type",
        "Add type: continuous, integer or categorical",
    ),
    "string_pattern_mismatch": _pattern,
    "string_too_short": _too_short_text,
    "string_too_long": _too_long_text,
    "too_long": _too_long,
    "too_short": lambda _: ("empty", "Add at least one entry"),
    "bool_type": _boolean,
    "bool_parsing": _boolean,
    "int_type": _whole,
    "int_parsing": _whole,
    "int_from_float": _whole,
    "float_type": _number,
    "float_parsing": _number,
    "finite_number": _not_a("a finite number", "Use a finite number"),
    "list_type": _list,
    "tuple_type": _list,
    "dict_type": _object,
    "model_type": _object,
    "string_type": _text,
    "literal_error": _one_of,
    "greater_than": _compared("not above", "gt", "Use a number above"),
    "greater_than_equal": _compared("less than", "ge", "Use at least"),
    "less_than": _compared("not below", "lt", "Use a number below"),
    "less_than_equal": _compared("more than", "le", "Use at most"),
}


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a question that suggests the name which resembles this one; empty if none does."""
    import difflib  # imported only when needed: it would slow down every cold start

    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"Did you mean {near[0]}?" if near else ""


def shown(value: object) -> str:
    """Return a value as JSON, cut to a readable length."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
