"""The metrics of a training job, which regular expressions find in its log."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class MetricValue:
    """One value of a metric, as the script printed it."""

    name: str
    value: float
    at: float  # seconds since the epoch


def find(
    definitions: Sequence[Mapping[str, str]], lines: Iterable[tuple[float, str]]
) -> list[MetricValue]:
    """Return the values in the order of printing; skip text that is not a number."""
    patterns = [(each["Name"], re.compile(each["Regex"])) for each in definitions]
    found = []
    for at, line in lines:
        for name, pattern in patterns:
            for match in pattern.finditer(line):
                value = _number(match.group(1) if match.groups() else match.group(0))
                if value is not None:
                    found.append(MetricValue(name, value, at))
    return found


def last(values: Iterable[MetricValue]) -> dict[str, MetricValue]:
    """Return the last finite value of each metric, which is its final value."""
    return {each.name: each for each in values if math.isfinite(each.value)}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
