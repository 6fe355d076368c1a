"""Preemption: which running jobs are stopped to make room, and for which heads. Pure.

Two claims justify a stop (docs/admission.md, docs/decisions/0012):

1. A head that its team's guarantee covers takes back what other teams borrowed.
2. A head takes the place of a running request of its own team that has a lower priority.

Only jobs of ``preemptible`` teams are stopped, and of those only jobs that can resume later
without repeating a training job that has ended. Jobs are stopped only if that lets the head
start, and no more of them than that takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from hpo_dispatcher.contract.entry import Key
from hpo_dispatcher.scheduling import wording
from hpo_dispatcher.scheduling.allocation import ROUNDING, Allocation
from hpo_dispatcher.scheduling.snapshot import Head, RunningJob, Snapshot

# How long a resumed job runs at least before it is stopped again.
RUNS_FOR = timedelta(hours=1)
NAMED = 3  # jobs that cannot be stopped, in the notes of one head


@dataclass(frozen=True, kw_only=True)
class Stop:
    """A running job to stop, and the head that gets its capacity."""

    job: RunningJob
    head: Head


@dataclass(frozen=True, kw_only=True)
class PreemptionPlan:
    """The jobs to stop, and notes for the reasons of the heads concerned."""

    stops: tuple[Stop, ...] = ()
    notes: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)


def preempt(
    snapshot: Snapshot,
    allocation: Allocation,
    waiting: Iterable[Head],
    guaranteed: Collection[Key],
    in_order: Callable[[Head], Sequence[Head]] = lambda head: head.placements,
) -> PreemptionPlan:
    """Decide which running jobs are stopped for heads that would otherwise wait.

    Args:
        snapshot: the snapshot of the plan.
        allocation: with the plan's starts and reservations entered; changed in place.
        waiting: the heads that do not start, in queue order.
        guaranteed: the keys of those that their teams' guarantees covered.
        in_order: returns the placements of a head on targets, the best first.
    """
    if not any(
        job.team and allocation.settings(job.team).preemptible for job in snapshot.running_jobs
    ):
        return PreemptionPlan()
    search = _PreemptionSearch(snapshot, allocation, frozenset(guaranteed), in_order)
    return search.of([*waiting])


class _PreemptionSearch:
    """The stops of one plan as they are decided, head by head."""

    def __init__(
        self,
        snapshot: Snapshot,
        allocation: Allocation,
        guaranteed: frozenset[Key],
        in_order: Callable[[Head], Sequence[Head]],
    ) -> None:
        self._in_order = in_order
        self._now = snapshot.now
        self._allocation = allocation
        self._guaranteed = guaranteed
        self._besides: dict[str, Counter[str]] = {}  # by team: guaranteed heads before this one
        self._stopping = [job for job in snapshot.running_jobs if job.stopping]
        staying = [job for job in snapshot.running_jobs if job.team and not job.stopping]
        self._preemptible = [
            job for job in staying if job.team and allocation.settings(job.team).preemptible
        ]
        covered = covered_by_guarantees(staying, allocation)
        self._borrowed = [job for job in self._preemptible if job.tuning_job_name not in covered]
        self._stops: dict[str, Stop] = {}  # by tuning job name
        self._notes: dict[Key, list[str]] = {}

    def of(self, waiting: list[Head]) -> PreemptionPlan:
        for job in self._stopping:  # counts as free: no other job is stopped for the same head
            self._allocation.release(job)
            if job.preempted_for:
                self._note(job.preempted_for, wording.being_stopped(job.team, job.request_id))
        waiting.sort(key=lambda head: head.key not in self._guaranteed)
        for head in waiting:
            placements = self._in_order(head)
            claimed = [each for each in placements if self._is_covered(each)]
            for placed in placements:
                candidates = self._candidates(placed, placed in claimed)
                if not candidates or self._allocation.impossible(placed):
                    continue
                if self._make_room(placed, candidates):
                    claimed = [placed] if placed in claimed else []
                    break
            if claimed:  # of several, the first: a head uses the guarantee once
                self._besides.setdefault(head.team, Counter()).update(claimed[0].needs)
        return PreemptionPlan(
            stops=tuple(self._stops.values()),
            notes={key: tuple(notes) for key, notes in self._notes.items()},
        )

    def _is_covered(self, head: Head) -> bool:
        """Return whether the guarantee covers a placed head, besides those before it."""
        besides = self._besides.get(head.team, Counter[str]())
        guaranteed = head.key in self._guaranteed
        return guaranteed and self._allocation.within_guarantee(head, besides)

    def _candidates(self, head: Head, is_covered: bool) -> list[RunningJob]:
        """Return the jobs that a head has a claim on, whether or not they can be stopped."""
        found: list[RunningJob] = []
        if is_covered:
            found += [job for job in self._borrowed if job.team != head.team]
        found += [
            job
            for job in self._preemptible
            if job.team == head.team and job.priority < head.priority
        ]
        return [
            job
            for job in found
            if job.tuning_job_name not in self._stops and job.target == head.target
        ]

    def _make_room(self, head: Head, candidates: list[RunningJob]) -> bool:
        """Stop jobs for a placed head; return False if that cannot make room for it."""
        allocation = self._allocation
        lacking = {*allocation.lacking(head)} if allocation.within_ceiling(head) else None
        useful = [job for job in candidates if lacking is None or lacking & job.needs.keys()]
        able = [job for job in useful if not self._resume_blocker(job)]
        chosen = self._fewest(head, able)
        if chosen is None:
            for job in [each for each in useful if each not in able][:NAMED]:
                note = wording.not_stopped(job.team, job.request_id, self._resume_blocker(job))
                self._note(head.key, note)
            return False
        allocation.reserve_freed(head)  # the next head must not count on the same capacity
        for job in chosen:
            self._stops[job.tuning_job_name] = Stop(job=job, head=head)
            self._note(head.key, wording.will_be_stopped(job.team, job.request_id))
        return True

    def _fewest(self, head: Head, able: list[RunningJob]) -> list[RunningJob] | None:
        """Return the fewest jobs, taken in order, that let a head fit; None if all do not."""
        left, chosen = [*able], list[RunningJob]()
        while not self._fits(head):
            if not left:
                for job in chosen:
                    self._allocation.restore(job)
                return None
            job = self._next(left, head)
            left.remove(job)
            self._allocation.release(job)
            chosen.append(job)
        for job in chosen[-2::-1]:  # the last one is needed: the head did not fit without it
            self._allocation.restore(job)
            if self._fits(head):
                chosen.remove(job)
            else:
                self._allocation.release(job)
        return chosen

    def _fits(self, head: Head) -> bool:
        return not self._allocation.lacking(head) and self._allocation.within_ceiling(head)

    def _next(self, left: list[RunningJob], head: Head) -> RunningJob:
        """Choose the next job to stop.

        Jobs of other teams come first, then those of the team with the largest share for its
        weight; within a team, the lowest priority, then the youngest.
        """
        firsts: dict[str | None, RunningJob] = {}
        for job in left:
            first = firsts.get(job.team)
            if first is None or _order(job) < _order(first):
                firsts[job.team] = job
        return min(
            firsts.values(),
            key=lambda job: (job.team == head.team, -self._weighted(job.team), *_order(job)[1:]),
        )

    def _weighted(self, team: str | None) -> float:
        return self._allocation.share(team) / self._allocation.settings(team or "").weight

    def _resume_blocker(self, job: RunningJob) -> str:
        """Return why a job cannot be stopped now; empty if it can."""
        if job.resume_blocker or job.started_at is None:
            return job.resume_blocker
        until = job.started_at + RUNS_FOR
        return wording.already_stopped(until) if job.resumed and self._now < until else ""

    def _note(self, key: Key, text: str) -> None:
        self._notes.setdefault(key, []).append(text)


def covered_by_guarantees(jobs: Iterable[RunningJob], allocation: Allocation) -> set[str]:
    """Return the jobs within their teams' guarantees: the oldest that fit into them together."""
    covered: set[str] = set()
    in_use: dict[str, Counter[str]] = {}
    for job in sorted(jobs, key=lambda each: (_started(each), each.tuning_job_name)):
        if job.team is None:
            continue
        guaranteed = allocation.settings(job.team).guaranteed_share
        of_team = in_use.setdefault(job.team, Counter())
        if all(
            of_team[r] + n <= guaranteed * allocation.limits[r] + ROUNDING
            for r, n in job.needs.items()
            if r in allocation.limits
        ):
            of_team.update(job.needs)
            covered.add(job.tuning_job_name)
    return covered


def _order(job: RunningJob) -> tuple[int, float, str]:
    return job.priority, -_started(job), job.tuning_job_name


def _started(job: RunningJob) -> float:
    return job.started_at.timestamp() if job.started_at else 0.0
