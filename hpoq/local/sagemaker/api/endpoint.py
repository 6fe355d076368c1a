"""The SageMaker API in front of the engine."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hpoq.local.sagemaker.api import schema as api_model
from hpoq.local.sagemaker.api import search_operation as searching
from hpoq.local.sagemaker.api.rate_limit import Throttle
from hpoq.local.sagemaker.errors import ApiError, invalid, not_found
from hpoq.local.sagemaker.ports import Ports
from hpoq.local.sagemaker.records import definitions_of, summary
from hpoq.local.sagemaker.settings import EngineSettings
from hpoq.local.sagemaker.store import Wanted
from hpoq.local.sagemaker.tuning.engine import TRAINING_JOB, TUNING_JOB, Engine

Record = dict[str, Any]
Answer = tuple[int, list[tuple[str, str]], bytes]
DEFAULT_PAGE = 10


class SageMakerEndpoint:
    """Answers requests of the AWS JSON protocol. ``handle`` never raises."""

    def __init__(self, home: Path, ports: Ports, settings: EngineSettings) -> None:
        self._engine = Engine(home, ports, settings)
        self._settings = settings
        self._throttle = Throttle(settings.calls_per_second)
        self._operations: dict[str, Callable[[Record], Record]] = {
            "CreateHyperParameterTuningJob": self._create,
            "DescribeHyperParameterTuningJob": self._describe,
            "ListHyperParameterTuningJobs": self._list,
            "StopHyperParameterTuningJob": self._stop,
            "ListTrainingJobsForHyperParameterTuningJob": self._list_trials,
            "DescribeTrainingJob": self._describe_training_job,
            "ListTrainingJobs": self._list_training_jobs,
            "ListTags": self._list_tags,
            "AddTags": self._add_tags,
            "DeleteTags": self._delete_tags,
            "DeleteHyperParameterTuningJob": self._delete,
            "CreateTrainingJob": self._create_training_job,
            "StopTrainingJob": self._stop_training_job,
            "Search": self._search,
        }

    def start(self) -> None:
        """Begin to work."""
        self._engine.start()

    def close(self) -> None:
        """End every training process."""
        self._engine.close()

    def handle(self, target: str, body: bytes) -> Answer:
        """One request.

        Args:
            target: the X-Amz-Target header, ``SageMaker.<operation>``.
            body: JSON.

        Returns:
            HTTP status, headers and body.
        """
        headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amzn-requestid", str(uuid.uuid4())),
        ]
        try:
            self._throttle.check(target)
            operation, parameters = api_model.read(target, body)
            perform = self._operations.get(operation.name)
            if perform is None:
                problem = f"{operation.name} is not supported by this endpoint"
                raise ApiError("UnknownOperationException", problem)
            return 200, headers, api_model.write(operation, perform(parameters))
        except ApiError as error:
            content = {"__type": error.code, "message": error.message}
            return error.status, headers, json.dumps(content).encode()

    def resource_arn(self, target: str, body: bytes) -> str:
        """The ARN a request concerns, for IAM; * if it concerns none in particular."""
        fields = _fields(body)
        if "ResourceArn" in fields:
            return str(fields["ResourceArn"])
        for field, kind in (
            ("HyperParameterTuningJobName", TUNING_JOB),
            ("TrainingJobName", TRAINING_JOB),
        ):
            if isinstance(fields.get(field), str):
                return self._settings.arn(kind, fields[field])
        return "*"

    def role_arns(self, target: str, body: bytes) -> Sequence[str]:
        """Roles the request passes to SageMaker."""
        fields = _fields(body)
        several = fields.get("TrainingJobDefinitions") or []
        places = [fields, fields.get("TrainingJobDefinition"), *several]
        found = [place.get("RoleArn") for place in places if isinstance(place, dict)]
        return [role for role in dict.fromkeys(found) if isinstance(role, str)]

    # Tuning jobs

    def _create(self, parameters: Record) -> Record:
        return {"HyperParameterTuningJobArn": self._engine.create(parameters)}

    def _stop(self, parameters: Record) -> Record:
        self._engine.stop(parameters["HyperParameterTuningJobName"])
        return {}

    def _delete(self, parameters: Record) -> Record:
        self._engine.delete(parameters["HyperParameterTuningJobName"])
        return {}

    def _tuning_job(self, name: str) -> Record:
        record = self._engine.store.tuning_job(name)
        if record is None:
            raise not_found("hyperparameter tuning job", name)
        return record

    def _describe(self, parameters: Record) -> Record:
        return _described(self._tuning_job(parameters["HyperParameterTuningJobName"]))

    def _search(self, parameters: Record) -> Record:
        resource = parameters["Resource"]
        store = self._engine.store
        match resource:
            case "TrainingJob":
                records = [_complete(each) for each in store.training_jobs()]
                arn = "TrainingJobArn"
            case "HyperParameterTuningJob":
                records = [_described(each) for each in store.tuning_jobs()]
                arn = "HyperParameterTuningJobArn"
            case _:
                raise invalid(f"Search for {resource} is not supported by this endpoint.")
        tags = store.all_tags()
        for record in records:
            record["Tags"] = _as_list(tags.get(record[arn], {}))
        found = searching.found(resource, parameters, records)
        page, token = _cut(found, parameters)
        total = {"Value": len(found), "Relation": "EqualTo"}
        return {
            "Results": [{resource: each} for each in page],
            "NextToken": token,
            "TotalHits": total,
        }

    def _list(self, parameters: Record) -> Record:
        page, token = self._page(self._engine.store.tuning_job_page, parameters, "Name")
        return {
            "HyperParameterTuningJobSummaries": [
                each
                | {
                    "Strategy": each["HyperParameterTuningJobConfig"]["Strategy"],
                    "ResourceLimits": each["HyperParameterTuningJobConfig"]["ResourceLimits"],
                }
                for each in page
            ],
            "NextToken": token,
        }

    def _page(
        self, read: Callable[[Wanted, int, int], list[Record]], parameters: Record, order: str
    ) -> tuple[list[Record], str | None]:
        first, size = _first(parameters), parameters.get("MaxResults", DEFAULT_PAGE)
        found = read(_wanted(parameters, order), first, size + 1)
        return found[:size], str(first + size) if len(found) > size else None

    # Training jobs

    def _create_training_job(self, parameters: Record) -> Record:
        return {"TrainingJobArn": self._engine.create_training_job(parameters)}

    def _stop_training_job(self, parameters: Record) -> Record:
        self._engine.stop_training_job(parameters["TrainingJobName"])
        return {}

    def _list_trials(self, parameters: Record) -> Record:
        name = parameters["HyperParameterTuningJobName"]
        self._tuning_job(name)
        if parameters.get("SortBy") == "FinalObjectiveMetricValue":
            page, token = self._by_objective(parameters)
        else:
            read = self._engine.store.training_job_page
            asked = parameters | {"_tuning_job": name}
            records, token = self._page(read, asked, "Name")
            page = [summary(each) for each in records]
        return {"TrainingJobSummaries": page, "NextToken": token}

    def _by_objective(self, parameters: Record) -> tuple[list[Record], str | None]:
        """Only training jobs that have one."""
        records = self._engine.store.training_jobs(parameters["HyperParameterTuningJobName"])
        wanted = parameters.get("StatusEquals")
        metric = "FinalHyperParameterTuningJobObjectiveMetric"
        found = [summary(each) for each in records if wanted in (None, each["TrainingJobStatus"])]
        found = [each for each in found if metric in each]
        found.sort(key=lambda each: each[metric]["Value"], reverse=_descending(parameters))
        return _cut(found, parameters)

    def _describe_training_job(self, parameters: Record) -> Record:
        name = parameters["TrainingJobName"]
        record = self._engine.store.training_job(name)
        if record is None:
            raise not_found("training job", name)
        return _complete(record)

    def _list_training_jobs(self, parameters: Record) -> Record:
        read = self._engine.store.training_job_page
        page, token = self._page(read, parameters, "CreationTime")
        return {"TrainingJobSummaries": page, "NextToken": token}

    # Tags

    def _list_tags(self, parameters: Record) -> Record:
        tags = self._engine.store.tags(parameters["ResourceArn"])
        page, token = _cut(_as_list(tags), parameters | {"MaxResults": 50})
        return {"Tags": page, "NextToken": token}

    def _add_tags(self, parameters: Record) -> Record:
        added = {tag["Key"]: tag["Value"] for tag in parameters["Tags"]}
        self._engine.store.tag(parameters["ResourceArn"], added)
        return {"Tags": parameters["Tags"]}

    def _delete_tags(self, parameters: Record) -> Record:
        self._engine.store.untag(parameters["ResourceArn"], parameters["TagKeys"])
        return {}


def _described(record: Record) -> Record:
    """A tuning job with what the service adds to what it was told."""
    config = record["HyperParameterTuningJobConfig"]
    objective = config.get("HyperParameterTuningJobObjective", {}).get("MetricName")
    for definition in definitions_of(record):
        static = definition.setdefault("StaticHyperParameters", {})
        own = definition.get("TuningObjective", {}).get("MetricName", objective)
        static["_tuning_objective_metric"] = own
        definition["OutputDataConfig"].setdefault("KmsKeyId", "")
    return record


def _complete(training_job: Record) -> Record:
    """A training job with the fields that every one has."""
    training_job["OutputDataConfig"].setdefault("KmsKeyId", "")
    training_job.setdefault("ModelArtifacts", {"S3ModelArtifacts": ""})
    return training_job


def _as_list(tags: dict[str, str]) -> list[Record]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _fields(body: bytes) -> Record:
    try:
        fields = json.loads(body or b"{}")
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _wanted(parameters: Record, order: str) -> Wanted:
    return Wanted(
        status=parameters.get("StatusEquals"),
        name_contains=parameters.get("NameContains"),
        created_after=parameters.get("CreationTimeAfter"),
        created_before=parameters.get("CreationTimeBefore"),
        modified_after=parameters.get("LastModifiedTimeAfter"),
        modified_before=parameters.get("LastModifiedTimeBefore"),
        tuning_job=parameters.get("_tuning_job"),
        order=parameters.get("SortBy", order),
        descending=_descending(parameters),
    )


def _descending(parameters: Record) -> bool:
    return bool(parameters.get("SortOrder", "Ascending") == "Descending")


def _first(parameters: Record) -> int:
    try:
        return int(parameters.get("NextToken") or 0)
    except ValueError:
        raise ApiError("ValidationException", "Invalid NextToken.") from None


def _cut(records: list[Record], parameters: Record) -> tuple[list[Record], str | None]:
    first = _first(parameters)
    after = first + parameters.get("MaxResults", DEFAULT_PAGE)
    return records[first:after], str(after) if after < len(records) else None
