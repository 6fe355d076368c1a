"""The tuning jobs of a campaign in SageMaker, read with few API calls."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hpo_dispatcher.aws.sagemaker import detail_from, status_of
from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.names import tuning_job_name
from hpoq.campaign.backends.job_state import JobState, state_from
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.results.trial import Trial

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker.literals import HyperParameterTuningJobStatusType

PAGE = 100  # an account runs at most 100 tuning jobs at once, so one page holds all of them


class CampaignTuningJobs:
    """The tuning jobs of one campaign, as SageMaker reports them.

    Args:
        sagemaker: client.
        team: part of the jobs' names.
    """

    def __init__(self, sagemaker: SageMakerClient, team: str) -> None:
        self.sagemaker = sagemaker
        self._team = team
        self._numbers: dict[str, int] = {}
        self._states: dict[int, JobState] = {}
        self._best: dict[int, float | None] = {}  # of jobs described after they ended
        self._began: datetime | None = None
        self._complete = False  # whether every existing job has a state

    def follow(self, plan: CampaignPlan) -> None:
        """Read the jobs of this plan from now on."""
        self._numbers = {
            tuning_job_name(self._team, plan.request_id(job)): job.number for job in plan.jobs
        }
        self._names = {number: name for name, number in self._numbers.items()}
        self._complete = False

    def name(self, number: int) -> str:
        """Return the name of one tuning job."""
        return self._names[number]

    @property
    def began(self) -> datetime | None:
        """The time when the first job was created, if known."""
        return self._began

    def poll(self) -> dict[int, JobState]:
        """Return the states of all jobs that exist.

        The first call reads all pages. Later calls read one page, a second one while jobs are
        stopping, and describe each job that has ended since.
        """
        if self._complete:
            self._update()
        else:
            self._read_all()
        return dict(self._states)

    def created(self, number: int) -> None:
        """Add a job that was just created, which a list may not contain yet."""
        self._states.setdefault(number, JobState(number=number, status=Status.IN_PROGRESS))

    def stopping(self, number: int) -> None:
        """Mark a job that was asked to stop."""
        state = self._states.get(number)
        if state is not None and not state.status.ended:
            self._states[number] = replace(state, status=Status.STOPPING)

    def best(self, number: int) -> float | None:
        """Return the best objective of a job that has ended."""
        state = self._states.get(number)
        if number not in self._best and state is not None and state.status.ended:
            self._describe(number)
        return self._best.get(number)

    def tags(self, number: int) -> dict[str, str]:
        """Return the tags of a job that exists."""
        arn = self.sagemaker.describe_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=self.name(number)
        )["HyperParameterTuningJobArn"]
        pages = self.sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}

    def trials(self, number: int, name: str = "") -> list[Trial]:
        """Return all trials of one tuning job, in the order of their creation.

        Args:
            number: number of the job in the plan.
            name: name of its tuning job, if it is not the one that follows from the plan.
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

    def _read_all(self) -> None:
        pages = self.sagemaker.get_paginator("list_hyper_parameter_tuning_jobs").paginate(
            NameContains=self._common_prefix(), PaginationConfig={"PageSize": PAGE}
        )
        for page in pages:
            self._note(page["HyperParameterTuningJobSummaries"])
        self._complete = True

    def _update(self) -> None:
        listed = self._list("InProgress")
        if any(state.status is Status.STOPPING for state in self._states.values()):
            listed |= self._list("Stopping")
        for number, state in list(self._states.items()):
            if not state.status.ended and number not in listed:
                self._describe(number)

    def _list(self, status: HyperParameterTuningJobStatusType) -> set[int]:
        answer = self.sagemaker.list_hyper_parameter_tuning_jobs(
            NameContains=self._common_prefix(), StatusEquals=status, MaxResults=PAGE
        )
        return self._note(answer["HyperParameterTuningJobSummaries"])

    def _note(self, summaries: Any) -> set[int]:
        found = set()
        for summary in summaries:
            number = self._numbers.get(summary["HyperParameterTuningJobName"])
            if number is None:
                continue
            found.add(number)
            status = status_of(
                summary["HyperParameterTuningJobStatus"], summary.get("HyperParameterTuningEndTime")
            )
            counters = summary.get("TrainingJobStatusCounters", {})
            self._states[number] = state_from(number, status, counters)
            self._note_start(summary["CreationTime"])
        return found

    def _note_start(self, created: datetime) -> None:
        self._began = min(created, self._began or created)

    def _describe(self, number: int) -> None:
        answer = self.sagemaker.describe_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=self.name(number)
        )
        self._note_start(answer["CreationTime"])
        detail = detail_from(answer)
        self._states[number] = state_from(
            number, detail.status, detail.counters, detail.failure_reason
        )
        if detail.status.ended:
            self._best[number] = detail.best.objective if detail.best else None

    def _common_prefix(self) -> str:
        """Return the common prefix of all names; other campaigns may share it."""
        first, last = min(self._numbers), max(self._numbers)
        pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
        return "".join(one for one, _ in pairs)


def trial_from(summary: Any, number: int) -> Trial:
    """Return a trial from a ``HyperParameterTrainingJobSummary``."""
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
