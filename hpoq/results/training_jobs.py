"""The training jobs of a request, over all of its tuning jobs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hpo_dispatcher.contract.entry import Entry
from hpoq.client import Client, explained
from hpoq.errors import NotInstalled
from hpoq.results.logs import Services

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class TrainingJobResult:
    """A training job of a tuning job, as SageMaker lists it."""

    name: str
    number: int  # in the order in which the training jobs of the request started, from 1
    status: str
    objective: float | None  # None if it has no final value
    hyperparameters: dict[str, float | str]  # the searched ones; numbers where they look like one
    started_at: datetime | None
    ended_at: datetime | None
    failure_reason: str = ""
    definition: str = ""  # of a tuning job with several training job definitions

    @property
    def seconds(self) -> float | None:
        """Its run time; None if it has not ended."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()


def of_entry(client: Client, entry: Entry) -> list[TrainingJobResult]:
    """Return the training jobs of a request, those with the best objective first.

    Raises:
        NotReachable: the caller may not list them, or has no access to their target.
    """
    tuning_jobs = [job.tuning_job_name for job in entry.earlier]
    tuning_jobs += [entry.tuning_job_name] if entry.tuning_job_name else []
    there = client.on(entry.target)
    # The names of a tuning job's training jobs are numbered.
    listed = [
        summary
        for name in dict.fromkeys(tuning_jobs)
        for summary in sorted(_listed(there, name), key=lambda each: str(each["TrainingJobName"]))
    ]
    found = [_result(summary, number) for number, summary in enumerate(listed, 1)]
    minimize = entry.request is not None and entry.request.minimizes
    return sorted(found, key=lambda each: _rank(each, minimize))


def failed(jobs: Iterable[TrainingJobResult]) -> list[TrainingJobResult]:
    """Return the training jobs that failed."""
    return [each for each in jobs if each.status == "Failed"]


def rows(jobs: Sequence[TrainingJobResult]) -> list[dict[str, Any]]:
    """Return one row per training job, with the column names of the SageMaker SDK."""
    definitions = {each.definition for each in jobs} - {""}
    return [
        {
            **each.hyperparameters,
            **({"TrainingJobDefinitionName": each.definition} if definitions else {}),
            "TrainingJobName": each.name,
            "TrainingJobStatus": each.status,
            "FinalObjectiveValue": each.objective,
            "TrainingStartTime": each.started_at,
            "TrainingEndTime": each.ended_at,
            "TrainingElapsedTimeSeconds": each.seconds,
        }
        for each in jobs
    ]


def data_frame(jobs: Sequence[TrainingJobResult]) -> pd.DataFrame:
    """Return the rows as a data frame.

    Raises:
        NotInstalled: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise NotInstalled("results() needs pandas. Install it with `pip install pandas`") from None
    return pd.DataFrame(rows(jobs))


def _listed(there: Services, tuning_job: str) -> Iterator[dict[str, Any]]:
    with explained(f"training jobs of {tuning_job}"):
        paginator = there.service("sagemaker").get_paginator(
            "list_training_jobs_for_hyper_parameter_tuning_job"
        )
        for page in paginator.paginate(HyperParameterTuningJobName=tuning_job):
            yield from page["TrainingJobSummaries"]


def _result(summary: dict[str, Any], number: int) -> TrainingJobResult:
    final = summary.get("FinalHyperParameterTuningJobObjectiveMetric", {})
    return TrainingJobResult(
        name=summary["TrainingJobName"],
        number=number,
        status=summary["TrainingJobStatus"],
        objective=final.get("Value"),
        hyperparameters={
            name: _value(text) for name, text in summary["TunedHyperParameters"].items()
        },
        started_at=summary.get("TrainingStartTime"),
        ended_at=summary.get("TrainingEndTime"),
        failure_reason=summary.get("FailureReason", ""),
        definition=summary.get("TrainingJobDefinitionName", ""),
    )


def _value(text: str) -> float | str:
    """Return a number where a hyperparameter is one; the SDK quotes text twice."""
    bare = text.strip('"')
    try:
        number = float(bare)
    except ValueError:
        return bare
    return number if math.isfinite(number) else bare


def _rank(each: TrainingJobResult, minimize: bool) -> tuple[bool, float, str]:
    value = each.objective
    if value is None or math.isnan(value):
        return True, 0.0, each.name
    return False, value if minimize else -value, each.name
