"""The API's operations on training jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hpoq.local.sagemaker.api.descriptions import describe_training_job
from hpoq.local.sagemaker.api.pages import stored_page
from hpoq.local.sagemaker.errors import no_training_job
from hpoq.local.sagemaker.tuning.engine import Engine

Record = dict[str, Any]


class TrainingJobOperations:
    """The operations that create, describe, list and stop training jobs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.by_name: dict[str, Callable[[Record], Record]] = {
            "CreateTrainingJob": self._create,
            "DescribeTrainingJob": self._describe,
            "ListTrainingJobs": self._list,
            "StopTrainingJob": self._stop,
        }

    def _create(self, parameters: Record) -> Record:
        return {"TrainingJobArn": self._engine.create_training_job(parameters)}

    def _stop(self, parameters: Record) -> Record:
        self._engine.stop_training_job(parameters["TrainingJobName"])
        return {}

    def _describe(self, parameters: Record) -> Record:
        name = parameters["TrainingJobName"]
        record = self._engine.store.training_jobs.get(name)
        if record is None:
            raise no_training_job()
        return describe_training_job(record)

    def _list(self, parameters: Record) -> Record:
        read = self._engine.store.training_jobs.page
        page, token = stored_page(read, parameters, "CreationTime")
        return {"TrainingJobSummaries": page, "NextToken": token}
