"""A finished API request against botocore's own description of the SageMaker API.

Botocore itself checks types and required members before it sends; enumerations, patterns and
upper bounds it leaves to the service. Here they are checked too, before anything is created.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, cast

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

from hpo_dispatcher.errors import InvalidRequest

OPERATION = "CreateHyperParameterTuningJob"

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "structure": (dict,),
    "map": (dict,),
    "list": (list, tuple),
}
# What the service's own integers hold; botocore writes any number that Python has.
_WIDTHS = {"integer": 31, "long": 63}
# Java's Unicode classes, which Python's re does not know.
_JAVA_CLASSES = {r"\p{L}": r"\w", r"\p{Z}": r"\s", r"\p{N}": r"\d"}


def check_api_request(api_request: dict[str, Any]) -> None:
    """Check a CreateHyperParameterTuningJob request.

    Raises:
        InvalidRequest: for the first member that the service would refuse, by its path.
    """
    for path, problem, fix in _problems(_input_shape(), api_request, ""):
        raise InvalidRequest(path, problem, fix)


@lru_cache(maxsize=1)
def _input_shape() -> Shape:
    description = Loader().load_service_model("sagemaker", "service-2")
    operation = ServiceModel(description, "sagemaker").operation_model(OPERATION)
    return cast(Shape, operation.input_shape)


Problem = tuple[str, str, str]


def _problems(shape: Shape, value: Any, path: str) -> Iterator[Problem]:
    if not _has_type(shape, value):
        yield path, f"{value!r} is no {shape.type_name}", "Use the API's own types"
        return
    yield from _bounds(shape, value, path)
    match shape:
        case StructureShape():
            yield from _structure(shape, value, path)
        case ListShape():
            for index, item in enumerate(value):
                yield from _problems(shape.member, item, f"{path}.{index}")
        case MapShape():
            for key, item in value.items():
                yield from _problems(shape.key, key, f"{path}.{key}")
                yield from _problems(shape.value, item, f"{path}.{key}")
        case _ if shape.type_name == "string":
            yield from _text(shape, value, path)


def _has_type(shape: Shape, value: Any) -> bool:
    if isinstance(value, bool) and shape.type_name != "boolean":
        return False
    return isinstance(value, _PYTHON_TYPES.get(shape.type_name, (object,)))


def _structure(shape: StructureShape, value: dict[str, Any], path: str) -> Iterator[Problem]:
    prefix = f"{path}." if path else ""
    for name in shape.required_members:
        if name not in value:
            yield f"{prefix}{name}", "missing", "Add it under overrides or in the template"
    for name, item in value.items():
        if name in shape.members:
            yield from _problems(shape.members[name], item, f"{prefix}{name}")
        else:
            near = difflib.get_close_matches(str(name), shape.members, n=1)
            fix = f"Did you mean {near[0]}?" if near else f"Use {', '.join(shape.members)}"
            yield f"{prefix}{name}", "no such field in the API", fix


def _bounds(shape: Shape, value: Any, path: str) -> Iterator[Problem]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    measured = isinstance(value, (str, list, tuple, dict))
    size = len(value) if measured else value
    bits = _WIDTHS.get(shape.type_name)
    if bits and not -(1 << bits) <= size < 1 << bits:
        yield path, f"a number of more than {bits} bits", "Use a smaller number"
        return
    unit = (" characters" if isinstance(value, str) else " entries") if measured else ""
    if low is not None and size < low:
        yield path, f"{size}{unit} is less than {low}", f"Use at least {low}"
    if high is not None and size > high:
        yield path, f"{size}{unit} is more than {high}", f"Use at most {high}"


def _text(shape: Shape, value: str, path: str) -> Iterator[Problem]:
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        near = difflib.get_close_matches(value, allowed, n=1)
        choice = f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(allowed[:8])}"
        yield path, f"{value!r} is unknown to the API", choice
    pattern = shape.metadata.get("pattern")
    if pattern and not _regex(pattern).fullmatch(value):
        yield path, f"{value!r} is not allowed", f"It must match {pattern}"


@lru_cache(maxsize=256)
def _regex(pattern: str) -> re.Pattern[str]:
    for java, python in _JAVA_CLASSES.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern, re.DOTALL)
