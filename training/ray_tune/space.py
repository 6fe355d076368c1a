"""The search space: ranges written as a request's hyperparameter_ranges, and Ray's domains."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from credit_default.hyperparameters import Hyperparameters

Space = Mapping[str, Mapping[str, Any]]

SPACE: Space = {
    "lr": {"type": "continuous", "min": 5e-4, "max": 5e-2, "scaling": "Logarithmic"},
    "batch-size": {"type": "categorical", "values": [256, 512, 1024]},
    "dropout": {"type": "continuous", "min": 0.0, "max": 0.6},
    "weight-decay": {"type": "continuous", "min": 1e-4, "max": 1.0, "scaling": "Logarithmic"},
    "hidden": {"type": "categorical", "values": ["32", "64-32", "128-64", "256-128"]},
}


def space(text: str) -> Space:
    """Parse a space from JSON and check all bounds and values before any trial starts.

    Raises:
        ArgumentTypeError: a range is invalid; the message names its hyperparameter.
    """
    try:
        wanted = json.loads(text)
        if isinstance(wanted, str):  # encoded twice, for a container that decodes once
            wanted = json.loads(wanted)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not valid JSON ({error})") from None
    if not isinstance(wanted, dict) or not wanted:
        raise argparse.ArgumentTypeError("not a JSON object of hyperparameters and their ranges")
    for name, each in wanted.items():
        try:
            for value in extremes(each):
                Hyperparameters.parse({name: value})
        except ValueError as error:
            problem = str(error).removeprefix(f"{name}: ")
            raise argparse.ArgumentTypeError(f"{name}: {problem}") from None
    return wanted


def extremes(each: object) -> list[Any]:
    """Return the values of a range that must be valid for all its values to be valid.

    Raises:
        ValueError: the range has no type, lacks a field, or has bounds that exclude each other.
    """
    kind = each.get("type") if isinstance(each, dict) else None
    if kind not in ("categorical", "integer", "continuous"):
        raise ValueError(f"type {kind!r} is not one of categorical, integer, continuous")
    assert isinstance(each, dict)  # noqa: S101  it has a type
    missing = {"values"} if kind == "categorical" else {"min", "max"}
    missing -= set(each)
    if missing:
        raise ValueError(f"the range has no {min(missing)!r}")
    if kind == "categorical":
        values = each["values"]
        if not isinstance(values, list) or not values:
            raise ValueError(f"values {values!r} is not a list of at least one value")
        return values
    low, high = each["min"], each["max"]
    number = int if kind == "integer" else (int, float)
    if not isinstance(low, number) or not isinstance(high, number) or not low < high:
        numbers = "whole numbers" if kind == "integer" else "numbers"
        raise ValueError(f"min {low!r} and max {high!r} must be {numbers} with min below max")
    if each.get("scaling", "Auto") not in ("Auto", "Linear", "Logarithmic"):
        raise ValueError(f"scaling {each['scaling']!r} is not one of Auto, Linear, Logarithmic")
    if each.get("scaling") == "Logarithmic" and low <= 0:
        raise ValueError(f"Logarithmic scaling requires min above 0, not {low}")
    return [low, high]


def domain(wanted: Mapping[str, Any]) -> Any:
    """Return Ray's domain of a checked range."""
    from ray import tune

    logarithmic = wanted.get("scaling") == "Logarithmic"
    if wanted["type"] == "categorical":
        return tune.choice(list(wanted["values"]))
    if wanted["type"] == "integer":
        # Ray excludes the upper bound of integers; a request includes it.
        draw = tune.lograndint if logarithmic else tune.randint
        return draw(int(wanted["min"]), int(wanted["max"]) + 1)
    draw = tune.loguniform if logarithmic else tune.uniform
    return draw(float(wanted["min"]), float(wanted["max"]))
