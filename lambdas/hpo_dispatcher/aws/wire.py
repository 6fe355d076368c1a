"""DynamoDB's typed JSON.

``boto3.dynamodb.types`` does the same, but importing it brings all of boto3 and its S3 transfer
manager along: a tenth of a second of each cold start (docs/decisions/0061).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Context, Decimal, Inexact, Overflow, Rounded, Underflow
from typing import Any

# DynamoDB: 38 digits, up to 10^126; what does not fit is refused, never rounded.
_NUMBERS = Context(prec=38, Emin=-128, Emax=126, traps=[Inexact, Overflow, Rounded, Underflow])

_READ: Mapping[str, Callable[[Any], Any]] = {
    "NULL": lambda _: None,
    "BOOL": bool,
    "N": Decimal,
    "S": str,
    "B": bytes,
    "SS": set,
    "NS": lambda values: {Decimal(each) for each in values},
    "BS": lambda values: {bytes(each) for each in values},
    "L": lambda values: [read(each) for each in values],
    "M": lambda fields: {key: read(each) for key, each in fields.items()},
}


def typed(value: Any) -> dict[str, Any]:  # noqa: PLR0911  one for each of its types
    """A plain value as DynamoDB takes it; floats become exact decimals.

    Raises:
        TypeError: it has no counterpart.
    """
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case int() | Decimal():
            return {"N": str(_NUMBERS.create_decimal(value))}
        case float():
            return {"N": str(_NUMBERS.create_decimal(repr(value)))}
        case Mapping():
            return {"M": {str(key): typed(each) for key, each in value.items()}}
        case list() | tuple():
            return {"L": [typed(each) for each in value]}
    raise TypeError(f"no DynamoDB type for {type(value).__name__}")


def read(value: Mapping[str, Any]) -> Any:
    """A typed value as a plain one; numbers become ``Decimal``."""
    ((kind, content),) = value.items()
    return _READ[kind](content)
