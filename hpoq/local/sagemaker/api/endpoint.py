"""The SageMaker endpoint: one request in, one response out."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hpoq.local.sagemaker.api import schema
from hpoq.local.sagemaker.api.callback_steps import CALLBACK_STEPS
from hpoq.local.sagemaker.api.index_lag import IndexLag
from hpoq.local.sagemaker.api.rate_limit import RateLimiter
from hpoq.local.sagemaker.api.search_operation import search
from hpoq.local.sagemaker.api.tags import TagOperations
from hpoq.local.sagemaker.api.training_jobs import TrainingJobOperations
from hpoq.local.sagemaker.api.tuning_jobs import TuningJobOperations
from hpoq.local.sagemaker.errors import ApiError, internal, reason_of
from hpoq.local.sagemaker.ports import Ports
from hpoq.local.sagemaker.records import TRAINING_JOB, TUNING_JOB
from hpoq.local.sagemaker.settings import EngineSettings
from hpoq.local.sagemaker.tuning.engine import Engine

Record = dict[str, Any]
logger = logging.getLogger(__name__)
HttpResponse = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers and body."""


class SageMakerEndpoint:
    """The SageMaker service behind the AWS JSON protocol."""

    def __init__(self, home: Path, ports: Ports, settings: EngineSettings) -> None:
        self._engine = Engine(home, ports, settings)
        self._settings = settings
        self._rate_limiter = RateLimiter(settings.calls_per_second)
        lag = IndexLag(self._engine.store, settings.tag_lag_seconds, time.time)
        self._operations: dict[str, Callable[[Record], Record]] = {
            **TuningJobOperations(self._engine).by_name,
            **TrainingJobOperations(self._engine).by_name,
            **TagOperations(self._engine.store.tags, lag).by_name,
            **CALLBACK_STEPS,
            "Search": partial(search, self._engine.store, lag),
        }

    def start(self) -> None:
        """Start the engine and resume unfinished jobs."""
        self._engine.start()

    def close(self) -> None:
        """Kill every training process and close the store."""
        self._engine.close()

    def handle(self, target: str, body: bytes) -> HttpResponse:
        """Answer one request; return errors of the API as responses.

        Args:
            target: the X-Amz-Target header, ``SageMaker.<operation>``.
            body: JSON.
        """
        headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amzn-requestid", str(uuid.uuid4())),
        ]
        try:
            return 200, headers, self._answer(target, body)
        except ApiError as error:
            refusal = error
        except Exception as error:
            logger.exception("%s failed", target)
            refusal = internal(reason_of(error))
        content = {"__type": refusal.code, "message": refusal.message}
        return refusal.status, headers, json.dumps(content).encode()

    def _answer(self, target: str, body: bytes) -> bytes:
        self._rate_limiter.check(target)
        operation, parameters = schema.parse(target, body)
        perform = self._operations.get(operation.name)
        if perform is None:
            problem = f"{operation.name} is not supported by this endpoint"
            raise ApiError("UnknownOperationException", problem)
        return schema.serialize(operation, perform(parameters))

    def resource_arn(self, target: str, body: bytes) -> str:
        """Return the ARN of the resource of a request, for IAM, or ``*``."""
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

    def tags_of(self, arn: str) -> Mapping[str, str]:
        """Return the tags of a job, for IAM; none if there is no such job."""
        return self._engine.store.tags.of(arn)

    def role_arns(self, target: str, body: bytes) -> Sequence[str]:
        """Return the roles that a request passes to SageMaker."""
        fields = _fields(body)
        several = fields.get("TrainingJobDefinitions")
        more = several if isinstance(several, list) else []
        places = [fields, fields.get("TrainingJobDefinition"), *more]
        found = [place.get("RoleArn") for place in places if isinstance(place, dict)]
        return [role for role in dict.fromkeys(found) if isinstance(role, str)]


def _fields(body: bytes) -> Record:
    try:
        fields = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}
