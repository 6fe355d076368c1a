"""Jobs as SageMaker describes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Record = Mapping[str, Any]


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
