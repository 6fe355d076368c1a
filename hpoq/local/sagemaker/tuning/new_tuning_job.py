"""The record of a new tuning job."""

from __future__ import annotations

from typing import Any

from hpoq.local.sagemaker.built_in_algorithms import add_metric_definitions
from hpoq.local.sagemaker.records import TUNING_JOB, definitions_of, without_tags
from hpoq.local.sagemaker.rules import check_definitions, check_grid, check_tuning_job
from hpoq.local.sagemaker.settings import EngineSettings
from hpoq.local.sagemaker.tuning import autotune
from hpoq.local.sagemaker.tuning.counters import zeros

Record = dict[str, Any]


def new_tuning_job(request: Record, settings: EngineSettings, now: float) -> Record:
    """Return the record of a tuning job that starts now.

    Raises:
        ApiError: if SageMaker would reject the request.
    """
    check_definitions(request)
    check_grid(request)
    for definition in definitions_of(request):
        add_metric_definitions(definition)
    request = autotune.with_chosen_values(request)
    check_tuning_job(request)
    statuses, objectives = zeros()
    return {
        **without_tags(request),
        "HyperParameterTuningJobArn": settings.arn(
            TUNING_JOB, request["HyperParameterTuningJobName"]
        ),
        "HyperParameterTuningJobStatus": "InProgress",
        "CreationTime": now,
        "LastModifiedTime": now,
        "TrainingJobStatusCounters": statuses,
        "ObjectiveStatusCounters": objectives,
    }
