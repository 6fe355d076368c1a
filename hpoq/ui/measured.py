"""The metrics that a training job printed, read as SageMaker reads them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from hpoq.ui.log import Line

SHOWN = 2_000  # points of each metric; every nth is enough for a curve

Series = dict[str, tuple[Sequence[int], Sequence[float]]]
"""By metric name: which of its values it is, from 1 on; the value."""


def series(definitions: Iterable[Mapping[str, str]], lines: Sequence[Line]) -> Series:
    """Curves of a training job.

    Args:
        definitions: MetricDefinitions; one that is no regular expression here is left out.
        lines: its log.
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
            for match in pattern.finditer(line.text)
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
