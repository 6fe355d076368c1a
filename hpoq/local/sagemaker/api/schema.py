"""Requests and responses, validated by botocore's description of the SageMaker API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import botocore.session
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.validate import ParamValidator

from hpoq.local.sagemaker.errors import ApiError, invalid

_JAVA_CLASSES = {r"\p{L}": r"\w", r"\p{Z}": r"\s", r"\p{N}": r"\d"}


@lru_cache(maxsize=1)
def service() -> ServiceModel:
    """Return botocore's description of the SageMaker API."""
    return botocore.session.Session().get_service_model("sagemaker")


def members(structure: str) -> list[str]:
    """Return the names of a structure's members."""
    shape: Any = service().shape_for(structure)
    return list(shape.members)


def parse(target: str, body: bytes) -> tuple[OperationModel, dict[str, Any]]:
    """Return the operation and the validated parameters of a request.

    Raises:
        ApiError: if the operation is unknown or a parameter is invalid.
    """
    name = target.partition(".")[2]
    if name not in service().operation_names:
        raise ApiError("UnknownOperationException", f"unknown operation {name}")
    operation = service().operation_model(name)
    try:
        parameters = json.loads(body or b"{}")
    except ValueError as error:
        raise ApiError("SerializationException", str(error)) from None
    shape = operation.input_shape
    if shape is None:
        return operation, {}
    report = ParamValidator().validate(parameters, shape)
    if report.has_errors():
        raise invalid(report.generate_report())
    for problem in _problems(shape, parameters, ""):
        raise invalid(f"1 validation error detected: {problem}")
    return operation, parameters


def serialize(operation: OperationModel, response: dict[str, Any]) -> bytes:
    """Return a response as JSON, without the members that the API does not define.

    Raises:
        ApiError: if the response is invalid, which is a bug of this endpoint.
    """
    shape = operation.output_shape
    if shape is None:
        return b"{}"
    defined = _defined(shape, response)
    report = ParamValidator().validate(defined, shape)
    if report.has_errors():
        raise ApiError("InternalFailure", report.generate_report(), status=500)
    return json.dumps(defined).encode()


def _defined(shape: Shape, value: Any) -> Any:
    if shape.type_name == "structure":
        members = shape.members  # type: ignore[attr-defined]
        return {
            name: _defined(members[name], item)
            for name, item in value.items()
            if name in members and item is not None
        }
    if shape.type_name == "list":
        return [_defined(shape.member, item) for item in value]  # type: ignore[attr-defined]
    if shape.type_name == "map":
        return {name: _defined(shape.value, item) for name, item in value.items()}  # type: ignore[attr-defined]
    return value


def _problems(shape: Any, value: Any, path: str) -> Iterator[str]:
    """Yield what ParamValidator does not check: enumerations, patterns and upper bounds."""
    metadata = shape.metadata
    most = metadata.get("max")
    size = len(value) if isinstance(value, (str, list, dict)) else value
    if most is not None and not isinstance(value, bool) and size > most:
        yield f"Value at '{path}' failed to satisfy constraint: at most {most}"
    if shape.type_name == "structure":
        for name, item in value.items():
            yield from _problems(shape.members[name], item, f"{path}.{name}".lstrip("."))
    elif shape.type_name == "list":
        for index, item in enumerate(value):
            yield from _problems(shape.member, item, f"{path}.{index + 1}.member")
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from _problems(shape.value, item, f"{path}.{key}")
    elif shape.type_name == "string":
        allowed = metadata.get("enum")
        if allowed and value not in allowed:
            yield (
                f"Value '{value}' at '{path}' failed to satisfy constraint: Member must "
                f"satisfy enum value set: [{', '.join(allowed)}]"
            )
        if metadata.get("pattern") and not _regex(metadata["pattern"]).fullmatch(value):
            yield (
                f"Value '{value}' at '{path}' failed to satisfy constraint: Member must "
                f"satisfy regular expression pattern: {metadata['pattern']}"
            )


@lru_cache(maxsize=512)
def _regex(pattern: str) -> re.Pattern[str]:
    for java, python in _JAVA_CLASSES.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern, re.DOTALL)
