"""The metrics that a script prints, found by the regular expressions of a request."""

import math
import re
from collections.abc import Mapping
from typing import Any

from credit_default.container import TrainingFailed

Patterns = Mapping[str, re.Pattern[str]]


def read_patterns(written: Any) -> Patterns:
    """Return the patterns of MetricDefinitions, or of an object of regular expressions by name.

    Raises:
        TrainingFailed: the document is neither, or an expression is invalid.
    """
    if isinstance(written, list):
        written = {each.get("Name"): each.get("Regex") for each in written}
    if not isinstance(written, dict) or not written:
        raise TrainingFailed("--metrics: not a JSON object of regular expressions by metric")
    found = {}
    for name, regex in written.items():
        try:
            found[str(name)] = re.compile(regex)
        except (re.error, TypeError) as error:
            raise TrainingFailed(f"--metrics: {name}: not a regular expression ({error})") from None
    return found


def values_in(line: str, patterns: Patterns) -> list[tuple[str, float]]:
    """Return the metrics of a line in the order of the patterns; skip text that is not a number."""
    found = []
    for name, pattern in patterns.items():
        for match in pattern.finditer(line):
            number = _number(match[1] if match.groups() else match[0])
            if number is not None:
                found.append((name, number))
    return found


def usable(objective: float | None) -> bool:
    """Return whether a trial with this last value of the objective can be ranked."""
    return objective is not None and math.isfinite(objective)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None
