"""A botocore event hook that turns CreateHyperParameterTuningJob calls into requests.

The code that made the call sees what SageMaker would answer: an ARN, then a tuning job that is in
progress, and the real tuning job under its own name once the dispatcher has created it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.errors import InvalidRequest
from hpoq.tuning_queue.workspace import ApiRequest, Uploads

_NAME = "HyperParameterTuningJobName"
_CREATE = "CreateHyperParameterTuningJob"

Response = tuple[AWSResponse, dict[str, Any]]

# What SageMaker would show for a request that it has not seen.
_SHOWN_AS = {
    Status.REJECTED: "Failed",
    Status.FAILED: "Failed",  # a fault of the account, for too long
    Status.STOPPED: "Stopped",
    Status.CANCELLED: "Stopped",
    Status.STOPPING: "Stopping",
}


class QueuedRequest(Protocol):
    """What a hook needs to know about the request that it has sent."""

    team: str
    api_request: ApiRequest

    @property
    def region(self) -> str:
        """The Region of its tuning job."""

    @property
    def role(self) -> str:
        """The ARN of the role that its training jobs run as."""

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


@dataclass(frozen=True, kw_only=True, eq=False)
class Capture:
    """Tuning jobs that go to a queue while it is active.

    Args:
        owner: the queue, for people.
        send: sends an API request to the queue.
        uploads: the uploads of the code that creates the tuning jobs.
        thread: the thread whose calls it concerns; None for all threads.
    """

    owner: str
    send: Send
    uploads: Uploads
    thread: int | None = None


class TuningJobHook:
    """The hook of a process, for any number of queues, sessions and clients.

    One hook serves all queues, so that each call goes to one queue: queues often share a session.
    """

    def __init__(self) -> None:
        self._captures: list[Capture] = []
        self._sent: dict[str, QueuedRequest] = {}
        # By the id of the events, which stay alive: the events, and who has them for good.
        self._lasting: dict[int, tuple[Any, str]] = {}
        self._lock = threading.Lock()

    def install(self, events: Any) -> None:
        """Register the hook with the events of a boto3 session or of one of its clients."""
        for event, handler in (
            ("provide-client-params.sagemaker", self._with_real_name),
            ("provide-client-params.s3", self._in_workspace),
            ("before-call.sagemaker", self._answer),
        ):
            events.register(event, handler, unique_id=f"hpoq-{event}")

    def install_lasting(self, events: Any, capture: Capture) -> None:
        """Register the hook with events whose tuning jobs go to one queue from now on.

        Raises:
            InvalidRequest: they go to another queue already.
        """
        with self._lock:
            _, owner = self._lasting.setdefault(id(events), (events, capture.owner))
        if owner != capture.owner:
            raise InvalidRequest(
                "boto_session",
                f"its tuning jobs go to {owner} already",
                "Pass boto_session=boto3.Session() to one of the queues",
            )
        self.install(events)
        for event, handler in (
            ("provide-client-params.s3", partial(self._in_workspace, lasting=capture)),
            ("before-call.sagemaker", partial(self._answer, lasting=capture)),
        ):
            events.register(event, handler, unique_id=f"hpoq-lasting-{event}")

    def begin(self, capture: Capture) -> None:
        """Send the tuning jobs that are created from now on to a queue."""
        with self._lock:
            self._captures.append(capture)

    def end(self, capture: Capture) -> None:
        """Stop what ``begin`` started. Requests sent before keep their names."""
        with self._lock:
            self._captures.remove(capture)

    def has_sent(self, team: str, name: str) -> bool:
        """Return whether this hook has sent a tuning job of this name to a team's queue."""
        sent = self._sent.get(name)
        return sent is not None and sent.team == team

    def _active(self) -> Capture | None:
        """Return the capture that began last, of those that concern this thread."""
        here = threading.get_ident()
        with self._lock:
            found = [each for each in self._captures if each.thread in (None, here)]
        return found[-1] if found else None

    # Handlers: botocore calls them with keyword arguments.

    def _in_workspace(
        self, params: dict[str, Any], model: Any, lasting: Capture | None = None, **_: Any
    ) -> dict[str, Any] | None:
        with self._lock:  # of any thread: transfers to S3 have threads of their own
            active = self._captures[-1] if self._captures else lasting
        return active.uploads.redirect(model.name, params) if active else None

    def _with_real_name(
        self, params: dict[str, Any], model: Any, **_: Any
    ) -> dict[str, Any] | None:
        if model.name == _CREATE:  # again: it is a request of its own, and its name is taken
            return None
        sent = self._sent.get(str(params.get(_NAME)))
        name = sent.tuning_job_name if sent else ""
        return {**params, _NAME: name} if name else None

    def _answer(
        self, model: Any, params: Mapping[str, Any], lasting: Capture | None = None, **_: Any
    ) -> Response | None:
        if model.name != _CREATE and not self._sent:
            return None
        fields = json.loads(params["body"] or b"{}")
        if model.name == _CREATE:
            capture = self._active() or lasting
            return self._create(fields, capture) if capture else None
        sent = self._sent.get(fields.get(_NAME, ""))
        answer = _ANSWERS.get(model.name)
        return _response(answer(sent)) if sent and answer else None

    def _create(self, api_request: ApiRequest, capture: Capture) -> Response:
        sent = capture.send(api_request, capture.uploads)
        self._sent[api_request[_NAME]] = sent
        return _response({"HyperParameterTuningJobArn": _arn(sent)})


# The hook of this process.
HOOK = TuningJobHook()


def _arn(sent: QueuedRequest) -> str:
    """Return the ARN of a tuning job that does not exist yet, in the account of the deployment."""
    _, partition, _, _, account, *_ = sent.role.split(":")
    job = f"hyper-parameter-tuning-job/{sent.api_request[_NAME]}"
    return f"arn:{partition}:sagemaker:{sent.region}:{account}:{job}"


def _response(parsed: dict[str, Any]) -> Response:
    http = AWSResponse("https://hpoq.invalid", 200, HTTPHeaders(), None)
    return http, {**parsed, "ResponseMetadata": {"HTTPStatusCode": 200, "RetryAttempts": 0}}


def _described(sent: QueuedRequest) -> dict[str, Any]:
    status = Status(sent.status)
    now = datetime.now(UTC)
    fields = {name: each for name, each in sent.api_request.items() if name != "Tags"}
    shown = _SHOWN_AS.get(status, "InProgress")
    reason = {"FailureReason": sent.reason} if shown == "Failed" else {}
    return {
        **fields,
        **reason,
        "HyperParameterTuningJobArn": _arn(sent),
        "HyperParameterTuningJobStatus": shown,
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
