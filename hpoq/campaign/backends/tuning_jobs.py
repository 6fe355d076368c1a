"""SageMaker's side of a campaign: one list call a look, one describe an end."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hpo_dispatcher.aws.sagemaker import detail_from
from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.names import tuning_job_name
from hpoq.campaign.model import Plan
from hpoq.campaign.results.trial import Trial
from hpoq.campaign.running.schedule import JobState

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker.literals import HyperParameterTuningJobStatusType

PAGE = 100  # no account runs more tuning jobs at once, so one page holds all that run


class TuningJobs:
    """The tuning jobs of one campaign.

    Args:
        sagemaker: client.
        team: part of their names.
    """

    def __init__(self, sagemaker: SageMakerClient, team: str) -> None:
        self.sagemaker = sagemaker
        self._team = team
        self._numbers: dict[str, int] = {}
        self._states: dict[int, JobState] = {}
        self._best: dict[int, float | None] = {}  # of those described after their end
        self._began: datetime | None = None
        self._complete = False  # the states hold everything there is

    def follow(self, plan: Plan) -> None:
        """Know the names of all jobs of a plan."""
        self._numbers = {
            tuning_job_name(self._team, plan.request_id(job)): job.number for job in plan.jobs
        }
        self._names = {number: name for name, number in self._numbers.items()}
        self._complete = False

    def name(self, number: int) -> str:
        """Of one job."""
        return self._names[number]

    @property
    def began(self) -> datetime | None:
        """When the first job was created."""
        return self._began

    def look(self) -> dict[int, JobState]:
        """States of all jobs there are.

        All pages the first time. After that one page, one more while jobs stop, and a describe
        for each job that has ended since.
        """
        if self._complete:
            self._look_again()
        else:
            self._look_through()
        return dict(self._states)

    def created(self, number: int) -> None:
        """A job was created just now; a list may not have it yet."""
        self._states.setdefault(number, JobState(number=number, status=Status.IN_PROGRESS))

    def stopping(self, number: int) -> None:
        """A job was told to stop: it is looked for among those that do."""
        state = self._states.get(number)
        if state is not None and not state.status.ended:
            self._states[number] = replace(state, status=Status.STOPPING)

    def best(self, number: int) -> float | None:
        """The best objective of a job that has ended."""
        state = self._states.get(number)
        if number not in self._best and state is not None and state.status.ended:
            self._describe(number)
        return self._best.get(number)

    def tags(self, number: int) -> dict[str, str]:
        """Of a job that exists."""
        arn = self.sagemaker.describe_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=self.name(number)
        )["HyperParameterTuningJobArn"]
        pages = self.sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}

    def trials(self, number: int, name: str = "") -> list[Trial]:
        """All of one tuning job, by creation.

        Args:
            number: of the job in the plan.
            name: of its tuning job, where it is not the one that follows from the plan.
        """
        pages = self.sagemaker.get_paginator(
            "list_training_jobs_for_hyper_parameter_tuning_job"
        ).paginate(
            HyperParameterTuningJobName=name or self.name(number),
            SortBy="CreationTime",
            SortOrder="Ascending",
            PaginationConfig={"PageSize": PAGE},
        )
        return [
            trial_from(summary, number)
            for page in pages
            for summary in page["TrainingJobSummaries"]
        ]

    def _look_through(self) -> None:
        pages = self.sagemaker.get_paginator("list_hyper_parameter_tuning_jobs").paginate(
            NameContains=self._shared(), PaginationConfig={"PageSize": PAGE}
        )
        for page in pages:
            self._note(page["HyperParameterTuningJobSummaries"])
        self._complete = True

    def _look_again(self) -> None:
        listed = self._list("InProgress")
        if any(state.status is Status.STOPPING for state in self._states.values()):
            listed |= self._list("Stopping")
        for number, state in list(self._states.items()):
            if not state.status.ended and number not in listed:
                self._describe(number)

    def _list(self, status: HyperParameterTuningJobStatusType) -> set[int]:
        answer = self.sagemaker.list_hyper_parameter_tuning_jobs(
            NameContains=self._shared(), StatusEquals=status, MaxResults=PAGE
        )
        return self._note(answer["HyperParameterTuningJobSummaries"])

    def _note(self, summaries: Any) -> set[int]:
        found = set()
        for summary in summaries:
            number = self._numbers.get(summary["HyperParameterTuningJobName"])
            if number is None:
                continue
            found.add(number)
            status = Status(summary["HyperParameterTuningJobStatus"])
            counters = summary.get("TrainingJobStatusCounters", {})
            self._states[number] = state_from(number, status, counters)
            created = summary["CreationTime"]
            self._began = min(created, self._began or created)
        return found

    def _describe(self, number: int) -> None:
        answer = self.sagemaker.describe_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=self.name(number)
        )
        detail = detail_from(answer)
        self._states[number] = state_from(
            number, detail.status, detail.counters, detail.failure_reason
        )
        if detail.status.ended:
            self._best[number] = detail.best.objective if detail.best else None

    def _shared(self) -> str:
        """What all names begin with; names of other campaigns with it are passed over."""
        first, last = min(self._numbers), max(self._numbers)
        alike = zip(first, last, strict=False)
        return "".join(a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], alike))


def state_from(
    number: int, status: Status, counters: Mapping[str, Any], reason: str = ""
) -> JobState:
    """TrainingJobStatusCounters as a job's state."""
    ended_badly: tuple[str, ...] = ("RetryableError", "NonRetryableError", "Stopped")
    if not status.ended:  # a retryable error may be tried again while the job runs
        ended_badly = ended_badly[1:]
    return JobState(
        number=number,
        status=status,
        completed=counters.get("Completed", 0),
        running=counters.get("InProgress", 0),
        failed=sum(counters.get(each, 0) for each in ended_badly),
        reason=reason,
    )


def trial_from(summary: Any, number: int) -> Trial:
    """HyperParameterTrainingJobSummary as a trial."""
    metric = summary.get("FinalHyperParameterTuningJobObjectiveMetric", {})
    return Trial(
        name=summary["TrainingJobName"],
        job=number,
        status=summary["TrainingJobStatus"],
        hyperparameters=dict(summary.get("TunedHyperParameters", {})),
        objective=float(metric["Value"]) if "Value" in metric else None,
        created_at=summary.get("CreationTime"),
        started_at=summary.get("TrainingStartTime"),
        ended_at=summary.get("TrainingEndTime"),
        reason=summary.get("FailureReason", ""),
    )
