"""A botocore event hook that turns CreateHyperParameterTuningJob calls into requests.

The code that made the call sees what SageMaker would answer: an ARN, then a tuning job that is in
progress, and the real tuning job under its own name once the dispatcher has created it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.tuning_job.api.schema import definitions
from hpoq.tuning_queue.workspace import ApiRequest, Uploads

_NAME = "HyperParameterTuningJobName"
_CREATE = "CreateHyperParameterTuningJob"

Response = tuple[AWSResponse, dict[str, Any]]

# What SageMaker would show for a request that it has not seen.
_SHOWN_AS = {
    Status.REJECTED: "Failed",
    Status.CANCELLED: "Stopped",
    Status.STOPPING: "Stopping",
}


class QueuedRequest(Protocol):
    """What a hook needs to know about the request that it has sent."""

    api_request: ApiRequest

    @property
    def region(self) -> str:
        """The Region of its tuning job."""

    @property
    def tuning_job_name(self) -> str:
        """The name of its tuning job; empty before there is one."""

    @property
    def status(self) -> str:
        """Its status."""

    @property
    def reason(self) -> str:
        """Why it waits or was rejected."""

    def cancel(self) -> None:
        """Cancel it."""


Send = Callable[[ApiRequest, Uploads], QueuedRequest]


class TuningJobHook:
    """The hook of one queue, for any number of sessions and clients."""

    def __init__(self) -> None:
        self._captures: list[tuple[Send, Uploads]] = []
        self._sent: dict[str, QueuedRequest] = {}

    def install(self, events: Any) -> None:
        """Register the hook with the events of a boto3 session or of one of its clients."""
        for event, handler in (
            ("provide-client-params.sagemaker", self._with_real_name),
            ("provide-client-params.s3", self._in_workspace),
            ("before-call.sagemaker", self._answer),
        ):
            events.register(event, handler, unique_id=f"hpoq-{event}-{id(self)}")

    def begin(self, send: Send, uploads: Uploads) -> None:
        """Send the tuning jobs that are created from now on to a queue."""
        self._captures.append((send, uploads))

    def end(self) -> None:
        """Stop what the last ``begin`` started. Requests sent before keep their names."""
        self._captures.pop()

    def has_sent(self, name: str) -> bool:
        """Return whether this hook has sent a tuning job of this name to the queue."""
        return name in self._sent

    # Handlers: botocore calls them with keyword arguments.

    def _in_workspace(self, params: dict[str, Any], model: Any, **_: Any) -> dict[str, Any] | None:
        return self._captures[-1][1].redirect(model.name, params) if self._captures else None

    def _with_real_name(self, params: dict[str, Any], **_: Any) -> dict[str, Any] | None:
        sent = self._sent.get(str(params.get(_NAME)))
        name = sent.tuning_job_name if sent else ""
        return {**params, _NAME: name} if name else None

    def _answer(self, model: Any, params: Mapping[str, Any], **_: Any) -> Response | None:
        if model.name != _CREATE and not self._sent:
            return None
        fields = json.loads(params["body"] or b"{}")
        if model.name == _CREATE:
            return self._create(fields) if self._captures else None
        sent = self._sent.get(fields.get(_NAME, ""))
        answer = _ANSWERS.get(model.name)
        return _response(answer(sent)) if sent and answer else None

    def _create(self, api_request: ApiRequest) -> Response:
        send, uploads = self._captures[-1]
        sent = send(api_request, uploads)
        self._sent[api_request[_NAME]] = sent
        return _response({"HyperParameterTuningJobArn": _arn(sent)})


def _arn(sent: QueuedRequest) -> str:
    """Return the ARN of a tuning job that does not exist yet, in the account of its role."""
    role: str = definitions(sent.api_request)[0]["RoleArn"]
    _, partition, _, _, account, *_ = role.split(":")
    job = f"hyper-parameter-tuning-job/{sent.api_request[_NAME]}"
    return f"arn:{partition}:sagemaker:{sent.region}:{account}:{job}"


def _response(parsed: dict[str, Any]) -> Response:
    http = AWSResponse("https://hpoq.invalid", 200, HTTPHeaders(), None)
    return http, {**parsed, "ResponseMetadata": {"HTTPStatusCode": 200, "RetryAttempts": 0}}


def _described(sent: QueuedRequest) -> dict[str, Any]:
    status = Status(sent.status)
    now = datetime.now(UTC)
    fields = {name: each for name, each in sent.api_request.items() if name != "Tags"}
    reason = {"FailureReason": sent.reason} if status is Status.REJECTED else {}
    return {
        **fields,
        **reason,
        "HyperParameterTuningJobArn": _arn(sent),
        "HyperParameterTuningJobStatus": _SHOWN_AS.get(status, "InProgress"),
        "CreationTime": now,
        "LastModifiedTime": now,
        "TrainingJobStatusCounters": dict.fromkeys(
            ("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped"), 0
        ),
        "ObjectiveStatusCounters": dict.fromkeys(("Succeeded", "Pending", "Failed"), 0),
    }


def _stopped(sent: QueuedRequest) -> dict[str, Any]:
    sent.cancel()
    return {}


_ANSWERS: Mapping[str, Callable[[QueuedRequest], dict[str, Any]]] = {
    "DescribeHyperParameterTuningJob": _described,
    "StopHyperParameterTuningJob": _stopped,
    "ListTrainingJobsForHyperParameterTuningJob": lambda _: {"TrainingJobSummaries": []},
}
