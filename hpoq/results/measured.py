"""The metrics in a training job's log, parsed as SageMaker parses them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

SHOWN = 2_000  # maximum number of points per metric

Series = dict[str, tuple[Sequence[int], Sequence[float]]]
"""The numbers (from 1) and values of each metric, by its name."""


def series(definitions: Iterable[Mapping[str, str]], lines: Sequence[str]) -> Series:
    """Extract the curves of a training job from its log.

    Args:
        definitions: MetricDefinitions; one that is not a regular expression in Python is left out.
        lines: the lines of its log.
    """
    found: Series = {}
    for definition in definitions:
        try:
            pattern = re.compile(definition["Regex"])
        except re.error:
            continue
        values = [
            value
            for line in lines
            for match in pattern.finditer(line)
            if (value := _number(match)) is not None
        ]
        if len(values) > 1:
            step = -(-len(values) // SHOWN)
            numbers = range(1, len(values) + 1, step)
            found[definition["Name"]] = (numbers, values[::step])
    return found


def _number(match: re.Match[str]) -> float | None:
    try:
        value = float(match.group(1) if match.groups() else match.group(0))
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None
