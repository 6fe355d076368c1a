"""DynamoDB's typed JSON.

``boto3.dynamodb.types`` does the same, but importing it brings all of boto3 and its S3 transfer
manager along: a tenth of a second of each cold start (docs/decisions/0020).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal, Inexact, Overflow, Rounded, Underflow
from typing import Any

Item = dict[str, Any]

# DynamoDB has 38 digits, up to 10^126. Numbers that do not fit are rejected, not rounded.
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


def typed(value: Any) -> dict[str, Any]:
    """Convert a plain value to DynamoDB's typed JSON; floats become exact decimals.

    Raises:
        TypeError: it has no counterpart.
    """
    write = _WRITE.get(type(value)) or _write_of_base(value)
    return write(value)


def _write_of_base(value: Any) -> Callable[[Any], dict[str, Any]]:
    for kind, write in _WRITE.items():
        if isinstance(value, kind):
            return write
    raise TypeError(f"no DynamoDB type for {type(value).__name__}")


def _number(value: int | Decimal) -> dict[str, Any]:
    return {"N": str(_NUMBERS.create_decimal(value))}


def _fields(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {"M": {str(key): typed(each) for key, each in value.items()}}


def _items(value: Sequence[Any]) -> dict[str, Any]:
    return {"L": [typed(each) for each in value]}


_WRITE: Mapping[type, Callable[[Any], dict[str, Any]]] = {
    str: lambda value: {"S": str(value)},
    bool: lambda value: {"BOOL": value},  # before int: bool is a subclass of int
    int: _number,
    Decimal: _number,
    float: lambda value: {"N": str(_NUMBERS.create_decimal(repr(value)))},
    dict: _fields,
    list: _items,
    tuple: _items,
    type(None): lambda _: {"NULL": True},
    Mapping: _fields,
}


def read(value: Mapping[str, Any]) -> Any:
    """Convert a typed value to a plain one; numbers become ``Decimal``."""
    ((kind, content),) = value.items()
    return _READ[kind](content)


def to_wire(item: Mapping[str, Any]) -> dict[str, Any]:
    """Convert plain values to DynamoDB's typed ones; floats become exact decimals."""
    return {key: typed(value) for key, value in item.items()}


def from_wire(item: Mapping[str, Any]) -> Item:
    """Convert DynamoDB's typed values to plain ones; numbers stay ``Decimal``."""
    return {key: read(value) for key, value in item.items()}
