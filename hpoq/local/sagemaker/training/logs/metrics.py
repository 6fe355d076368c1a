"""The metrics of a training job, which regular expressions find in its log."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hpoq.local.sagemaker.java_patterns import compiled


@dataclass(frozen=True)
class MetricValue:
    """One value of a metric, as the script printed it."""

    name: str
    value: float
    at: float  # seconds since the epoch


def find(
    definitions: Sequence[Mapping[str, str]], lines: Iterable[tuple[float, str]]
) -> list[MetricValue]:
    """Return the values in the order of printing; skip text that is not a finite number."""
    patterns = [(each["Name"], compiled(each["Regex"])) for each in definitions]
    found = []
    for at, line in lines:
        for name, pattern in patterns:
            for match in pattern.finditer(line):
                value = _number(match.group(1 if pattern.groups else 0))
                if value is not None and math.isfinite(value):
                    found.append(MetricValue(name, value, at))
    return found


def last(values: Iterable[MetricValue]) -> dict[str, MetricValue]:
    """Return the last value of each metric, which is its final value."""
    return {each.name: each for each in values}


def _number(text: str | None) -> float | None:
    """Parse a value; return None for text, and for a group that took no part in the match."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return None
