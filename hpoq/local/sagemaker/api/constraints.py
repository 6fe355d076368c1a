"""Requests checked against botocore's description of the API, in the words of AWS.

Types are checked first: AWS answers a wrong one with SerializationException. Then come required
members, lengths, values, enumerations and patterns, all problems in one ValidationException, as in
"2 validation errors detected: Value 'x' at 'trainingJobName' failed to satisfy constraint: ...".
Unknown members and those that are null are ignored, as by AWS's JSON protocol.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from hpoq.local.sagemaker.errors import ApiError, invalid

# Unicode's categories, within brackets: M are marks, P and S punctuation and symbols.
_JAVA_CLASSES = {
    r"\p{L}": r"\w", r"\p{Z}": r"\s", r"\p{N}": r"\d", r"\p{M}": r"\u0300-\u036F",
    r"\p{P}": r"!-/:-@\[-`{-~\u00A1-\u00BF\u2000-\u2BFF",
    r"\p{S}": r"$+<=>^`|~\u00A2-\u00B4\u20A0-\u2BFF", r"\p{Alnum}": "a-zA-Z0-9",
    r"\uD800\uDC00-\uDBFF\uDFFF": r"\U00010000-\U0010FFFF",
    "${1,128}": "", "${1,256}": "",  # an end that is repeated
}  # fmt: skip
_MOST = {"integer": 2**31, "long": 2**63}  # one more than the largest value
_NAMES = {"integer": "Integer", "long": "Long", "float": "Float", "double": "Double",
          "string": "String", "boolean": "Boolean", "timestamp": "Date"}  # fmt: skip


def checked(shape: Any, request: Any) -> dict[str, Any]:
    """Return the members of a request that the API knows.

    Args:
        shape: of the operation's input, as botocore describes it.
        request: parsed JSON.

    Raises:
        ApiError: if the request is invalid.
    """
    parameters: dict[str, Any] = _converted(shape, request)
    problems = list(_problems(shape, parameters, ""))
    if problems:
        errors = "error" if len(problems) == 1 else "errors"
        raise invalid(f"{len(problems)} validation {errors} detected: {'; '.join(problems)}")
    return parameters


def _converted(shape: Any, value: Any) -> Any:
    """Return a value of the type of a shape.

    Raises:
        ApiError: if it has another type.
    """
    kind = shape.type_name
    if kind in ("structure", "map"):
        if not isinstance(value, dict):
            raise _wrong_type(value, kind)
        if kind == "map":
            return {key: _converted(shape.value, item) for key, item in value.items()}
        return {
            name: _converted(shape.members[name], item)
            for name, item in value.items()
            if name in shape.members and item is not None
        }
    if kind == "list":
        if not isinstance(value, list):
            raise _wrong_type(value, kind)
        return [item if item is None else _converted(shape.member, item) for item in value]
    return _scalar(kind, value)


def _scalar(kind: str, value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match kind:
        case "boolean" if isinstance(value, bool):
            return value
        case "integer" | "long" if number and abs(value) < _MOST[kind] and value == int(value):
            return int(value)
        case "float" | "double" if number and abs(value) < 2**1023:
            return value
        case "timestamp" if number:
            return value
        case "string" | "blob" if isinstance(value, str):
            return value
    raise _wrong_type(value, kind)


def _wrong_type(value: Any, kind: str) -> ApiError:
    match value:
        case dict():
            problem = "Start of structure or map found where not expected."
        case list():
            problem = "Start of list found where not expected"
        case _:
            given = {bool: str(value).upper(), str: "STRING", type(None): "NULL"}
            token = f"{given.get(type(value), 'NUMBER')}_VALUE"
            wanted = _NAMES.get(kind, "a structure, list or map")
            problem = f"{token} cannot be converted to {wanted}"
    return ApiError("SerializationException", problem)


def _problems(shape: Any, value: Any, path: str) -> Iterator[str]:
    for problem in _unmet(shape, value):
        yield f"Value '{_shown(value)}' at '{path}' failed to satisfy constraint: {problem}"
    match shape.type_name:
        case "structure":
            for name in shape.required_members:
                if name not in value:
                    yield _is_null(_member(path, name))
            for name, item in value.items():
                yield from _problems(shape.members[name], item, _member(path, name))
        case "list":
            for number, item in enumerate(value, 1):
                where = f"{path}.{number}.member"
                if item is None:
                    yield _is_null(where)
                else:
                    yield from _problems(shape.member, item, where)
        case "map":
            yield from _map_problems(shape, value, path)


def _map_problems(shape: Any, value: dict[str, Any], path: str) -> Iterator[str]:
    """Yield what is wrong with the keys and the values, without the key or value in question."""
    sides = (("keys", shape.key, value), ("value", shape.value, value.values()))
    for name, side, items in sides:
        if any(next(_unmet(side, item), None) for item in items):
            wanted = ", ".join(_constraints(side))
            yield (
                f"Value '{_shown(value)}' at '{path}' failed to satisfy constraint: "
                f"Map {name} must satisfy constraint: [{wanted}]"
            )


def _unmet(shape: Any, value: Any) -> Iterator[str]:
    """Yield the constraints that a value of the right type does not meet."""
    limits, kind = shape.metadata, shape.type_name
    size = len(value) if isinstance(value, str | list | dict) else value
    what = "value" if isinstance(value, int | float) else "length"
    if kind != "structure" and limits.get("max") is not None and size > limits["max"]:
        yield f"Member must have {what} less than or equal to {limits['max']}"
    if kind != "structure" and limits.get("min") is not None and size < limits["min"]:
        yield f"Member must have {what} greater than or equal to {limits['min']}"
    if kind == "string":
        if limits.get("enum") and value not in limits["enum"]:
            yield f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]"
        if limits.get("pattern") and not _regex(limits["pattern"]).fullmatch(value):
            yield f"Member must satisfy regular expression pattern: {limits['pattern']}"


def _constraints(shape: Any) -> Iterator[str]:
    limits = shape.metadata
    if limits.get("max") is not None:
        yield f"Member must have length less than or equal to {limits['max']}"
    if limits.get("min") is not None:
        yield f"Member must have length greater than or equal to {limits['min']}"
    if limits.get("pattern"):
        yield f"Member must satisfy regular expression pattern: {limits['pattern']}"


def _is_null(path: str) -> str:
    return f"Value null at '{path}' failed to satisfy constraint: Member must not be null"


def _member(path: str, name: str) -> str:
    return f"{path}.{name[0].lower()}{name[1:]}".lstrip(".")


def _shown(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case list():
            return f"[{', '.join(map(_shown, value))}]"
        case dict():
            return f"{{{', '.join(f'{key}={_shown(item)}' for key, item in value.items())}}}"
    return str(value)


@lru_cache(maxsize=512)
def _regex(pattern: str) -> re.Pattern[str]:
    for java, python in _JAVA_CLASSES.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern, re.DOTALL)
