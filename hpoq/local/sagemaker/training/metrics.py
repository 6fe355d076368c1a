"""Metrics of a training job: whatever its definitions' regular expressions find in the log."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Value:
    """A metric as printed."""

    name: str
    value: float
    at: float  # seconds since the epoch


def find(
    definitions: Sequence[Mapping[str, str]], lines: Iterable[tuple[float, str]]
) -> list[Value]:
    """All values in the order they were printed; what is no number is left out."""
    patterns = [(each["Name"], re.compile(each["Regex"])) for each in definitions]
    found = []
    for at, line in lines:
        for name, pattern in patterns:
            for match in pattern.finditer(line):
                value = _number(match.group(1) if match.groups() else match.group(0))
                if value is not None:
                    found.append(Value(name, value, at))
    return found


def last(values: Iterable[Value]) -> dict[str, Value]:
    """The last value of each metric, which is the one that counts."""
    return {each.name: each for each in values if math.isfinite(each.value)}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
