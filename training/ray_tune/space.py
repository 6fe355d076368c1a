"""What a search tries: ranges spelled as a request's hyperparameter_ranges, made Ray's domains."""

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
    """A space from JSON, each of its bounds and values checked before any trial starts.

    Raises:
        ArgumentTypeError: naming the hyperparameter and what is wrong with its range.
    """
    try:
        wanted = json.loads(text)
        if isinstance(wanted, str):  # encoded twice, for a container that decodes once
            wanted = json.loads(wanted)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error})") from None
    if not isinstance(wanted, dict) or not wanted:
        raise argparse.ArgumentTypeError("no JSON object of hyperparameters and their ranges")
    for name, each in wanted.items():
        try:
            for value in extremes(each):
                Hyperparameters.of({name: value})
        except ValueError as error:
            problem = str(error).removeprefix(f"{name}: ")
            raise argparse.ArgumentTypeError(f"{name}: {problem}") from None
    return wanted


def extremes(each: object) -> list[Any]:
    """The values that have to do for all others to do."""
    kind = each.get("type") if isinstance(each, dict) else None
    if kind not in ("categorical", "integer", "continuous"):
        raise ValueError(f"type {kind!r} is none of categorical, integer, continuous")
    assert isinstance(each, dict)  # noqa: S101  it has a type
    missing = {"values"} if kind == "categorical" else {"min", "max"}
    missing -= set(each)
    if missing:
        raise ValueError(f"its range has no {min(missing)}")
    if kind == "categorical":
        values = each["values"]
        if not isinstance(values, list) or not values:
            raise ValueError(f"values {values!r} are no list of at least one")
        return values
    low, high = each["min"], each["max"]
    number = int if kind == "integer" else (int, float)
    if not isinstance(low, number) or not isinstance(high, number) or not low < high:
        raise ValueError(f"min {low!r} and max {high!r} are no rising pair of {kind} bounds")
    if each.get("scaling", "Auto") not in ("Auto", "Linear", "Logarithmic"):
        raise ValueError(f"scaling {each['scaling']!r} is none of Auto, Linear, Logarithmic")
    if each.get("scaling") == "Logarithmic" and low <= 0:
        raise ValueError(f"Logarithmic scaling from {low}; it needs min above 0")
    return [low, high]


def domain(wanted: Mapping[str, Any]) -> Any:
    """Ray's domain of one checked range."""
    from ray import tune

    logarithmic = wanted.get("scaling") == "Logarithmic"
    if wanted["type"] == "categorical":
        return tune.choice(list(wanted["values"]))
    if wanted["type"] == "integer":
        # Ray leaves the upper bound of integers out; a request has it in.
        draw = tune.lograndint if logarithmic else tune.randint
        return draw(int(wanted["min"]), int(wanted["max"]) + 1)
    draw = tune.loguniform if logarithmic else tune.uniform
    return draw(float(wanted["min"]), float(wanted["max"]))
