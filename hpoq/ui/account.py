"""What the pages read of an account, through ``hpoq.client`` and boto3 alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from hpo_dispatcher.contract.capacity import CapacityDocument
from hpo_dispatcher.contract.entry import Entry
from hpoq.client import Client
from hpoq.errors import NotDeployed, NotFound, NotReachable
from hpoq.forecast import Forecast
from hpoq.ui.log import Log
from hpoq.ui.recall import Recall

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

T = TypeVar("T")
Record = dict[str, Any]

FRESH = 2.0  # seconds that an answer is good for
PAGE = 100  # of SageMaker's lists, at most
RUNNING = ("InProgress", "Stopping")


@dataclass(frozen=True, kw_only=True)
class Requests:
    """What the deployment says."""

    entries: Sequence[Entry]  # the newest first
    capacity: CapacityDocument | None  # as published by the last cycle
    forecast: Forecast  # made from it
    note: str = ""  # why there is nothing, or not all


@dataclass(frozen=True, kw_only=True)
class TuningJobs:
    """A page of the account's tuning jobs, the newest first."""

    summaries: Sequence[Record]
    next_token: str


class Account:
    """One account, as its owner may see it.

    Args:
        session: leads to it.
        deployment: name of the hpoq deployment in it; there may be none.
        team: whose requests are shown; None: those of every team.
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
        """Where it is.

        Raises:
            NotReachable: no Region is set.
        """
        try:
            endpoint = self._sagemaker.meta.endpoint_url
        except BotoCoreError as error:
            raise NotReachable(f"{error} Set AWS_DEFAULT_REGION") from None
        amazon = "amazonaws.com" in endpoint
        return str(self._session.region_name if amazon else endpoint.partition("://")[2])

    def requests(self) -> Requests:
        """Every request of the deployment, and what each waits for."""
        return self._recall.get("requests", self._requests, FRESH)

    def request(self, team: str, request_id: str) -> Entry:
        """One request, with its tuning job's counters.

        Raises:
            NotFound: there is none.
        """

        def ask() -> Entry:
            return self._client.live(self._client.get(team, request_id))

        return self._recall.get(
            ("request", team, request_id), ask, FRESH, settled=lambda entry: entry.status.ended
        )

    def tuning_jobs(self, containing: str = "", token: str = "") -> TuningJobs:
        """A page of them.

        Args:
            containing: a part of their names; empty: all.
            token: of the page, from the one before it.
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
        """As described.

        Raises:
            NotFound: there is none.
        """
        return self._asked(
            ("tuning job", name),
            lambda: self._sagemaker.describe_hyper_parameter_tuning_job(
                HyperParameterTuningJobName=name
            ),
            settled=lambda job: job["HyperParameterTuningJobStatus"] not in RUNNING,
        )

    def trials(self, tuning_job: str) -> list[Record]:
        """Summaries of a tuning job's training jobs, in the order of their creation."""
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
        """As described.

        Raises:
            NotFound: there is none.
        """
        return self._asked(
            ("training job", name),
            lambda: self._sagemaker.describe_training_job(TrainingJobName=name),
            settled=lambda job: job["TrainingJobStatus"] not in RUNNING,
        )

    def log(self, training_job: str) -> Log:
        """What a training job has said; grows as it is read."""
        return self._recall.get(
            ("log", training_job), lambda: Log(self._logs, training_job), 0, settled=lambda _: True
        )

    def _requests(self) -> Requests:
        try:
            teams = [self._team] if self._team else self._client.teams()
            capacity = self._client.capacity()
            forecast = Forecast(capacity, self._client.settings.deployment.teams)
        except (NotDeployed, NotReachable) as error:
            return Requests(entries=[], capacity=None, forecast=Forecast(None, {}), note=str(error))
        entries, notes = [], []
        for team in teams:
            try:
                entries += list(self._client.entries(team))
            except (NotDeployed, NotReachable) as error:
                notes.append(str(error))
        entries.sort(key=lambda entry: entry.accepted_at, reverse=True)
        return Requests(
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
        config = Config(retries={"mode": "adaptive"}, user_agent_extra="hpoq")
        return self._session.client("sagemaker", config=config)

    @cached_property
    def _logs(self) -> CloudWatchLogsClient:
        return self._session.client("logs", config=Config(user_agent_extra="hpoq"))
