"""The API's operations on tuning jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hpoq.local.sagemaker.api.descriptions import describe_tuning_job
from hpoq.local.sagemaker.api.pages import is_descending, page_of, stored_page
from hpoq.local.sagemaker.errors import not_found
from hpoq.local.sagemaker.records import training_job_summary
from hpoq.local.sagemaker.tuning.engine import Engine

Record = dict[str, Any]
OBJECTIVE = "FinalHyperParameterTuningJobObjectiveMetric"


class TuningJobOperations:
    """The operations that create, describe, list, stop and delete tuning jobs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.by_name: dict[str, Callable[[Record], Record]] = {
            "CreateHyperParameterTuningJob": self._create,
            "DescribeHyperParameterTuningJob": self._describe,
            "ListHyperParameterTuningJobs": self._list,
            "StopHyperParameterTuningJob": self._stop,
            "DeleteHyperParameterTuningJob": self._delete,
            "ListTrainingJobsForHyperParameterTuningJob": self._list_training_jobs,
        }

    def _create(self, parameters: Record) -> Record:
        return {"HyperParameterTuningJobArn": self._engine.create_tuning_job(parameters)}

    def _stop(self, parameters: Record) -> Record:
        self._engine.stop_tuning_job(parameters["HyperParameterTuningJobName"])
        return {}

    def _delete(self, parameters: Record) -> Record:
        self._engine.delete_tuning_job(parameters["HyperParameterTuningJobName"])
        return {}

    def _describe(self, parameters: Record) -> Record:
        return describe_tuning_job(self._record(parameters))

    def _record(self, parameters: Record) -> Record:
        name = parameters["HyperParameterTuningJobName"]
        record = self._engine.store.tuning_jobs.get(name)
        if record is None:
            raise not_found("tuning job", name)
        return record

    def _list(self, parameters: Record) -> Record:
        page, token = stored_page(self._engine.store.tuning_jobs.page, parameters, "Name")
        summaries = [
            each
            | {
                "Strategy": each["HyperParameterTuningJobConfig"]["Strategy"],
                "ResourceLimits": each["HyperParameterTuningJobConfig"]["ResourceLimits"],
            }
            for each in page
        ]
        return {"HyperParameterTuningJobSummaries": summaries, "NextToken": token}

    def _list_training_jobs(self, parameters: Record) -> Record:
        self._record(parameters)
        if parameters.get("SortBy") == "FinalObjectiveMetricValue":
            page, token = self._by_objective(parameters)
        else:
            name = parameters["HyperParameterTuningJobName"]
            read = self._engine.store.training_jobs.page
            records, token = stored_page(read, parameters, "Name", tuning_job=name)
            page = [training_job_summary(each) for each in records]
        return {"TrainingJobSummaries": page, "NextToken": token}

    def _by_objective(self, parameters: Record) -> tuple[list[Record], str | None]:
        """Return a page of the training jobs that have a final objective value."""
        name, status = parameters["HyperParameterTuningJobName"], parameters.get("StatusEquals")
        records = self._engine.store.training_jobs.of_tuning_job(name)
        summaries = [
            training_job_summary(each)
            for each in records
            if status in (None, each["TrainingJobStatus"])
        ]
        summaries = [each for each in summaries if OBJECTIVE in each]
        summaries.sort(key=lambda each: each[OBJECTIVE]["Value"], reverse=is_descending(parameters))
        return page_of(summaries, parameters)
