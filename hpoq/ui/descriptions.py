"""Jobs as SageMaker describes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from hpo_dispatcher.contract.targets.resources import HOME

Record = Mapping[str, Any]


def at_target(target: str) -> str:
    """Return the part of an address that names a target; empty for home."""
    return "" if target == HOME else f"?{urlencode({'target': target})}"


def definitions(tuning_job: Record) -> list[Record]:
    """Return the training job definitions of a tuning job."""
    several = tuning_job.get("TrainingJobDefinitions")
    return list(several) if several else [tuning_job["TrainingJobDefinition"]]


def objective(tuning_job: Record, definition: Record) -> Record:
    """Return the objective of a definition: type and metric name."""
    config = tuning_job["HyperParameterTuningJobConfig"]
    found: Record = definition.get("TuningObjective") or config["HyperParameterTuningJobObjective"]
    return found


def bare(text: str) -> str:
    """Remove the quotes that version 2 of the SDK puts around a hyperparameter's value."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else text
