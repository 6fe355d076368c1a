"""Runs a plan. All it needs to go on after any end is the plan and the account."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hpo_dispatcher.contract.entry import Status
from hpoq.campaign.backends.interface import Account, Message
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.model import Plan, PlannedJob
from hpoq.campaign.results.trial import Trial
from hpoq.campaign.running.control import Control
from hpoq.campaign.running.messages import message
from hpoq.campaign.running.narrowing import Ranges, narrowed
from hpoq.campaign.running.schedule import JobState, due, predecessors


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A campaign at one moment."""

    plan: Plan
    states: Mapping[int, JobState]
    best: float | None
    at: datetime
    paused: bool = False

    @property
    def done(self) -> int:
        """Trials completed."""
        return sum(state.completed for state in self.states.values())

    @property
    def running(self) -> int:
        """Trials that run now."""
        return sum(state.running for state in self.states.values())

    @property
    def failed(self) -> int:
        """Trials that failed or were stopped."""
        return sum(state.failed for state in self.states.values())

    @property
    def wave(self) -> int:
        """The wave that is being worked on."""
        sent = [self.plan.jobs[number - 1].wave for number in self.states]
        return max(sent, default=1)

    @property
    def active(self) -> int:
        """Tuning jobs that were sent and have not ended."""
        return sum(not state.status.ended for state in self.states.values())

    @property
    def hopeless(self) -> bool:
        """A tuning job has failed and no trial of any has completed: more would only cost."""
        failed = (Status.FAILED, Status.REJECTED)
        return not self.done and any(state.status in failed for state in self.states.values())

    @property
    def ended(self) -> bool:
        """Nothing runs, and nothing is left to start."""
        return len(self.states) == len(self.plan.jobs) and all(
            state.status.ended for state in self.states.values()
        )

    @property
    def problems(self) -> list[JobState]:
        """Jobs that ended otherwise than Completed."""
        bad = (Status.FAILED, Status.STOPPED, Status.CANCELLED, Status.REJECTED)
        return [state for state in self.states.values() if state.status in bad]


