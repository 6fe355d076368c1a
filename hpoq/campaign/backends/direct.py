"""A campaign without a queue: tuning jobs are created from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpo_dispatcher.aws.sagemaker import SageMakerTuning
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.request import TuningRequest, parse_fields
from hpo_dispatcher.contract.settings import Environment, Guardrails, Template
from hpo_dispatcher.ports import AtLimit, NameTaken, Refused
from hpo_dispatcher.tuning_job.build import build
from hpo_dispatcher.tuning_job.parents import Parent
from hpoq.campaign.backends.tuning_jobs import TuningJobs
from hpoq.campaign.errors import InvalidPlan, OtherCampaign
from hpoq.campaign.model import Plan
from hpoq.campaign.results.trial import Trial
from hpoq.campaign.running.messages import TAG_PLAN
from hpoq.campaign.running.schedule import JobState

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

    from hpoq.campaign.backends.interface import Message

TEAM = "direct"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a deployment would supply: the template and the account's own things."""

    template: Template
    environment: Environment
    image: str  # URI of the training image


class DirectAccount:
    """``Account`` on the SageMaker API alone.

    Args:
        sagemaker: client.
        target: template, image, role and bucket; None: what runs is only looked at or stopped.
    """

    queues = False

    def __init__(self, sagemaker: SageMakerClient, target: Target | None = None) -> None:
        self._tuning = SageMakerTuning(sagemaker)
        self.jobs = TuningJobs(sagemaker, TEAM)
        self._target = target
        self._plan: Plan | None = None

    def follow(self, plan: Plan) -> None:
        """See ``Account``."""
        self._plan = plan
        self.jobs.follow(plan)
        there = sorted(self.jobs.look())
        for number in there[:1] + there[-1:]:
            digest = self.jobs.tags(number).get(TAG_PLAN)
            check_digest(plan, number, digest)

    def look(self) -> dict[int, JobState]:
        """See ``Account``."""
        return self.jobs.look()

    def send(self, messages: Mapping[int, Message]) -> None:
        """See ``Account``. What the account has no room for is left for the next time."""
        for number, message in messages.items():
            made = self._tuning.create(self._api_request(message))
            match made:
                case AtLimit():
                    return
                case NameTaken(owner=owner):
                    raise OtherCampaign(
                        f"the name {self.jobs.name(number)} is taken by {owner}. "
                        "Give the campaign another name"
                    )
                case Refused(message=problem):
                    raise InvalidRequest(
                        message["request_id"], f"SageMaker refused it: {problem}", "Mend the plan"
                    )
            self.jobs.created(number)

    def best(self, number: int) -> float | None:
        """See ``Account``."""
        return self.jobs.best(number)

    def trials(self, number: int) -> Sequence[Trial]:
        """See ``Account``."""
        return self.jobs.trials(number)

    def stop(self, numbers: Sequence[int]) -> None:
        """See ``Account``."""
        for number in numbers:
            self._tuning.stop(self.jobs.name(number))
            self.jobs.stopping(number)

    def hold(self, numbers: Sequence[int], *, held: bool) -> None:
        """See ``Account``. Nothing is sent before it starts."""

    def _api_request(self, message: Message) -> dict[str, Any]:
        if self._target is None:
            raise InvalidPlan("a direct campaign starts nothing without a target. Give it one")
        request = parse_fields(message, "campaign")
        if not isinstance(request, TuningRequest):
            raise TypeError(message)
        return build(
            request.model_copy(update={"template": TEAM}),
            TEAM,
            self._target.template,
            Guardrails(),
            self._target.environment,
            image=self._target.image,
            parents=[self._parent(each) for each in request.warm_start_from],
        )

    def _parent(self, request_id: str) -> Parent:
        if self._plan is None:
            raise RuntimeError("follow() comes first")
        number = int(request_id.rsplit("-", 1)[1])
        job = self._plan.jobs[number - 1]
        return Parent(
            tuning_job_name=self.jobs.name(number),
            template=TEAM,  # the same for all, so that data and algorithm are identical
            training_jobs=job.trials,
        )


def check_digest(plan: Plan, number: int, digest: str | None) -> None:
    """A job that exists must be of this plan.

    Raises:
        OtherCampaign: it is not.
    """
    if digest != plan.digest(plan.jobs[number - 1]):
        raise OtherCampaign(
            f"a campaign {plan.campaign.name!r} exists that was made from another plan. "
            "Run the plan file it was made with, or give this one another name"
        )
