"""The search space as Ray's script gets it: JSON in one hyperparameter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.request import Range


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
