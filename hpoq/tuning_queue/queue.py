"""A team's queue, in the shape of the SageMaker SDK's queue for training jobs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

from hpo_dispatcher.contract import names
from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.request import API_NAME
from hpoq.client import Client
from hpoq.preview import preview
from hpoq.request_ids import new_request_id
from hpoq.tuning_queue import sdk
from hpoq.tuning_queue.hook import TuningJobHook
from hpoq.tuning_queue.job import TuningQueuedJob
from hpoq.tuning_queue.queueing import Queueing
from hpoq.tuning_queue.workspace import ApiRequest, Uploads, Workspace

# A field that tells an API request from a message.
_API_FIELD = "HyperParameterTuningJobConfig"


class TuningQueue:
    """The queue of a team for tuning jobs: submit tuners, find and follow what was submitted.

    Args:
        team: the team. By default the value of HPOQ_TEAM.
        deployment: the deployment. By default the value of HPOQ_DEPLOYMENT, or ``hpoq``.
        boto_session: a session of boto3; None for boto3's default session.
    """

    def __init__(
        self, team: str | None = None, deployment: str | None = None, boto_session: Any = None
    ) -> None:
        self.team = team or os.environ["HPOQ_TEAM"]
        self.deployment = deployment or os.environ.get("HPOQ_DEPLOYMENT", "hpoq")
        self._boto_session = sdk.boto_session_of(boto_session)
        self._client = Client(self.deployment, self._boto_session)
        self._hook = TuningJobHook()
        self._one_submit = threading.Lock()

    def __repr__(self) -> str:
        return f"<TuningQueue {self.team} of {self.deployment}>"

    def submit(
        self,
        tuner: Any,
        inputs: Any = None,
        job_name: str | None = None,
        *,
        priority: int = 0,
        after: Iterable[str | TuningQueuedJob] = (),
        warm_start_from: Iterable[str | TuningQueuedJob] = (),
        tags: Mapping[str, str] | Sequence[Mapping[str, str]] | None = None,
        **arguments: Any,
    ) -> TuningQueuedJob:
        """Submit a tuning job to the queue.

        Args:
            tuner: a HyperparameterTuner of the SageMaker SDK, or a dict: a
                CreateHyperParameterTuningJob request, or a message in short form.
            inputs: the inputs of the tuner, as for its ``tune`` or ``fit``. Local files and folders
                are uploaded to the team's workspace.
            job_name: the request id. By default a new one.
            priority: higher starts first within the team.
            after: requests that must end before this one starts.
            warm_start_from: requests whose results this search starts from.
            tags: tags of the tuning job.
            **arguments: further arguments of the tuner's ``tune`` or ``fit``.

        Raises:
            InvalidRequest: the deployment would reject the request; nothing was sent.
            UnusableTuner: the object is not a tuner.
            NotDeployed, NotReachable: nothing was sent.
        """
        queueing = Queueing.of(priority, after, warm_start_from, tags)
        if isinstance(tuner, Mapping):
            return self._submit_fields(dict(tuner), job_name, queueing)
        session = getattr(tuner, "sagemaker_session", None)
        name = job_name or new_request_id(getattr(tuner, "base_tuning_job_name", None) or self.team)
        with self._one_submit, self._captured(session, queueing) as jobs:
            inputs = self.workspace.with_uploads(session, inputs, f"data/{name}")
            sdk.start(tuner, inputs, name, arguments)
        (job,) = jobs
        return job.submitted_with(tuner)

    def map(
        self,
        tuner: Any,
        inputs: Sequence[Any],
        job_names: Sequence[str] | None = None,
        **arguments: Any,
    ) -> list[TuningQueuedJob]:
        """Submit one tuning job for each of several inputs; arguments as for ``submit``."""
        chosen: Sequence[str | None] = job_names or [None] * len(inputs)
        if len(chosen) != len(inputs):
            problem = f"{len(chosen)} names for {len(inputs)} inputs"
            raise InvalidRequest("job_names", problem, "Give one name for each of the inputs")
        return [
            self.submit(tuner, each, name, **arguments)
            for each, name in zip(inputs, chosen, strict=True)
        ]

    def list_jobs(
        self, job_name: str | None = None, status: str | None = None
    ) -> list[TuningQueuedJob]:
        """Return the team's jobs, newest first.

        Args:
            job_name: only the one with this request id.
            status: only those with this status, such as ``InProgress``; None for all.
        """
        wanted = [Status(status)] if status else []
        found = [
            entry
            for entry in self._client.entries(self.team, wanted)
            if job_name in (None, entry.request_id)
        ]
        found.sort(key=lambda entry: entry.accepted_at, reverse=True)
        return [self._job(entry.request_id) for entry in found]

    def get_job(self, job_name: str) -> TuningQueuedJob:
        """Return the job with this request id.

        Raises:
            NotFound: there is none in the ledger.
        """
        return self._job(self._client.get(self.team, job_name).request_id)

    @contextmanager
    def capture(
        self,
        session: Any = None,
        *,
        priority: int = 0,
        after: Iterable[str | TuningQueuedJob] = (),
        warm_start_from: Iterable[str | TuningQueuedJob] = (),
        tags: Mapping[str, str] | Sequence[Mapping[str, str]] | None = None,
    ) -> Iterator[list[TuningQueuedJob]]:
        """Submit every tuning job that code creates within a ``with`` block.

        The code may wait for its tuning jobs, stop them and read their results.

        Args:
            session: the session that the code uses, of the SageMaker SDK or of boto3; None for
                boto3's default session.
            priority: as for ``submit``.
            after: as for ``submit``.
            warm_start_from: as for ``submit``.
            tags: as for ``submit``.

        Yields:
            The list of the jobs submitted so far.
        """
        queueing = Queueing.of(priority, after, warm_start_from, tags)
        with self._captured(session, queueing) as jobs:
            yield jobs

    def session(self) -> Any:
        """Return a session of the SageMaker SDK that keeps code and data in the team's workspace.

        Raises:
            NotInstalled: the SageMaker SDK is not installed.
        """
        return self.workspace.session(self._boto_session)

    @cached_property
    def workspace(self) -> Workspace:
        """The folder of the artifact bucket that belongs to the team."""
        bucket = self._client.settings.environment.artifact_bucket
        return Workspace(bucket=bucket, prefix=names.workspace_prefix(self.team))

    @property
    def role(self) -> str:
        """The ARN of the role that training jobs run as, whatever role a tuner names."""
        return self._client.settings.environment.training_role(self.team)

    def _job(self, request_id: str, api_request: ApiRequest | None = None) -> TuningQueuedJob:
        return TuningQueuedJob(self._client, self.team, request_id, self._boto_session, api_request)

    @contextmanager
    def _captured(self, session: Any, queueing: Queueing) -> Iterator[list[TuningQueuedJob]]:
        jobs: list[TuningQueuedJob] = []

        def send(api_request: ApiRequest, uploads: Uploads) -> TuningQueuedJob:
            job = self._submit_api_request(uploads.located(api_request), queueing)
            jobs.append(job)
            return job

        for events in sdk.emitters(session):
            self._hook.install(events)
        with self.workspace.default_of(session):
            self._hook.begin(send, Uploads(self.workspace))
            try:
                yield jobs
            finally:
                self._hook.end()

    def _submit_fields(
        self, fields: dict[str, Any], job_name: str | None, queueing: Queueing
    ) -> TuningQueuedJob:
        given = job_name or fields.get("request_id") or fields.get(API_NAME)
        name = given or new_request_id(self.team)
        if _API_FIELD in fields:
            return self._submit_api_request({**fields, API_NAME: name}, queueing)
        return self._send({**queueing.fields(), **fields, "request_id": name})

    def _submit_api_request(self, api_request: ApiRequest, queueing: Queueing) -> TuningQueuedJob:
        parents = api_request.get("WarmStartConfig", {}).get("ParentHyperParameterTuningJobs", ())
        asked = [parent[API_NAME] for parent in parents]
        known = self._client.get_all(self.team, asked)
        known_here = [each for each in asked if each in known or self._hook.has_sent(each)]
        queueing = replace(queueing, warm_start_from=(*queueing.warm_start_from, *known_here))
        return self._send({"api_request": api_request, **queueing.fields()})

    def _send(self, message: dict[str, Any]) -> TuningQueuedJob:
        preview(self._client.settings, self.team, message)  # reports what would be rejected
        (request_id,) = self._client.submit(self.team, [message])
        return self._job(request_id, message.get("api_request"))
