"""The account that the pages show, read only through ``hpoq.client`` and boto3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from hpo_dispatcher.contract.targets.resources import HOME
from hpoq.botocore_config import PATIENT
from hpoq.client import Client, explanation
from hpoq.errors import NotFound
from hpoq.ui.background import Background, Pending
from hpoq.ui.descriptions import Record
from hpoq.ui.ledger_view import FRESH, LedgerView
from hpoq.ui.log import TrainingLog
from hpoq.ui.recall import Recall

T = TypeVar("T")

PAGE = 100  # the maximum of SageMaker's list operations
RUNNING = ("InProgress", "Stopping")


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
        self.client = Client(deployment, session)
        self._recall = Recall()
        self.deployment = deployment
        self.background = Background()
        self.ledger = LedgerView(self.client, team, self.background)

    @property
    def name(self) -> str:
        """The Region, or the endpoint if it is not AWS.

        Raises:
            NotReachable: no Region is set.
        """
        endpoint = self._sagemaker.meta.endpoint_url
        amazon = "amazonaws.com" in endpoint
        return str(self._session.region_name if amazon else endpoint.partition("://")[2])

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

    def tuning_job(self, name: str, target: str = HOME) -> Record:
        """Return the description of a tuning job of a target.

        Raises:
            NotFound: the tuning job does not exist.
            NotReachable: the user has no access to the target.
        """
        sagemaker = self._sagemaker_on(target)
        return self._asked(
            ("tuning job", name, target),
            lambda: sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name),
            settled=lambda job: job["HyperParameterTuningJobStatus"] not in RUNNING,
        )

    def trials(self, tuning_job: str, target: str = HOME) -> list[Record]:
        """Return the summaries of a tuning job's training jobs, oldest first."""
        sagemaker = self._sagemaker_on(target)
        over = self.tuning_job(tuning_job, target)["HyperParameterTuningJobStatus"] not in RUNNING

        def ask() -> list[Record]:
            paginator = sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
            pages = paginator.paginate(
                HyperParameterTuningJobName=tuning_job, SortBy="CreationTime",
                SortOrder="Ascending", PaginationConfig={"PageSize": PAGE},
            )  # fmt: skip
            return [each for page in pages for each in page["TrainingJobSummaries"]]

        return self._asked(("trials", tuning_job, target, over), ask, settled=lambda _: over)

    def training_job(self, name: str, target: str = HOME) -> Record:
        """Return the description of a training job of a target.

        Raises:
            NotFound: the training job does not exist.
            NotReachable: the user has no access to the target.
        """
        sagemaker = self._sagemaker_on(target)
        return self._asked(
            ("training job", name, target),
            lambda: sagemaker.describe_training_job(TrainingJobName=name),
            settled=lambda job: job["TrainingJobStatus"] not in RUNNING,
        )

    def newest_tuning_jobs(self) -> Pending[TuningJobs]:
        """Return the first page of tuning jobs."""
        return self.background.ask("tuning jobs", lambda _: self.tuning_jobs(), FRESH)

    def log(self, training_job: str, target: str = HOME) -> TrainingLog:
        """Return the log of a training job of a target, which grows when it is read."""
        return self._recall.get(
            ("log", training_job, target),
            lambda: TrainingLog(self.client.on(target).service("logs"), training_job),
            0,
            settled=lambda _: True,
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
            missing = said.get("Code", "").startswith("ResourceNotFound")
            # DescribeTrainingJob has a ValidationException, "Requested resource not found."
            if missing or "not found" in str(said.get("Message", "")).lower():
                raise NotFound(f"{error.operation_name}: {said.get('Message', error)}") from None
            raise explanation(error, "SageMaker") from None
        except BotoCoreError as error:
            raise explanation(error, "SageMaker") from None

    @property
    def _sagemaker(self) -> Any:
        return self._sagemaker_on(HOME)

    def _sagemaker_on(self, target: str) -> Any:
        return self.client.on(target).service("sagemaker", PATIENT)
