"""The ranges of a search, written as a request's hyperparameter_ranges, and the values in them."""

import json
import math
import random
from collections.abc import Mapping
from typing import Any

from credit_default.container import TrainingFailed

Range = Mapping[str, Any]
Space = Mapping[str, Range]
Values = Mapping[str, str]

# SageMaker treats Auto as logarithmic from three decades on, as hpoq does.
_AUTO_LOGARITHMIC_RATIO = 1000.0
_FIELDS = {"categorical": ("values",), "integer": ("min", "max"), "continuous": ("min", "max")}


def read_space(written: Any) -> Space:
    """Return the ranges of a JSON document.

    Raises:
        TrainingFailed: a range is missing or invalid; the message names its hyperparameter.
    """
    if not isinstance(written, dict) or not written:
        raise TrainingFailed("--space: not a JSON object of hyperparameters and their ranges")
    for name, each in written.items():
        problem = _problem_with(each)
        if problem:
            raise TrainingFailed(f"--space: {name}: {problem}")
    return written


def _problem_with(each: Any) -> str:
    kind = each.get("type") if isinstance(each, dict) else None
    if kind not in _FIELDS:
        return f"type {kind!r} is not one of {', '.join(_FIELDS)}"
    missing = [field for field in _FIELDS[kind] if field not in each]
    if missing:
        return f"the range has no {missing[0]!r}"
    if kind == "categorical":
        values = each["values"]
        return "" if isinstance(values, list) and values else f"values {values!r} is not a list"
    return _problem_with_bounds(each)


def _problem_with_bounds(each: Range) -> str:
    low, high = each["min"], each["max"]
    if any(isinstance(bound, bool) or not isinstance(bound, int | float) for bound in (low, high)):
        return f"min {low!r} and max {high!r} must be numbers"
    if not low < high:
        return f"min {low!r} is not below max {high!r}"
    if each.get("scaling") == "Logarithmic" and low <= 0:
        return f"Logarithmic scaling requires min above 0, not {low}"
    return ""


def scaling(each: Range) -> str:
    """Return the scaling of a range of numbers, with ``Auto`` resolved."""
    given = str(each.get("scaling", "Auto"))
    if given != "Auto":
        return given
    low, high = float(each["min"]), float(each["max"])
    return "Logarithmic" if low > 0 and high / low >= _AUTO_LOGARITHMIC_RATIO else "Linear"


def draw(space: Space, source: random.Random) -> dict[str, str]:
    """Draw a value of each hyperparameter, evenly in the scale of its range."""
    return {name: as_text(_drawn(each, source)) for name, each in space.items()}


def _drawn(each: Range, source: random.Random) -> Any:
    if each["type"] == "categorical":
        return source.choice(list(each["values"]))
    low, high = each["min"], each["max"]
    if each["type"] == "integer":
        if scaling(each) != "Logarithmic":
            return source.randint(low, high)
        # Each whole number has the interval of half a step to both sides.
        value = math.exp(source.uniform(math.log(low - 0.5), math.log(high + 0.5)))
        return min(max(round(value), low), high)
    match scaling(each):
        case "Logarithmic":
            value = math.exp(source.uniform(math.log(low), math.log(high)))
        case "ReverseLogarithmic":
            value = -math.expm1(-source.uniform(-math.log1p(-low), -math.log1p(-high)))
        case _:
            value = source.uniform(low, high)
    return min(max(value, low), high)


def as_text(value: Any) -> str:
    """Return a value as SageMaker passes it to a script; booleans as in JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def typed(each: Range, text: str) -> Any:
    """Return the value that a text stands for."""
    if each["type"] == "categorical":
        return next((value for value in each["values"] if as_text(value) == text), text)
    return int(float(text)) if each["type"] == "integer" else float(text)
