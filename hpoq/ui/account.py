"""The account that the pages show, read only through ``hpoq.client`` and boto3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from hpo_dispatcher.contract.documents.capacity import CapacityDocument
from hpo_dispatcher.contract.entry import Entry
from hpoq.botocore_config import INTERACTIVE, PATIENT
from hpoq.client import Client
from hpoq.errors import NotDeployed, NotFound, NotReachable
from hpoq.forecast import Forecast
from hpoq.ui.log import TrainingLog
from hpoq.ui.recall import Recall

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

T = TypeVar("T")
Record = dict[str, Any]

FRESH = 2.0  # seconds for which an answer is reused
PAGE = 100  # the maximum of SageMaker's list operations
RUNNING = ("InProgress", "Stopping")


@dataclass(frozen=True, kw_only=True)
class RequestList:
    """The requests of a deployment and their outlook."""

    entries: Sequence[Entry]  # newest first
    capacity: CapacityDocument | None  # published by the last cycle
    forecast: Forecast  # derived from the capacity document
    note: str = ""  # why requests are missing


@dataclass(frozen=True, kw_only=True)
class TuningJobs:
    """A page of the account's tuning jobs, newest first."""

    summaries: Sequence[Record]
    next_token: str


class Account:
    """An account, as far as the session may read it.

    Args:
        session: a session for the account.
        deployment: the name of the hpoq deployment, which may not exist.
        team: the team whose requests are shown; None for all teams.
    """

    def __init__(
        self, session: boto3.Session, deployment: str = "hpoq", team: str | None = None
    ) -> None:
        self._session = session
        self._client = Client(deployment, session)
        self._team = team
        self._recall = Recall()

    @property
    def name(self) -> str:
        """The Region, or the endpoint if it is not AWS.

        Raises:
            NotReachable: no Region is set.
        """
        try:
            endpoint = self._sagemaker.meta.endpoint_url
        except BotoCoreError as error:
            raise NotReachable(f"{error} Set AWS_DEFAULT_REGION") from None
        amazon = "amazonaws.com" in endpoint
        return str(self._session.region_name if amazon else endpoint.partition("://")[2])

    def requests(self) -> RequestList:
        """Return every request of the deployment, with its wait reason."""
        return self._recall.get("requests", self._requests, FRESH)

    def request(self, team: str, request_id: str) -> Entry:
        """Return a request with its tuning job's counters.

        Raises:
            NotFound: the request does not exist.
        """

        def ask() -> Entry:
            return self._client.live(self._client.get(team, request_id))

        return self._recall.get(
            ("request", team, request_id), ask, FRESH, settled=lambda entry: entry.status.ended
        )

    def tuning_jobs(self, containing: str = "", token: str = "") -> TuningJobs:
        """Return a page of the account's tuning jobs.

        Args:
            containing: a part of their names; empty for all.
            token: the token of the page, from the page before it.
        """

        def ask() -> TuningJobs:
            wanted = {"NameContains": containing, "NextToken": token}
            answer = self._sagemaker.list_hyper_parameter_tuning_jobs(
                SortBy="CreationTime", SortOrder="Descending", MaxResults=25,
                **{name: value for name, value in wanted.items() if value},
            )  # fmt: skip
            return TuningJobs(
                summaries=answer["HyperParameterTuningJobSummaries"],
                next_token=answer.get("NextToken", ""),
            )

        return self._asked(("tuning jobs", containing, token), ask)

    def tuning_job(self, name: str) -> Record:
        """Return the description of a tuning job.

        Raises:
            NotFound: the tuning job does not exist.
        """
        return self._asked(
            ("tuning job", name),
            lambda: self._sagemaker.describe_hyper_parameter_tuning_job(
                HyperParameterTuningJobName=name
            ),
            settled=lambda job: job["HyperParameterTuningJobStatus"] not in RUNNING,
        )

    def trials(self, tuning_job: str) -> list[Record]:
        """Return the summaries of a tuning job's training jobs, oldest first."""
        over = self.tuning_job(tuning_job)["HyperParameterTuningJobStatus"] not in RUNNING

        def ask() -> list[Record]:
            paginator = self._sagemaker.get_paginator(
                "list_training_jobs_for_hyper_parameter_tuning_job"
            )
            pages = paginator.paginate(
                HyperParameterTuningJobName=tuning_job, SortBy="CreationTime",
                SortOrder="Ascending", PaginationConfig={"PageSize": PAGE},
            )  # fmt: skip
            return [each for page in pages for each in page["TrainingJobSummaries"]]

        return self._asked(("trials", tuning_job, over), ask, settled=lambda _: over)

    def training_job(self, name: str) -> Record:
        """Return the description of a training job.

        Raises:
            NotFound: the training job does not exist.
        """
        return self._asked(
            ("training job", name),
            lambda: self._sagemaker.describe_training_job(TrainingJobName=name),
            settled=lambda job: job["TrainingJobStatus"] not in RUNNING,
        )

    def log(self, training_job: str) -> TrainingLog:
        """Return the log of a training job, which grows when it is read."""
        return self._recall.get(
            ("log", training_job),
            lambda: TrainingLog(self._logs, training_job),
            0,
            settled=lambda _: True,
        )

    def _requests(self) -> RequestList:
        try:
            teams = [self._team] if self._team else self._client.teams()
            capacity = self._client.capacity()
            forecast = Forecast(capacity, self._client.settings.deployment.teams)
        except (NotDeployed, NotReachable) as error:
            return RequestList(
                entries=[], capacity=None, forecast=Forecast(None, {}), note=str(error)
            )
        entries, notes = [], []
        for team in teams:
            try:
                entries += list(self._client.entries(team))
            except (NotDeployed, NotReachable) as error:
                notes.append(str(error))
        entries.sort(key=lambda entry: entry.accepted_at, reverse=True)
        return RequestList(
            entries=entries, capacity=capacity, forecast=forecast, note="; ".join(notes)
        )

    def _asked(
        self,
        question: tuple[object, ...],
        ask: Callable[[], T],
        settled: Callable[[T], bool] = lambda _: False,
    ) -> T:
        try:
            return self._recall.get(question, ask, FRESH, settled=settled)
        except ClientError as error:
            said = error.response.get("Error", {})
            what = f"{error.operation_name}: {said.get('Message', error)}"
            missing = said.get("Code", "").startswith("ResourceNotFound")
            if missing or "not found" in str(said.get("Message", "")).lower():
                raise NotFound(what) from None
            raise NotReachable(what) from None
        except BotoCoreError as error:
            raise NotReachable(str(error)) from None

    @cached_property
    def _sagemaker(self) -> Any:
        return self._session.client("sagemaker", config=PATIENT)

    @cached_property
    def _logs(self) -> CloudWatchLogsClient:
        return self._session.client("logs", config=INTERACTIVE)
