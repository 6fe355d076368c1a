"""The runner of a plan. To resume after any interruption it needs only the plan and the account."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from hpo_dispatcher.contract.entry import Status
from hpoq.campaign.backends.interface import Backend
from hpoq.campaign.backends.job_state import JobState
from hpoq.campaign.campaign_plan import CampaignPlan, PlannedJob
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.running.control import Control
from hpoq.campaign.running.goals import spending, within_goals
from hpoq.campaign.running.progress import CampaignProgress
from hpoq.campaign.running.schedule import due, predecessors
from hpoq.campaign.running.wave_messages import WaveMessages


@dataclass
class Runner:
    """The loop that starts a campaign's tuning jobs and follows them to their end.

    Attributes:
        plan: what to run.
        backend: where to run it.
        file: plan file, read again at each poll to pick up extensions; None: the plan is fixed.
        keep_goals: start no tuning job that would miss the plan's deadline or budget.
    """

    plan: CampaignPlan
    backend: Backend
    file: Path | None = None
    keep_goals: bool = True
    wait: Callable[[float], None] = time.sleep
    control: Control = field(init=False)
    _messages: WaveMessages = field(init=False)
    _refusal: str = field(default="", init=False)  # why the next tuning job may not start
    _held: set[int] = field(default_factory=set, init=False)
    _stopped: set[int] = field(default_factory=set, init=False)  # already asked to stop

    def __post_init__(self) -> None:
        self.control = Control(self.file)
        self._messages = WaveMessages(self.backend)

    def run(self, every: float = 30.0) -> Iterator[CampaignProgress]:
        """Run until the campaign has ended, was canceled or is hopeless; yield at each poll.

        Args:
            every: seconds between polls.

        Raises:
            OtherCampaign: the account holds a campaign of this name made from another plan.
        """
        self.backend.follow(self.plan)
        while True:
            self._reread()
            states = self.backend.poll()
            command = self.control.command
            yield (progress := self._progress(states, paused=command == "pause"))
            if progress.ended:
                return
            if command == "cancel":
                if self._cancel(states):
                    return
            elif command == "pause":
                self._hold(states)
            elif progress.hopeless:
                if not progress.active:
                    return
            else:
                self._release()
                self._stopped.clear()
                started = self._start(states)
                if self._refusal and not started and not progress.active:
                    yield replace(progress, refusal=self._refusal)
                    return
            self.wait(every)

    def send_wave(self) -> int:
        """Send the rest of the current wave and leave it to the queue.

        The order in which jobs take over slots is fixed beforehand, so this is slower than
        ``run`` (docs/decisions/0009), but no runner has to stay alive.

        Returns:
            How many tuning jobs were sent.

        Raises:
            InvalidPlan: the backend has no queue.
        """
        if not self.backend.queues:
            raise InvalidPlan("a direct campaign has no queue. Run it without detaching")
        self.backend.follow(self.plan)
        jobs = self._rest_of_wave(self.backend.poll())
        if jobs:
            self._send(jobs, predecessors(self.plan, jobs[0].wave))
        return len(jobs)

    def _start(self, states: Mapping[int, JobState]) -> int:
        """Start the jobs that are due and return how many."""
        jobs, self._refusal = self._within_goals(due(self.plan, states), states)
        if jobs:
            self._send(jobs, {})
        return len(jobs)

    def _within_goals(
        self, jobs: Sequence[PlannedJob], states: Mapping[int, JobState]
    ) -> tuple[Sequence[PlannedJob], str]:
        """Return the jobs that may start, and why the next one may not."""
        campaign = self.plan.campaign
        if not self.keep_goals or not jobs:
            return jobs, ""
        if campaign.budget is None and campaign.deadline_hours is None:
            return jobs, ""
        trials = [
            trial
            for number, state in states.items()
            if state.status.ended
            for trial in self._messages.trials_of(number)
        ]
        unfinished = sum(
            self.plan.job(number).trials
            for number, state in states.items()
            if not state.status.ended
        )
        began = self.backend.began
        hours = (datetime.now(UTC) - began).total_seconds() / 3600 if began else 0.0
        used = spending(self.plan, trials, unfinished=unfinished, hours=hours)
        return within_goals(self.plan, jobs, used)

    def _send(self, jobs: Sequence[PlannedJob], after: Mapping[int, Sequence[int]]) -> None:
        self.backend.send(self._messages.of(self.plan, jobs, after))

    def _rest_of_wave(self, states: Mapping[int, JobState]) -> list[PlannedJob]:
        """Return the unsent jobs of the current wave; none while an earlier wave still runs."""
        left = [job for job in self.plan.jobs if job.number not in states]
        if not left:
            return []
        wave = left[0].wave
        before = [s for s in states.values() if self.plan.job(s.number).wave < wave]
        if any(not state.status.ended for state in before):
            return []
        return [job for job in left if job.wave == wave]

    def _progress(self, states: Mapping[int, JobState], *, paused: bool) -> CampaignProgress:
        ended = [number for number, state in states.items() if state.status.ended]
        bests = [best for best in map(self.backend.best, ended) if best is not None]
        choose = max if self.plan.campaign.maximize else min
        return CampaignProgress(
            plan=self.plan,
            states=states,
            best=choose(bests) if bests else None,
            at=datetime.now(UTC),
            paused=paused,
            refusal=self._refusal,
        )

    def _cancel(self, states: Mapping[int, JobState]) -> bool:
        """Stop all jobs that have not ended; return whether none is left."""
        left = {number for number, state in states.items() if not state.status.ended}
        stoppable = {n for n in left if states[n].status is not Status.STOPPING} - self._stopped
        self.backend.stop(sorted(stoppable))
        self._stopped |= stoppable
        return not left

    def _hold(self, states: Mapping[int, JobState]) -> None:
        queued = {n for n, state in states.items() if state.status is Status.QUEUED} - self._held
        self.backend.hold(sorted(queued), held=True)
        self._held |= queued

    def _release(self) -> None:
        self.backend.hold(sorted(self._held), held=False)
        self._held.clear()

    def _reread(self) -> None:
        """Pick up an extension of the plan file."""
        if self.file is None:
            return
        saved = CampaignPlan.load(self.file)
        if saved != self.plan:
            self.plan = saved
            self.backend.follow(saved)
