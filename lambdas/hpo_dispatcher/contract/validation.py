"""Turns Pydantic's validation errors into one line: field, problem and fix."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from hpo_dispatcher.contract.errors import InvalidRequest

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


def first_problem(
    error: ValidationError, fields: Mapping[str, Any], known_fields: Collection[str]
) -> InvalidRequest:
    """Return the first problem of a validation error.

    An unknown field is reported before a missing one, because it usually is its misspelling.

    Args:
        error: the error that Pydantic raised.
        fields: the message as sent, which distinguishes its field names from union branches.
        known_fields: field names that may be suggested.
    """
    errors = error.errors(include_url=False)
    details = min(errors, key=lambda each: each["type"] != "extra_forbidden")
    if _is_scalar_branch(details):
        problem, fix = _no_scalar(details, errors)
    else:
        problem, fix = _phrase(details, known_fields)
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


def _phrase(details: ErrorDetails, known_fields: Collection[str]) -> tuple[str, str]:
    context = details.get("ctx", {})
    if "fix" in context:  # one of our own rules
        return details["msg"], context["fix"]
    phrase = _PHRASES.get(details["type"])
    if phrase:
        return phrase(details)
    if details["type"] == "extra_forbidden":
        return "unknown field", _nearest(str(details["loc"][-1]), known_fields)
    message = details["msg"]
    return (
        f"{message[:1].lower()}{message[1:]}, not {shown(details['input'])}",
        "`hpoq schema` prints what is allowed",
    )


def _pattern(details: ErrorDetails) -> tuple[str, str]:
    pattern = details.get("ctx", {}).get("pattern")
    return f"{shown(details['input'])} is not allowed", f"It must match {pattern}"


def _too_long(details: ErrorDetails) -> tuple[str, str]:
    most = details.get("ctx", {}).get("max_length")
    return f"{len(details['input'])} entries exceed the limit of {most}", "Remove some"


_PHRASES: dict[str, Callable[[ErrorDetails], tuple[str, str]]] = {
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
    "too_long": _too_long,
    "too_short": lambda _: ("empty", "Add at least one entry"),
}


def _nearest(name: str, known_fields: Collection[str]) -> str:
    import difflib  # imported only when needed: it would slow down every cold start

    near = difflib.get_close_matches(name, sorted(known_fields), n=1)
    return f"Did you mean {near[0]}?" if near else "Remove it, or move an API field to overrides"


def shown(value: object) -> str:
    """Return a value as JSON, cut to a readable length."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