@dataclass
class Runner:
    """One process that sees a campaign through.

    Attributes:
        plan: what to run.
        account: where.
        file: of the plan, read again when it is extended; None: the plan stays as it is.
    """

    plan: Plan
    account: Account
    file: Path | None = None
    wait: Callable[[float], None] = time.sleep
    control: Control = field(init=False)
    _trials: dict[int, Sequence[Trial]] = field(default_factory=dict, init=False)
    _held: set[int] = field(default_factory=set, init=False)
    _stopped: set[int] = field(default_factory=set, init=False)  # were asked to

    def __post_init__(self) -> None:
        self.control = Control(self.file)

    def run(self, every: float = 30.0) -> Iterator[Progress]:
        """Work until all is done, cancelled or hopeless; one progress a look.

        Args:
            every: seconds between looks.

        Raises:
            OtherCampaign: the account holds a campaign of this name made from another plan.
        """
        self.account.follow(self.plan)
        while True:
            self._reread()
            states = self.account.look()
            word = self.control.word
            yield (progress := self._progress(states, paused=word == "pause"))
            if progress.ended:
                return
            if word == "cancel":
                if self._cancelled(states):
                    return
            elif word == "pause":
                self._hold(states)
            elif progress.hopeless:
                if not progress.active:
                    return
            else:
                self._release()
                self._stopped.clear()
                self._start(states)
            self.wait(every)

    def send_wave(self) -> int:
        """Send all that is left of the wave that is due, and leave it to the queue.

        In what order slots go from job to job is settled beforehand, so this is slower than
        ``run`` (docs/decisions/0009), but nobody needs to stay.

        Returns:
            How many tuning jobs were sent.

        Raises:
            InvalidPlan: there is no queue.
        """
        if not self.account.queues:
            raise InvalidPlan("a direct campaign cannot be left to a queue. Run it through one")
        self.account.follow(self.plan)
        states = self.account.look()
        jobs = self._whole_wave(states)
        if jobs:
            self._send(jobs, predecessors(self.plan, jobs[0].wave))
        return len(jobs)

    def _start(self, states: Mapping[int, JobState]) -> None:
        jobs = due(self.plan, states)
        if jobs:
            self._send(jobs, {})

    def _send(self, jobs: Sequence[PlannedJob], after: Mapping[int, Sequence[int]]) -> None:
        """Jobs of one wave."""
        parents = self._parents(jobs[0])
        ranges = self._ranges(jobs[0].wave) if any(not job.explores for job in jobs) else None
        messages: dict[int, Message] = {
            job.number: message(
                self.plan,
                job,
                ranges=None if job.explores else ranges,
                parents=parents,
                after=after.get(job.number, ()),
            )
            for job in jobs
        }
        self.account.send(messages)

    def _whole_wave(self, states: Mapping[int, JobState]) -> list[PlannedJob]:
        """The rest of a wave begun, or the next one once all before it have ended."""
        left = [job for job in self.plan.jobs if job.number not in states]
        if not left:
            return []
        wave = left[0].wave
        before = [s for s in states.values() if self.plan.jobs[s.number - 1].wave < wave]
        if any(not state.status.ended for state in before):
            return []
        return [job for job in left if job.wave == wave]

    def _parents(self, job: PlannedJob) -> list[PlannedJob]:
        """The best jobs of the wave before; those without result cannot teach."""
        if not job.parents:
            return []
        before = self.plan.wave(job.wave - 1)
        found = [(self.account.best(each.number), each) for each in before]
        having = [(best, each) for best, each in found if best is not None]
        having.sort(key=lambda pair: pair[0], reverse=self.maximize)
        return [each for _, each in having[: job.parents]]

    def _ranges(self, wave: int) -> Ranges:
        """Narrowed by all trials of all waves before."""
        trials = [
            trial
            for job in self.plan.jobs
            if job.wave < wave
            for trial in self._trials_of(job.number)
        ]
        full = self.plan.campaign.template_request.hyperparameter_ranges
        return narrowed(full, trials, maximize=self.maximize)

    def _trials_of(self, number: int) -> Sequence[Trial]:
        """Of a job that has ended; kept."""
        if number not in self._trials:
            self._trials[number] = self.account.trials(number)
        return self._trials[number]

    @property
    def maximize(self) -> bool:
        """Whether a greater objective is better."""
        return self.plan.campaign.maximize

    def _progress(self, states: Mapping[int, JobState], *, paused: bool) -> Progress:
        ended = [number for number, state in states.items() if state.status.ended]
        bests = [best for best in map(self.account.best, ended) if best is not None]
        choose = max if self.maximize else min
        return Progress(
            plan=self.plan,
            states=states,
            best=choose(bests) if bests else None,
            at=datetime.now(UTC),
            paused=paused,
        )

    def _cancelled(self, states: Mapping[int, JobState]) -> bool:
        """Stop what is left; True once nothing runs."""
        left = {number for number, state in states.items() if not state.status.ended}
        stoppable = {n for n in left if states[n].status is not Status.STOPPING} - self._stopped
        self.account.stop(sorted(stoppable))
        self._stopped |= stoppable
        return not left

    def _hold(self, states: Mapping[int, JobState]) -> None:
        queued = {n for n, state in states.items() if state.status is Status.QUEUED} - self._held
        self.account.hold(sorted(queued), held=True)
        self._held |= queued

    def _release(self) -> None:
        self.account.hold(sorted(self._held), held=False)
        self._held.clear()

    def _reread(self) -> None:
        """An extension is taken up while the campaign runs."""
        if self.file is None:
            return
        there = Plan.load(self.file)
        if there != self.plan:
            self.plan = there
            self.account.follow(there)
