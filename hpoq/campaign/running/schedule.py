"""The choice of the jobs that start next. Pure.

A draining tuning job counts by the trials it still runs, not by its maximum, so its free slots go
to the next job at once.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from hpoq.campaign.backends.job_state import JobState
from hpoq.campaign.campaign_plan import CampaignPlan, PlannedJob

States = Mapping[int, JobState]  # by number; jobs not sent are missing
_Freed = tuple[int, int | None]  # number of slots, and the job that had them


def slots_of(job: PlannedJob, state: JobState) -> int:
    """Return the number of slots that a job still needs."""
    if state.status.ended:
        return 0
    return min(job.parallel, max(state.running, job.trials - state.finished))


def due(plan: CampaignPlan, states: States) -> list[PlannedJob]:
    """Return the jobs to start now, in plan order.

    A wave starts when all jobs before it have ended. Within a wave, the next job starts as soon
    as there are free slots for all of its parallelism.
    """
    active = [state for state in states.values() if not state.status.ended]
    free = plan.slots - sum(slots_of(plan.job(each.number), each) for each in active)
    free_jobs = plan.campaign.limits.tuning_jobs - len(active)
    wave = min((plan.job(each.number).wave for each in active), default=None)
    found: list[PlannedJob] = []
    for job in plan.jobs:
        if job.number in states:
            continue
        if wave is None:
            wave = job.wave
        if job.wave != wave or free_jobs < 1 or job.parallel > free:
            break
        found.append(job)
        free -= job.parallel
        free_jobs -= 1
    return found


def predecessors(plan: CampaignPlan, wave: int) -> dict[int, tuple[int, ...]]:
    """Return, for each job of a wave, the jobs that must end first to free its slots.

    A queue starts every job that is ready, so the order must be fixed in the requests. It is
    computed as if all trials took the same time.
    """
    free: list[_Freed] = [(plan.slots, None)]
    free_jobs: list[_Freed] = [(plan.campaign.limits.tuning_jobs, None)]
    running: list[tuple[float, int, int]] = []  # end, number, parallel
    now = 0.0
    found: dict[int, tuple[int, ...]] = {}
    for job in plan.wave(wave):
        while sum(count for count, _ in free) < job.parallel or not free_jobs:
            now, number, parallel = heapq.heappop(running)
            free.append((parallel, number))
            free_jobs.append((1, number))
        owners = _take(free, job.parallel) | _take(free_jobs, 1)
        found[job.number] = tuple(sorted(owners))
        heapq.heappush(running, (now + job.trials / job.parallel, job.number, job.parallel))
    return found


def _take(free: list[_Freed], wanted: int) -> set[int]:
    """Take slots, first freed first, and return the jobs that had them."""
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
