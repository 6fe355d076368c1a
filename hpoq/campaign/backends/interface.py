"""What a campaign needs from the place where it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from hpoq.campaign.backends.job_state import JobState
from hpoq.campaign.backends.tuning_jobs import CampaignTuningJobs
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.results.trial import Trial

Message = Mapping[str, Any]


class Backend(Protocol):
    """The place where a campaign's tuning jobs run. Repeating a call is harmless."""

    queues: bool  # whether jobs that were sent may wait and then start by themselves

    @property
    def jobs(self) -> CampaignTuningJobs:
        """The campaign's tuning jobs in SageMaker."""

    @property
    def began(self) -> datetime | None:
        """The time when the first job was created, if known."""

    def follow(self, plan: CampaignPlan) -> None:
        """Read and control the jobs of this plan from now on.

        Raises:
            OtherCampaign: the account holds a campaign of this name made from another plan.
        """

    def poll(self) -> dict[int, JobState]:
        """Return the states of all jobs of the plan that were sent, by number."""

    def send(self, messages: Mapping[int, Message]) -> None:
        """Send jobs, by number; fewer than all if the account is full."""

    def best(self, number: int) -> float | None:
        """Return the best objective of a job that has ended."""

    def trials(self, number: int) -> Sequence[Trial]:
        """Return all trials of a job that was sent."""

    def target(self, number: int) -> str:
        """Return the target of a job that has started."""

    def jobs_on(self, target: str) -> CampaignTuningJobs:
        """Return the campaign's tuning jobs in SageMaker of a target."""

    def stop(self, numbers: Sequence[int]) -> None:
        """Cancel queued jobs and stop running ones."""

    def hold(self, numbers: Sequence[int], *, held: bool) -> None:
        """Hold queued jobs so that they do not start, or release them."""
