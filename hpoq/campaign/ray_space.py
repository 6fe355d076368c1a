"""The search space as Ray's script gets it: JSON in one hyperparameter."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.request import CategoricalRange, Range, wire_value


def as_hyperparameter(value: Any) -> str:
    """Return JSON that is encoded twice, because a container decodes hyperparameters once."""
    return json.dumps(json.dumps(value, separators=(",", ":")))


def space_of(ranges: Mapping[str, Range]) -> str:
    """Return the hyperparameter with the ranges."""
    return as_hyperparameter({name: each.model_dump(mode="json") for name, each in ranges.items()})


def problem_with_space(ranges: Mapping[str, Range]) -> str:
    """Return why Ray cannot search the ranges; empty if it can."""
    length, limit = len(space_of(ranges)), aws_limits.HYPERPARAMETER_VALUE_LENGTH
    if length <= limit:
        return ""
    return f"Ray gets the ranges as one hyperparameter: {length} characters, {limit} at most"


def problem_with_points(points: Sequence[Mapping[str, Any]]) -> str:
    """Return why Ray's script cannot get the points; empty if it can."""
    length, limit = len(as_hyperparameter(points)), aws_limits.HYPERPARAMETER_VALUE_LENGTH
    if length <= limit:
        return ""
    return f"Ray gets the points as one hyperparameter: {length} characters, {limit} at most"


def settings_per_job(ranges: Mapping[str, Range]) -> int:
    """Return how many settings fit into one hyperparameter, whatever their values are."""
    longest = {name: _longest(each) for name, each in ranges.items()}
    each = len(as_hyperparameter([longest])) - len(as_hyperparameter([])) + 1  # and a comma
    return max(1, (aws_limits.HYPERPARAMETER_VALUE_LENGTH - len(as_hyperparameter([]))) // each)


def _longest(each: Range) -> str:
    """Return the longest text of a value."""
    if isinstance(each, CategoricalRange):
        return max(map(wire_value, each.values), key=len)
    return "-" + "9" * 24  # of repr(float), with sign, point and exponent
