"""The backend that creates a campaign's tuning jobs itself, without a queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hpo_dispatcher.aws.sagemaker import SageMakerTuning
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.message import parse_fields
from hpo_dispatcher.contract.names import DIRECT, TAG_PLAN
from hpo_dispatcher.contract.request import API_NAME, SHORT_FORM, TuningRequest
from hpo_dispatcher.contract.settings import Limits
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.ports import (
    AccountFault,
    AtLimit,
    NameTaken,
    NotYetVisible,
    Refused,
    Untagged,
)
from hpo_dispatcher.tuning_job.build import build
from hpo_dispatcher.tuning_job.parents import Parent
from hpoq.campaign.backends.job_state import JobState
from hpoq.campaign.backends.tuning_jobs import CampaignTuningJobs
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.errors import InvalidPlan, OtherCampaign
from hpoq.campaign.results.trial import Trial

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

    from hpoq.campaign.backends.interface import Message
    from hpoq.campaign.backends.target import Target

TEAM = DIRECT


class DirectBackend:
    """A ``Backend`` on the SageMaker API alone.

    Args:
        sagemaker: client.
        target: template, image, role and bucket; None: jobs can be read and stopped only.
    """

    queues = False

    def __init__(self, sagemaker: SageMakerClient, target: Target | None = None) -> None:
        self._tuning = SageMakerTuning(sagemaker)
        self.jobs = CampaignTuningJobs(sagemaker, TEAM)
        self._target = target
        self._plan: CampaignPlan | None = None

    @property
    def began(self) -> datetime | None:
        """The time when the first job was created, if known."""
        return self.jobs.began

    def follow(self, plan: CampaignPlan) -> None:
        """Read and control the jobs of this plan from now on.

        Raises:
            InvalidPlan: the request may not run at home.
        """
        named = plan.campaign.request.get("targets", [HOME])
        if HOME not in named:
            raise InvalidPlan(
                f"a direct campaign runs at home, but the request names {', '.join(named)}. "
                "Run it through the queue"
            )
        self._plan = plan
        self.jobs.follow(plan)
        existing = sorted(self.jobs.poll())
        for number in existing[:1] + existing[-1:]:
            plan.check_digest(number, self.jobs.tags(number).get(TAG_PLAN))

    def poll(self) -> dict[int, JobState]:
        """Return the states of all jobs of the plan that were sent, by number."""
        return self.jobs.poll()

    def send(self, messages: Mapping[int, Message]) -> None:
        """Send jobs, by number. Jobs that the account has no room for are sent again later."""
        for number, message in messages.items():
            made = self._tuning.create(self._api_request(message))
            match made:
                case AtLimit() | NotYetVisible() | Untagged():
                    return
                case AccountFault(message=problem):
                    raise InvalidRequest(
                        message["request_id"],
                        f"SageMaker cannot start it in this account: {problem}",
                        "Fix the role, the bucket or the key that it names, and run it again",
                    )
                case NameTaken(owner=owner):
                    raise OtherCampaign(
                        f"the name {self.jobs.name(number)} is taken by {owner}. "
                        "Give the campaign another name"
                    )
                case Refused(message=problem):
                    raise InvalidRequest(
                        message["request_id"], f"SageMaker rejected it: {problem}", "Fix the plan"
                    )
            self.jobs.created(number)

    def best(self, number: int) -> float | None:
        """Return the best objective of a job that has ended."""
        return self.jobs.best(number)

    def trials(self, number: int) -> Sequence[Trial]:
        """Return all trials of a job that was sent."""
        return self.jobs.trials(number)

    def target(self, number: int) -> str:
        """Return home: a direct campaign knows one account and Region."""
        return HOME

    def jobs_on(self, target: str) -> CampaignTuningJobs:
        """Return the campaign's tuning jobs in SageMaker."""
        return self.jobs

    def stop(self, numbers: Sequence[int]) -> None:
        """Cancel queued jobs and stop running ones."""
        for number in numbers:
            self._tuning.stop(self.jobs.name(number))
            self.jobs.stopping(number)

    def hold(self, numbers: Sequence[int], *, held: bool) -> None:
        """Do nothing: a direct campaign has no queued jobs."""

    def in_api_form(self, message: Message) -> dict[str, Any]:
        """Return a message in API form, with all that the template says."""
        built = self._api_request(message)
        queueing = {name: value for name, value in message.items() if name not in SHORT_FORM}
        left = {name: value for name, value in built.items() if name not in (API_NAME, "Tags")}
        return {**queueing, "api_request": left}

    @property
    def training_source(self) -> str:
        """The archive of the bundled scripts."""
        return self._target.environment.training_source if self._target else ""

    def _api_request(self, message: Message) -> dict[str, Any]:
        if self._target is None:
            raise InvalidPlan("a direct campaign needs a target to start tuning jobs. Give one")
        request = parse_fields(message, "campaign")
        if not isinstance(request, TuningRequest):
            raise TypeError(message)
        return build(
            request,
            TEAM,
            self._target.template,
            None,
            self._target.environment,
            image=self._target.image,
            template_name=TEAM,
            limits=Limits(),  # no optional parents
            parents=[self._parent(each) for each in request.warm_start_from],
        )

    def _parent(self, request_id: str) -> Parent:
        if self._plan is None:
            raise RuntimeError("follow() must be called first")
        number = int(request_id.rsplit("-", 1)[1])
        job = self._plan.job(number)
        return Parent(
            tuning_job_name=self.jobs.name(number),
            template=TEAM,  # the same for all, so that data and algorithm are identical
            training_jobs=job.trials,
        )
