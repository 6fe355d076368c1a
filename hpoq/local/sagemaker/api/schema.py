"""Operations, requests and responses as botocore's description of the SageMaker API has them."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, NoReturn

import botocore.session
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.validate import ParamValidator

from hpoq.local.sagemaker.api.constraints import checked
from hpoq.local.sagemaker.errors import ApiError


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
        content = json.loads(body or b"{}", parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ApiError("SerializationException", str(error)) from None
    shape = operation.input_shape
    return operation, {} if shape is None else checked(shape, content)


def _refuse(constant: str) -> NoReturn:
    """Refuse NaN and infinity, which JSON does not have."""
    raise ValueError(f"{constant} is not valid JSON")


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
