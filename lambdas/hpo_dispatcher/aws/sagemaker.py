"""SageMaker's tuning jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ParamValidationError

from hpo_dispatcher.aws.clients import code, message, unavailable
from hpo_dispatcher.aws.create_errors import NOT_FOUND, creation_error
from hpo_dispatcher.contract.entry import BestTrainingJob, Status
from hpo_dispatcher.contract.names import TAG_DEPLOYMENT, TAG_REQUEST_ID, TAG_TEAM
from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.ports import (
    AlreadyOurs,
    Created,
    Creation,
    NameTaken,
    NotYetVisible,
    Refused,
    TuningJob,
    TuningJobDetail,
    Untagged,
)
from hpo_dispatcher.ports.sagemaker import Taken
from hpo_dispatcher.tuning_job.usage import instances_of

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker.literals import HyperParameterTuningJobStatusType
    from mypy_boto3_sagemaker.type_defs import (
        DescribeHyperParameterTuningJobResponseTypeDef,
        FilterTypeDef,
        HyperParameterTrainingJobSummaryTypeDef,
        HyperParameterTuningJobSearchEntityTypeDef,
        HyperParameterTuningJobSummaryTypeDef,
        TrainingJobTypeDef,
    )

    _Described = (
        DescribeHyperParameterTuningJobResponseTypeDef | HyperParameterTuningJobSearchEntityTypeDef
    )

PAGE = 100
# Filter.Value has at most 1,024 characters, a name 32 and a comma.
SEARCHED_AT_ONCE = 31
_HOLDING: tuple[HyperParameterTuningJobStatusType, ...] = ("InProgress", "Stopping")
_KNOWN = {
    str(status): status
    for status in (
        Status.IN_PROGRESS,
        Status.STOPPING,
        Status.STOPPED,
        Status.COMPLETED,
        Status.FAILED,
    )
}
_DELETED = frozenset(["Deleting", "DeleteFailed"])
BEING_DELETED = "the tuning job is being deleted in SageMaker"


class SageMakerTuning:
    """``TuningService`` on SageMaker.

    The class is long because it makes every call to SageMaker, each with its errors.
    """

    def __init__(self, sagemaker: SageMakerClient, redactor: Redactor | None = None) -> None:
        self._sagemaker = sagemaker
        self._redactor = redactor or Redactor()

    def in_progress(self) -> Sequence[TuningJob]:
        """Return every tuning job of the account that uses capacity, from all pages."""
        pages = self._sagemaker.get_paginator("list_hyper_parameter_tuning_jobs")
        with unavailable("sagemaker:ListHyperParameterTuningJobs"):
            return [
                _listed(summary)
                for status in _HOLDING
                for page in pages.paginate(StatusEquals=status, PaginationConfig={"PageSize": PAGE})
                for summary in page["HyperParameterTuningJobSummaries"]
            ]

    def describe(self, name: str) -> TuningJobDetail | None:
        """Return one tuning job, or None if it does not exist."""
        answer = self._describe(name)
        return self._detail(answer) if answer else None

    def search_ended(self, names: Sequence[str]) -> Mapping[str, TuningJobDetail]:
        """Return those of the named tuning jobs that Search, whose index lags, shows as ended."""
        found: list[TuningJobDetail] = []
        for first in range(0, len(names), SEARCHED_AT_ONCE):
            named: FilterTypeDef = {
                "Name": "HyperParameterTuningJobName",
                "Operator": "In",
                "Value": ",".join(names[first : first + SEARCHED_AT_ONCE]),
            }
            with unavailable("sagemaker:Search"):
                answer = self._sagemaker.search(
                    Resource="HyperParameterTuningJob",
                    SearchExpression={"Filters": [named]},
                    MaxResults=PAGE,
                )
            records = (each.get("HyperParameterTuningJob") for each in answer["Results"])
            found += [self._detail(record) for record in records if record]
        return {detail.name: detail for detail in found if detail.status.ended}

    def trained(self, names: Sequence[str]) -> Mapping[str, datetime]:
        """Return when the latest training job of each named tuning job was created, if any was.

        DeleteHyperParameterTuningJob "does not delete training jobs, artifacts, or the IAM role"
        (API reference). Their names begin with the tuning job's.
        """
        found: dict[str, datetime] = {}
        for name in names:  # Search accepts the operator Contains once per call
            named: FilterTypeDef = {
                "Name": "TrainingJobName",
                "Operator": "Contains",
                "Value": f"{name}-",
            }
            with unavailable("sagemaker:Search"):
                answer = self._sagemaker.search(
                    Resource="TrainingJob",
                    SearchExpression={"Filters": [named]},
                    SortBy="CreationTime",
                    SortOrder="Descending",
                    MaxResults=PAGE,
                )
            records = (each.get("TrainingJob", {}) for each in answer["Results"])
            times = [each["CreationTime"] for each in records if _launched_by(each, name)]
            if times:
                found[name] = max(times)
        return found

    def _detail(self, answer: _Described) -> TuningJobDetail:
        detail = detail_from(answer)
        # The reason may quote the script's output, or its command line with all hyperparameters.
        reason = self._redactor.text(detail.failure_reason, answer)
        return replace(detail, failure_reason=reason)

    def instances(self, name: str) -> Mapping[str, int]:
        """Return the maximum of instances a tuning job uses at once, by instance type."""
        answer = self._describe(name)
        return instances_of(dict(answer)) if answer else {}

    def create(self, api_request: Mapping[str, Any]) -> Creation:
        """Create one tuning job."""

        def redacted(text: str) -> str:  # the answer may quote the request
            return self._redactor.text(text, api_request)

        with unavailable("sagemaker:CreateHyperParameterTuningJob", redacted):
            try:
                self._sagemaker.create_hyper_parameter_tuning_job(**api_request)
            except ParamValidationError as error:  # nothing was sent
                return Refused(redacted(str(error)))
            except ClientError as error:
                if code(error) == "ResourceInUse":
                    return self._whose(api_request)
                refused = creation_error(code(error), message(error))
                if refused is None:
                    raise
                return replace(refused, message=redacted(refused.message))
        return Created()

    def stop(self, name: str) -> bool:
        """Ask a tuning job to stop."""
        with unavailable("sagemaker:StopHyperParameterTuningJob"):
            try:
                self._sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
            except ClientError as error:
                if code(error) in (*NOT_FOUND, "ValidationException"):
                    return False
                raise
        return True

    def model_uri(self, training_job_name: str) -> str | None:
        """Return where the model of a training job is in S3; None if it has none."""
        with unavailable("sagemaker:DescribeTrainingJob"):
            try:
                answer = self._sagemaker.describe_training_job(TrainingJobName=training_job_name)
            except ClientError as error:
                # "Requested resource not found": DescribeTrainingJob says ValidationException.
                if code(error) in (*NOT_FOUND, "ValidationException"):
                    return None
                raise
        return answer.get("ModelArtifacts", {}).get("S3ModelArtifacts")

    def _whose(self, api_request: Mapping[str, Any]) -> AlreadyOurs | Taken:
        """Return whether the tuning job with this name is ours, by its tags.

        Describe and tags lag behind a creation, so only tags of another owner are certain.
        """
        there = self._describe(api_request["HyperParameterTuningJobName"])
        if there is None:  # names are unique ignoring case, but Describe respects case
            return NotYetVisible("a tuning job whose name differs in case")
        arn = there["HyperParameterTuningJobArn"]
        pages = self._sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
        tags = {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
        asked = {tag["Key"]: tag["Value"] for tag in api_request["Tags"]}
        ours = (TAG_REQUEST_ID, TAG_TEAM, TAG_DEPLOYMENT)
        if all(tags.get(key) == asked[key] for key in ours):
            return AlreadyOurs()
        if not tags:
            return Untagged("a job not of hpoq")
        if TAG_REQUEST_ID not in tags:
            return NameTaken("a job not of hpoq")
        owner = f"request {tags[TAG_REQUEST_ID]} of deployment {tags.get(TAG_DEPLOYMENT)}"
        return NameTaken(owner)

    def _describe(self, name: str) -> DescribeHyperParameterTuningJobResponseTypeDef | None:
        with unavailable("sagemaker:DescribeHyperParameterTuningJob"):
            try:
                return self._sagemaker.describe_hyper_parameter_tuning_job(
                    HyperParameterTuningJobName=name
                )
            except ClientError as error:
                if code(error) in NOT_FOUND:
                    return None
                raise


def _launched_by(training_job: TrainingJobTypeDef, name: str) -> bool:
    """Return whether a training job belongs to a tuning job; ARNs are in lower case."""
    owner = training_job.get("TuningJobArn", "").rpartition("/")[2]
    return owner.lower() == name.lower()


def status_of(word: str, ended_at: datetime | None = None) -> Status:
    """Return the state of a tuning job, whatever SageMaker calls it.

    A tuning job that is deleted has ended before. A word that this version does not know stands
    for a tuning job that uses capacity until it has an end time. It is not stopped or preempted.

    Args:
        word: the HyperParameterTuningJobStatus.
        ended_at: when the tuning job ended, as far as known.
    """
    if word in _KNOWN:
        return _KNOWN[word]
    return Status.STOPPED if word in _DELETED or ended_at else Status.STOPPING


def _listed(summary: HyperParameterTuningJobSummaryTypeDef) -> TuningJob:
    limits, counters = summary.get("ResourceLimits"), summary.get("TrainingJobStatusCounters")
    most = limits.get("MaxNumberOfTrainingJobs") if limits else None
    # A retryable error may run again, so it is not an end.
    ended = (
        counters.get("Completed", 0)
        + counters.get("NonRetryableError", 0)
        + counters.get("Stopped", 0)
        if counters
        else 0
    )
    return TuningJob(
        name=summary["HyperParameterTuningJobName"],
        status=status_of(summary["HyperParameterTuningJobStatus"]),
        parallel=limits["MaxParallelTrainingJobs"] if limits else 1,
        training_jobs_left=None if most is None else max(0, most - ended),
    )


def detail_from(answer: _Described) -> TuningJobDetail:
    """Convert an answer of Describe or Search to the form that the dispatcher uses."""
    counters = answer.get("TrainingJobStatusCounters", {})
    objective = answer["HyperParameterTuningJobConfig"].get("HyperParameterTuningJobObjective")
    best, ended_at = answer.get("BestTrainingJob"), answer.get("HyperParameterTuningEndTime")
    word: str = answer["HyperParameterTuningJobStatus"]
    deleted = word in _DELETED
    return TuningJobDetail(
        name=answer["HyperParameterTuningJobName"],
        status=status_of(word, ended_at),
        counters={name: count for name, count in counters.items() if isinstance(count, int)},
        best=_best(best) if best else None,
        ended_at=ended_at,
        failure_reason=answer.get("FailureReason", "") or (BEING_DELETED if deleted else ""),
        deleted=deleted,
        minimize=bool(objective and objective["Type"] == "Minimize"),
    )


def _best(summary: HyperParameterTrainingJobSummaryTypeDef) -> BestTrainingJob | None:
    metric = summary.get("FinalHyperParameterTuningJobObjectiveMetric")
    if not metric or "Value" not in metric:
        return None
    return BestTrainingJob(
        name=summary["TrainingJobName"],
        objective=float(metric["Value"]),
        metric=metric.get("MetricName", ""),
        hyperparameters=dict(summary.get("TunedHyperParameters", {})),
    )
