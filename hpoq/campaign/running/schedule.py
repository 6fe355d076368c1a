"""Which jobs of a plan start next. Pure.

A tuning job that drains is counted by the trials it still runs, not by its maximum: its free
places go to the next job at once.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

from hpo_dispatcher.contract.entry import Status
from hpoq.campaign.model import Plan, PlannedJob


@dataclass(frozen=True, kw_only=True)
class JobState:
    """One tuning job of a campaign, as the account has it."""

    number: int
    status: Status
    completed: int = 0
    running: int = 0
    failed: int = 0  # failed, or stopped
    reason: str = ""  # why it waits or failed

    @property
    def finished(self) -> int:
        """Trials that have ended, well or not."""
        return self.completed + self.failed


States = Mapping[int, JobState]  # by number; jobs not sent are missing
_Free = tuple[int, int | None]  # how many, and which job had them


def held(job: PlannedJob, state: JobState) -> int:
    """Slots that a job still needs."""
    if state.status.ended:
        return 0
    return min(job.parallel, max(state.running, job.trials - state.finished))


def due(plan: Plan, states: States) -> list[PlannedJob]:
    """Jobs to start now, in plan order.

    A wave starts when all jobs before it have ended. Within a wave the next job starts as soon
    as there are slots for all of its parallelism.
    """
    active = [state for state in states.values() if not state.status.ended]
    free = plan.slots - sum(held(plan.jobs[each.number - 1], each) for each in active)
    room = plan.campaign.limits.tuning_jobs - len(active)
    busy_wave = min((plan.jobs[each.number - 1].wave for each in active), default=None)
    found: list[PlannedJob] = []
    for job in plan.jobs:
        if job.number in states:
            continue
        if busy_wave is None:
            busy_wave = job.wave
        if job.wave != busy_wave or room < 1 or job.parallel > free:
            break
        found.append(job)
        free -= job.parallel
        room -= 1
    return found


def predecessors(plan: Plan, wave: int) -> dict[int, tuple[int, ...]]:
    """For each job of a wave, the jobs that have to end first so that the slots suffice.

    For a queue, which starts whatever is ready: slots are handed from job to job. Which job
    hands over to which is decided as if all trials took the same time.
    """
    free: list[_Free] = [(plan.slots, None)]
    places: list[_Free] = [(plan.campaign.limits.tuning_jobs, None)]
    running: list[tuple[float, int, int]] = []  # end, number, parallel
    now = 0.0
    found: dict[int, tuple[int, ...]] = {}
    for job in plan.wave(wave):
        while sum(count for count, _ in free) < job.parallel or not places:
            now, number, parallel = heapq.heappop(running)
            free.append((parallel, number))
            places.append((1, number))
        owners = _take(free, job.parallel) | _take(places, 1)
        found[job.number] = tuple(sorted(owners))
        heapq.heappush(running, (now + job.trials / job.parallel, job.number, job.parallel))
    return found


def _take(free: list[_Free], wanted: int) -> set[int]:
    """Take slots, first freed first; returns who had them."""
    owners: set[int] = set()
    while wanted:
        count, owner = free.pop(0)
        taken = min(count, wanted)
        wanted -= taken
        if owner is not None:
            owners.add(owner)
        if count > taken:
            free.insert(0, (count - taken, owner))
    return owners
