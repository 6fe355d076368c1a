"""A SageMaker whose tuning jobs run until a test ends them."""

from __future__ import annotations

from typing import Any

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.ports import TuningJob
from tests.support.dispatcher_account import Account


class Running:
    """A SageMaker whose tuning jobs run until they are removed from ``running``.

    The tuning jobs of moto end at once.
    """

    def __init__(self, account: Account) -> None:
        self._real = account.dispatcher().tuning
        self.running: list[str] = []
        self.left: dict[
            str, int
        ] = {}  # the number of training jobs that have not ended, by tuning job

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def create(self, api_request: Any) -> Any:
        self.running.append(api_request["HyperParameterTuningJobName"])
        return self._real.create(api_request)

    def in_progress(self) -> list[TuningJob]:
        return [
            TuningJob(
                name=name,
                status=Status.IN_PROGRESS,
                parallel=5,
                training_jobs_left=self.left.get(name),
            )
            for name in self.running
        ]

    def stop(self, name: str) -> bool:
        self.running.remove(name)
        return True
