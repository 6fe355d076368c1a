"""The progress of a campaign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from hpo_dispatcher.contract.entry import Status
from hpoq.campaign.backends.job_state import JobState
from hpoq.campaign.campaign_plan import CampaignPlan

UNSUCCESSFUL = (Status.FAILED, Status.STOPPED, Status.CANCELLED, Status.REJECTED)


@dataclass(frozen=True, kw_only=True)
class CampaignProgress:
    """A campaign at one moment."""

    plan: CampaignPlan
    states: Mapping[int, JobState]  # by number; jobs not sent are missing
    best: float | None
    at: datetime
    paused: bool = False
    refusal: str = ""  # why no further tuning job starts within deadline and budget

    @property
    def done(self) -> int:
        """The number of completed trials."""
        return sum(state.completed for state in self.states.values())

    @property
    def running(self) -> int:
        """The number of trials that run now."""
        return sum(state.running for state in self.states.values())

    @property
    def failed(self) -> int:
        """The number of trials that failed or were stopped."""
        return sum(state.failed for state in self.states.values())

    @property
    def wave(self) -> int:
        """The latest wave that was started."""
        return max((self.plan.job(number).wave for number in self.states), default=1)

    @property
    def active(self) -> int:
        """The number of tuning jobs that were sent and have not ended."""
        return sum(not state.status.ended for state in self.states.values())

    @property
    def hopeless(self) -> bool:
        """Whether a tuning job has failed and no trial has completed: more would only cost."""
        failed = (Status.FAILED, Status.REJECTED)
        return not self.done and any(state.status in failed for state in self.states.values())

    @property
    def ended(self) -> bool:
        """Whether every tuning job of the plan has ended."""
        return len(self.states) == len(self.plan.jobs) and not self.active

    @property
    def problems(self) -> list[JobState]:
        """The jobs that ended without completing."""
        return [state for state in self.states.values() if state.status in UNSUCCESSFUL]
