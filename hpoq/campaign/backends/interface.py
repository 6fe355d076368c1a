"""What a campaign needs of an account, whether through the queue or directly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hpoq.campaign.backends.tuning_jobs import TuningJobs
from hpoq.campaign.model import Plan
from hpoq.campaign.results.trial import Trial
from hpoq.campaign.running.schedule import JobState

Message = Mapping[str, Any]


class Account(Protocol):
    """Where tuning jobs run. Everything may be repeated."""

    queues: bool  # what is sent may wait there for others, and starts by itself

    @property
    def jobs(self) -> TuningJobs:
        """SageMaker's side."""

    def follow(self, plan: Plan) -> None:
        """Look after the jobs of this plan from now on.

        Raises:
            OtherCampaign: the account holds a campaign of this name made from another plan.
        """

    def look(self) -> dict[int, JobState]:
        """Every job of the plan that was sent, by number."""

    def send(self, messages: Mapping[int, Message]) -> None:
        """Have jobs started, by number; fewer than all where the account is full."""

    def best(self, number: int) -> float | None:
        """The best objective of a job that has ended."""

    def trials(self, number: int) -> Sequence[Trial]:
        """All trials of a job that was sent."""

    def stop(self, numbers: Sequence[int]) -> None:
        """Cancel jobs, or stop them where they run."""

    def hold(self, numbers: Sequence[int], *, held: bool) -> None:
        """Keep jobs that were sent from starting, or let them again."""
