"""The last values of all metrics of trials, which lists of training jobs leave out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from hpoq.campaign.results.trial import Trial

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

PAGE = 100
AT_ONCE = 8  # calls; the client retries those that SageMaker throttles
_ENDED = ("Completed", "Stopped")

Metrics = Mapping[str, float]


class FinalMetrics:
    """A reader of ``FinalMetricDataList``: the last value of each metric of a training job.

    One Search returns 100 training jobs. Those that Search does not return, because its index lags
    or because the caller may not search, are described one by one.

    Args:
        sagemaker: client.
    """

    def __init__(self, sagemaker: SageMakerClient) -> None:
        self._sagemaker = sagemaker

    def added_to(self, trials: Iterable[Trial], tuning_jobs: Sequence[str]) -> list[Trial]:
        """Return the trials with their metrics; those that have some are left alone.

        Args:
            trials: of these tuning jobs.
            tuning_jobs: names.
        """
        found = list(trials)
        wanted = {t.name for t in found if not t.metrics and t.status in _ENDED}
        wanted = {name for name in wanted if "/" not in name}  # Ray's trials have no training job
        known = self._searched(tuning_jobs, wanted) if wanted else {}
        known |= self._described(sorted(wanted - known.keys()))
        return [replace(t, metrics=known.get(t.name, t.metrics)) for t in found]

    def _searched(self, tuning_jobs: Sequence[str], wanted: set[str]) -> dict[str, Metrics]:
        known: dict[str, Metrics] = {}
        try:
            for tuning_job in tuning_jobs:
                known |= dict(self._pages(tuning_job, wanted))
        except ClientError:  # the caller may not search: the policy of a team does not allow it
            pass
        return known

    def _pages(self, tuning_job: str, wanted: set[str]) -> Iterator[tuple[str, Metrics]]:
        pages = self._sagemaker.get_paginator("search").paginate(
            Resource="TrainingJob",
            SearchExpression={
                "Filters": [
                    # The names of a tuning job's training jobs begin with the tuning job's.
                    {"Name": "TrainingJobName", "Operator": "Contains", "Value": f"{tuning_job}-"}
                ]
            },
            PaginationConfig={"PageSize": PAGE},
        )
        for page in pages:
            for result in page["Results"]:
                job: Any = result.get("TrainingJob", {})
                if job.get("TrainingJobName") in wanted and job["TrainingJobStatus"] in _ENDED:
                    yield job["TrainingJobName"], metrics_of(job)

    def _described(self, names: Sequence[str]) -> dict[str, Metrics]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(zip(names, pool.map(self._describe, names), strict=True))

    def _describe(self, name: str) -> Metrics:
        return metrics_of(self._sagemaker.describe_training_job(TrainingJobName=name))


def metrics_of(training_job: Any) -> Metrics:
    """Return the last value of each metric of a training job, by name."""
    final = training_job.get("FinalMetricDataList", ())
    return {each["MetricName"]: float(each["Value"]) for each in final}
