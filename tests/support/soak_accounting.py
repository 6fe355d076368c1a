"""What became of the requests of a soak test, according to SageMaker and the queues.

Nothing here reads the ledger: what it says is to be judged by this.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hpo_dispatcher.contract.names import tuning_job_name
from tests.support.deployed_stack import Deployed
from tests.support.job_spans import most_at_once
from tests.support.soak_others import FOREIGN, LimitHistory

Key = tuple[str, str]
NOTHING: Mapping[str, Mapping[str, Any]] = {}
ACTIVE = ("InProgress", "Stopping")
NUMBERED = re.compile(r"^(.*)-\d{3}-[0-9a-f]{8}$")  # a training job of a tuning job


@dataclass(frozen=True, kw_only=True)
class TuningJobSpan:
    """When a tuning job existed as a running one."""

    name: str
    begin: datetime
    end: datetime


@dataclass(frozen=True, kw_only=True)
class SoakAccounts:
    """The tuning jobs, training jobs and messages of a deployment after a soak test."""

    tuning_jobs: Mapping[str, str]  # statuses of those that SageMaker lists, by name
    spans: tuple[TuningJobSpan, ...]  # of all tuning jobs, also deleted and foreign ones
    trained: Mapping[str, list[str]]  # statuses of the training jobs of each tuning job
    instances: tuple[tuple[datetime, datetime], ...]  # when each training job used its instance
    left: Mapping[str, int] = field(default_factory=dict)  # messages per request queue
    dead: Mapping[str, list[str]] = field(default_factory=dict)  # bodies of dead letters, by team

    def jobs_of(self, keys: Iterable[Key]) -> dict[Key, list[str]]:
        """Return the statuses of the training jobs of each request."""
        return {key: self.trained.get(tuning_job_name(*key), []) for key in keys}

    def started_beyond(self, limits: LimitHistory, lag: timedelta) -> list[str]:
        """Return the tuning jobs of the deployment that were created beyond its limit.

        A dispatcher that has looked at the account does not see what changes before it creates what
        it has planned: for ``lag``, a lower limit or a foreign tuning job need not be respected.
        """
        found = []
        for job in self.spans:
            if job.name.startswith(FOREIGN):
                continue
            beside = [
                each
                for each in self.spans
                if each.begin <= job.begin < each.end
                and (not each.name.startswith(FOREIGN) or each.begin < job.begin - lag)
            ]
            if len(beside) > limits.largest(job.begin - lag, job.begin):
                found.append(f"{job.name} was number {len(beside)} at {job.begin}")
        return found

    def peak(self) -> int:
        """Return how many tuning jobs of the deployment ran at once."""
        return most_at_once(
            [(each.begin, each.end) for each in self.spans if not each.name.startswith(FOREIGN)]
        )


def soak_accounts(
    deployed: Deployed, teams: Collection[str], deleted: Mapping[str, Mapping[str, Any]]
) -> SoakAccounts:
    """Read SageMaker and the queues.

    Args:
        deployed: the deployment.
        teams: its teams.
        deleted: tuning jobs that others have deleted, as they were before.
    """
    sqs = deployed.client("sqs")
    return replace(
        tuning_accounts(deployed.client("sagemaker"), deleted),
        left={team: _messages(sqs, deployed.queue(team)) for team in teams},
        dead={team: _bodies(sqs, deployed.dead_letters(team)) for team in teams},
    )


def tuning_accounts(
    sagemaker: Any, deleted: Mapping[str, Mapping[str, Any]] = NOTHING
) -> SoakAccounts:
    """Read the tuning jobs and training jobs of one account and Region.

    Args:
        sagemaker: a client there.
        deleted: tuning jobs that others have deleted, as they were before.
    """
    listed = [
        job
        for page in sagemaker.get_paginator("list_hyper_parameter_tuning_jobs").paginate(
            PaginationConfig={"PageSize": 100}
        )
        for job in page["HyperParameterTuningJobSummaries"]
    ]
    training = [
        job
        for page in sagemaker.get_paginator("list_training_jobs").paginate(
            PaginationConfig={"PageSize": 100}
        )
        for job in page["TrainingJobSummaries"]
    ]
    trained: dict[str, list[str]] = {}
    for job in training:
        named = NUMBERED.match(job["TrainingJobName"])
        assert named, f"{job['TrainingJobName']} belongs to no tuning job"
        trained.setdefault(named[1], []).append(job["TrainingJobStatus"])
    return SoakAccounts(
        tuning_jobs={
            job["HyperParameterTuningJobName"]: job["HyperParameterTuningJobStatus"]
            for job in listed
        },
        spans=tuple(
            TuningJobSpan(
                name=job["HyperParameterTuningJobName"],
                begin=job["CreationTime"],
                end=job["HyperParameterTuningEndTime"],
            )
            for job in [*listed, *deleted.values()]
        ),
        trained=trained,
        instances=tuple((job["CreationTime"], job["TrainingEndTime"]) for job in training),
    )


def _messages(sqs: Any, url: str) -> int:
    names = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    ]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)


def _bodies(sqs: Any, url: str) -> list[str]:
    """Receive and delete all messages of a queue; return their bodies."""
    bodies: dict[str, str] = {}
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        bodies |= {each["MessageId"]: each["Body"] for each in messages}
        for each in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    return [*bodies.values()]
