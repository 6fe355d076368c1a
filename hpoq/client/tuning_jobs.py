"""What SageMaker reports about the tuning job of a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from hpo_dispatcher.aws.clients import code
from hpo_dispatcher.aws.create_errors import NOT_FOUND
from hpo_dispatcher.aws.sagemaker import detail_from
from hpo_dispatcher.contract.entry import Entry
from hpo_dispatcher.tuning_job.resumption import better, with_earlier
from hpoq.errors import NotFound, NotReachable

# Returns what has the services of a target, such as a Client; raises NotReachable.
Targets = Callable[[str], Any]


def live(targets: Targets, entry: Entry) -> Entry:
    """Return the entry with its tuning job's current counters and best training job.

    The tuning job is on the entry's target. A team that may not describe tuning jobs there gets the
    entry unchanged; the dispatcher completes it when the tuning job ends.
    """
    if not entry.status.active or not entry.tuning_job_name:
        return entry
    try:
        answer = (
            targets(entry.target)
            .service("sagemaker")
            .describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=entry.tuning_job_name)
        )
    except (BotoCoreError, ClientError, NotReachable):
        return entry
    detail = detail_from(answer)
    return replace(
        entry,
        counters=with_earlier(entry.earlier, detail.counters),
        best=better(entry.best, detail.best, minimize=detail.minimize),
    )


def exists(targets: Targets, entry: Entry) -> bool:
    """Return whether an entry's tuning job exists and the caller may describe it.

    A request is InProgress in the ledger before its tuning job is created.
    """
    if not entry.tuning_job_name:
        return False
    try:
        targets(entry.target).service("sagemaker").describe_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=entry.tuning_job_name
        )
    except (BotoCoreError, ClientError, NotReachable):
        return False
    return True


def model_uri(targets: Targets, entry: Entry) -> str | None:
    """Return the S3 URI of the best training job's model; None without permission.

    Raises:
        NotFound: somebody has deleted the training job in SageMaker.
    """
    if entry.best is None:
        return None
    try:
        answer = (
            targets(entry.target)
            .service("sagemaker")
            .describe_training_job(TrainingJobName=entry.best.name)
        )
    except ClientError as error:
        # DescribeTrainingJob says ValidationException: tests/fixtures/aws_answers.yaml.
        if code(error) not in (*NOT_FOUND, "ValidationException"):
            return None
        raise NotFound(
            f"the training job {entry.best.name} is no longer in SageMaker. Its model may still be "
            "in S3, below its output path"
        ) from None
    except (BotoCoreError, NotReachable):
        return None
    return answer.get("ModelArtifacts", {}).get("S3ModelArtifacts")  # type: ignore[no-any-return]
