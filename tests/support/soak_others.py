"""What others do in an account during a soak test: tuning jobs, deletions, lower limits."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

FOREIGN = "someone-elses"  # the names of foreign tuning jobs begin so
FOREIGN_SECONDS = 6.0


@dataclass
class LimitHistory:
    """The limit of tuning jobs that the settings of the dispatchers state, over time."""

    file: Path  # deployment.json
    since: list[tuple[datetime, int]] = field(default_factory=list)

    def set(self, tuning_jobs: int) -> None:
        """Write another limit, which each dispatcher reads at the start of its next cycle."""
        settings = json.loads(self.file.read_text())
        settings["limits"]["tuning_jobs"] = tuning_jobs
        aside = self.file.with_suffix(".new")
        aside.write_text(json.dumps(settings))
        aside.replace(self.file)
        self.since.append((datetime.now(UTC), tuning_jobs))

    def largest(self, begin: datetime, end: datetime) -> int:
        """Return the largest limit that was in force at some time of a period."""
        ends = [at for at, _ in self.since[1:]] + [datetime.max.replace(tzinfo=UTC)]
        periods = zip(self.since, ends, strict=True)
        return max(limit for (at, limit), until in periods if at <= end and until >= begin)


@dataclass
class OtherUsers:
    """Other users of the account, who act every second until ``stop`` is called.

    Args:
        sagemaker: their client of SageMaker.
        limits: the limit of the deployment, which an operator cuts and raises again.
        usual: the limit while it is not cut.
        cut: the limit while it is cut.
        draw: chooses what they do.
    """

    sagemaker: Any
    limits: LimitHistory
    usual: int
    cut: int
    draw: random.Random
    # Deleted tuning jobs as they were, by name: SageMaker no longer lists them.
    deleted: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)
    refused: int = 0  # foreign tuning jobs beyond the quota
    began: dict[str, set[datetime]] = field(default_factory=dict)  # training jobs, by name
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Act, about once a second."""
        acts = [self._delete_ended] * 6 + [self._create] * 2 + [self._cut_or_raise]
        while not self._over.wait(1.0):
            self.look()
            self.draw.choice(acts)()

    def stop(self) -> None:
        """Stop acting, and leave the usual limit."""
        self._over.set()
        self.limits.set(self.usual)

    def look(self) -> None:
        """Record when the latest training jobs began: one of a used name would begin again."""
        answer = self.sagemaker.list_training_jobs(
            MaxResults=100, SortBy="CreationTime", SortOrder="Descending"
        )
        for job in answer["TrainingJobSummaries"]:
            self.began.setdefault(job["TrainingJobName"], set()).add(job["CreationTime"])

    def _delete_ended(self) -> None:
        """Delete the tuning job that ended last, perhaps before a cycle has seen its end."""
        answer = self.sagemaker.list_hyper_parameter_tuning_jobs(
            MaxResults=20, SortBy="CreationTime", SortOrder="Descending"
        )
        ended = [
            job["HyperParameterTuningJobName"]
            for job in answer["HyperParameterTuningJobSummaries"]
            if job["HyperParameterTuningJobStatus"] == "Completed"
        ]
        for name in ended[:1]:
            job = self.sagemaker.describe_hyper_parameter_tuning_job(
                HyperParameterTuningJobName=name
            )
            with suppress(ClientError):
                self.sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
                self.deleted[name] = job

    def _create(self) -> None:
        """Create a tuning job with several training jobs, modeled on one of the deployment."""
        answer = self.sagemaker.list_hyper_parameter_tuning_jobs(MaxResults=1)
        for each in answer["HyperParameterTuningJobSummaries"]:
            job = self.sagemaker.describe_hyper_parameter_tuning_job(
                HyperParameterTuningJobName=each["HyperParameterTuningJobName"]
            )
            many = self.draw.randint(1, 6)
            config, definition = job["HyperParameterTuningJobConfig"], job["TrainingJobDefinition"]
            config["ResourceLimits"] = {
                "MaxNumberOfTrainingJobs": many,
                "MaxParallelTrainingJobs": many,
            }
            given = definition["StaticHyperParameters"]
            definition["StaticHyperParameters"] = {
                "seconds": str(FOREIGN_SECONDS),
                **{key: given[key] for key in given if key != "seconds" and key[0] != "_"},
            }
            name = f"{FOREIGN}-{len(self.foreign) + self.refused}"
            try:
                self.sagemaker.create_hyper_parameter_tuning_job(
                    HyperParameterTuningJobName=name,
                    HyperParameterTuningJobConfig=config,
                    TrainingJobDefinition=definition,
                )
                self.foreign.append(name)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceLimitExceeded":
                    raise
                self.refused += 1

    def _cut_or_raise(self) -> None:
        is_cut = self.limits.since[-1][1] == self.cut
        self.limits.set(self.usual if is_cut else self.cut)


@dataclass
class Killer:
    """Sends SIGKILL to one of several processes every few seconds until ``stop`` is called."""

    victims: Callable[[], list[int]]  # the ids of the processes that run
    draw: random.Random
    seconds: tuple[float, float] = (2.0, 5.0)
    kills: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Kill, wait, and kill again."""
        while not self._over.wait(self.draw.uniform(*self.seconds)):
            running = self.victims()
            if running:
                with suppress(ProcessLookupError):
                    os.kill(self.draw.choice(running), 9)
                    self.kills += 1

    def stop(self) -> None:
        """Kill no more."""
        self._over.set()
