"""A team's queue, in the shape of the SageMaker SDK's queue for training jobs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from hpo_dispatcher.contract import names
from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.errors import InvalidRequest
from hpoq.client import Client
from hpoq.errors import UnusableTuner
from hpoq.request_ids import new_request_id
from hpoq.tuning_queue import sdk
from hpoq.tuning_queue.hook import HOOK, Capture, Send
from hpoq.tuning_queue.job import TuningQueuedJob
from hpoq.tuning_queue.local_inputs import uploaded
from hpoq.tuning_queue.queueing import Queueing
from hpoq.tuning_queue.sender import Sender
from hpoq.tuning_queue.workspace import ApiRequest, Uploads, Workspace

# Queues may share a session of the SDK, which a submission changes for a while.
_ONE_SUBMIT = threading.Lock()


class TuningQueue:
    """The queue of a team for tuning jobs: submit tuners, find and follow what was submitted.

    The class is long because it has the methods of the SDK's queue, with many arguments each.

    Args:
        team: the team. By default the value of HPOQ_TEAM.
        deployment: the deployment. By default the value of HPOQ_DEPLOYMENT, or ``hpoq``.
        boto_session: a session of boto3; None for boto3's default session.
    """

    def __init__(
        self, team: str | None = None, deployment: str | None = None, boto_session: Any = None
    ) -> None:
        self.team = team or os.environ.get("HPOQ_TEAM", "")
        if not self.team:
            fix = 'Name it, as in TuningQueue("fraud"), or set HPOQ_TEAM'
            raise InvalidRequest("team", "missing", fix)
        self.deployment = deployment or os.environ.get("HPOQ_DEPLOYMENT", "hpoq")
        self._boto_session = sdk.boto_session_of(boto_session)
        self._client = Client(self.deployment, self._boto_session)

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
        expected_minutes: float | None = None,
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
            expected_minutes: how long the tuning job will probably run.
            **arguments: further arguments of the tuner's ``tune`` or ``fit``.

        Raises:
            InvalidRequest: the deployment would reject the request; nothing was sent.
            DuplicateRequest: another request has this id; nothing was sent.
            UnusableTuner: the object is not a tuner, or not one that trains in SageMaker.
            UnusableData: a local file or folder of ``inputs`` does not exist.
            NotDeployed, NotReachable: nothing was sent.
        """
        queueing = Queueing.of(priority, after, warm_start_from, tags, expected_minutes)
        if isinstance(tuner, Mapping):
            _check_nothing_ignored(inputs, arguments)
            return self._sender.send_fields(dict(tuner), job_name, queueing)
        sdk.check_tuner(tuner)
        session = tuner.sagemaker_session
        name = job_name or new_request_id(getattr(tuner, "base_tuning_job_name", None) or self.team)
        here = threading.get_ident()
        with _ONE_SUBMIT, self._captured(session, queueing, here) as jobs:
            inputs = self.workspace.with_uploads(session, inputs, f"data/{name}")
            sdk.start(tuner, inputs, name, arguments)
        if len(jobs) != 1:
            raise UnusableTuner(
                f"the tuner created {len(jobs)} tuning jobs instead of one. Pass a tuner whose "
                "session creates tuning jobs in SageMaker, not one of a pipeline"
            )
        return jobs[0].submitted_with(tuner)

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

        Raises:
            InvalidRequest: there is no such status.
            NotDeployed: there is no such team.
        """
        if status and status not in tuple(Status):
            fix = f"Use one of {', '.join(Status)}"
            raise InvalidRequest("status", f"unknown status {status!r}", fix)
        wanted = [Status(status)] if status else []
        found = [
            entry
            for entry in self._client.entries(self.team, wanted)
            if job_name in (None, entry.request_id)
        ]
        if not found:
            self._client.require_team(self.team)
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
        expected_minutes: float | None = None,
    ) -> Iterator[list[TuningQueuedJob]]:
        """Submit every tuning job that code creates within a ``with`` block.

        The code may wait for its tuning jobs, stop them and read their results.

        Args:
            session: the session that the code uses, of the SageMaker SDK or of boto3; None for
                boto3's default session. If the code has a client of boto3 already, that client.
            priority: as for ``submit``.
            after: as for ``submit``.
            warm_start_from: as for ``submit``.
            tags: as for ``submit``.
            expected_minutes: as for ``submit``.

        Yields:
            The list of the jobs submitted so far.
        """
        queueing = Queueing.of(priority, after, warm_start_from, tags, expected_minutes)
        with self._captured(session, queueing) as jobs:
            yield jobs

    def session(self) -> Any:
        """Return a session of the SageMaker SDK for the team.

        Code and data are in the team's workspace. Tuning jobs that are created with it, or with
        the boto3 session of the queue, go to the queue.

        Raises:
            NotInstalled: the SageMaker SDK is not installed.
            InvalidRequest: the tuning jobs of the boto3 session go to another team's queue.
        """
        session = self.workspace.session(self._boto_session)
        send = self._send_with(Queueing.of(), [])
        owner = f"the queue of {self.team} in {self.deployment}"
        capture = Capture(owner=owner, send=send, uploads=Uploads(self.workspace))
        for events in sdk.emitters(session):
            HOOK.install_lasting(events, capture)
        return session

    @cached_property
    def workspace(self) -> Workspace:
        """The folder of the artifact bucket that belongs to the team."""
        bucket = self._settings.environment.artifact_bucket
        return Workspace(bucket=bucket, prefix=names.workspace_prefix(self.team))

    @property
    def role(self) -> str:
        """The ARN of the role that training jobs run as, whatever role a tuner names."""
        return self._settings.environment.training_role(self.team)

    @property
    def _settings(self) -> SettingsDocument:
        """The settings of the deployment, which has the team."""
        self._client.require_team(self.team)
        return self._client.settings

    def _job(self, request_id: str, api_request: ApiRequest | None = None) -> TuningQueuedJob:
        return TuningQueuedJob(self._client, self.team, request_id, self._boto_session, api_request)

    @contextmanager
    def _captured(
        self, session: Any, queueing: Queueing, thread: int | None = None
    ) -> Iterator[list[TuningQueuedJob]]:
        jobs: list[TuningQueuedJob] = []
        capture = Capture(
            owner=repr(self),
            send=self._send_with(queueing, jobs),
            uploads=Uploads(self.workspace),
            thread=thread,
        )
        for events in sdk.emitters(session):
            HOOK.install(events)
        with self.workspace.default_of(session):
            HOOK.begin(capture)
            try:
                yield jobs
            finally:
                HOOK.end(capture)

    def _send_with(self, queueing: Queueing, jobs: list[TuningQueuedJob]) -> Send:
        """Return a function that sends API requests to the queue and lists their jobs."""

        def send(api_request: ApiRequest, uploads: Uploads) -> TuningQueuedJob:
            located = uploaded(
                uploads.located(api_request), self.workspace, self._client.service("s3")
            )
            job = self._sender.send_api_request(located, queueing)
            jobs.append(job)
            return job

        return send

    @cached_property
    def _sender(self) -> Sender:
        return Sender(
            client=self._client, settings=self._settings, team=self.team, job_of=self._job
        )


def _check_nothing_ignored(inputs: Any, arguments: Mapping[str, Any]) -> None:
    """Check that a dict is submitted without the arguments of tuners."""
    given = [*(["inputs"] if inputs is not None else []), *arguments]
    if given:
        problem, fix = "only tuners take it", "Put it into the request"
        raise InvalidRequest(given[0], problem, fix)
