"""The third step of a cycle: gathers a snapshot, and plans starts, waits and preemptions."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hpo_dispatcher.contract.documents.capacity import WaitKind, WaitReason
from hpo_dispatcher.contract.entry import Entry, Key, RunningEntry, Status, month_of
from hpo_dispatcher.contract.errors import Unreadable
from hpo_dispatcher.contract.settings import Limits, TeamSettings
from hpo_dispatcher.cycle.intake.team_actions import teams_on_hold
from hpo_dispatcher.cycle.outcome import Decision, Observation
from hpo_dispatcher.ports import Documents, Quotas, Requests, TuningJob, TuningService
from hpo_dispatcher.scheduling.backoff import Backoff
from hpo_dispatcher.scheduling.budget import (
    Budget,
    budgets,
    over_budget,
    spent_by,
    with_other_waits,
)
from hpo_dispatcher.scheduling.plan import Plan, plan
from hpo_dispatcher.scheduling.snapshot import (
    Capacity,
    Head,
    ReservationTimer,
    RunningJob,
    Snapshot,
)

# Heads of each team whose reason to wait is published, beyond those that start.
EXPLAINED_HEADS = 10
# Examined behind requests that exceed their team's budget, for smaller ones that fit.
BUDGETED_HEADS = 200
OTHER_JOBS = "other-jobs"
# How old the quotas may be. AWS may have raised one of which a request needs more.
QUOTAS_READ = timedelta(days=1)
QUOTAS_READ_IF_TOO_SMALL = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Decider:
    """The third step of a cycle, which gathers a snapshot and plans by it."""

    teams: Mapping[str, TeamSettings]
    limits: Limits
    requests: Requests
    documents: Documents
    tuning: TuningService
    quotas: Quotas
    clock: Callable[[], datetime]

    def decide(
        self,
        seen: Observation,
        accepted: Sequence[Entry],
        reservation_timers: Mapping[Key, ReservationTimer],
        backoff: Backoff,
    ) -> Decision:
        """Decide which requests start, which jobs are preempted, and which requests wait.

        Heads are read without their requests. A planned start whose request cannot be read is left
        out, and its capacity goes to others.

        Args:
            seen: the jobs that use capacity.
            accepted: entries that this cycle has added to the queues.
            reservation_timers: as the last cycle left them.
            backoff: as the last cycle left it.
        """
        unreadable: dict[Key, str] = {}
        while True:
            decided = self._decide(seen, accepted, reservation_timers, backoff, unreadable)
            found = _unreadable(decided)
            if not found:
                return replace(decided, problems=tuple(unreadable.values()))
            unreadable |= found

    def _decide(
        self,
        seen: Observation,
        accepted: Sequence[Entry],
        reservation_timers: Mapping[Key, ReservationTimer],
        backoff: Backoff,
        left_out: Collection[Key],
    ) -> Decision:
        running_jobs = self._running_jobs(seen)
        free = max(0, self.limits.tuning_jobs - len(running_jobs)) + EXPLAINED_HEADS
        on_hold = teams_on_hold(self.documents)
        # Delayed requests must not hide those behind them.
        counts = {team: free + backoff.of_team(team) for team in self.teams if team not in on_hold}
        queues = {
            team: self._queue(team, count, accepted, left_out) for team, count in counts.items()
        }
        whole = {team for team, queue in queues.items() if len(queue) < counts[team]}
        backoff = self._still_queued(backoff.seen_with(running_jobs), queues)
        of_teams = self._budgets(seen)
        delayed = backoff.waits(queues, self.clock())
        over: dict[Key, WaitReason] = {}
        for team in of_teams.keys() & queues.keys():
            over |= over_budget(_without(delayed, queues[team]), of_teams[team])
            if team not in whole and any(key[0] == team for key in over):
                deeper = counts[team] + BUDGETED_HEADS
                queues[team] = self._queue(team, deeper, accepted, left_out)
                delayed |= backoff.waits({team: queues[team]}, self.clock())
                over |= over_budget(_without(delayed, queues[team]), of_teams[team])
                whole |= {team} if len(queues[team]) < deeper else set()
        waiting = over | delayed
        heads = {team: [_head(entry) for entry in queue] for team, queue in queues.items()}
        snapshot = Snapshot(
            now=self.clock(),
            running_jobs=running_jobs,
            queues={
                team: [head for head in queue if head.key not in waiting]
                for team, queue in heads.items()
            },
            reservation_timers=reservation_timers,
            promised=frozenset(job.preempted_for for job in seen.active if job.preempted_for),
        )
        capacity, planned = self._plan(snapshot)
        timers = {key: reservation_timers[key] for key in delayed if key in reservation_timers}
        planned = replace(planned, reservation_timers={**planned.reservation_timers, **timers})
        return Decision(
            plan=with_other_waits(planned, heads, waiting),
            capacity=capacity,
            entries={entry.key: entry for queue in queues.values() for entry in queue},
            queues=queues,
            whole=whole,
            teams_on_hold=on_hold,
            running_jobs=running_jobs,
            budgets=of_teams,
            backoff=backoff,
        )

    def _still_queued(self, backoff: Backoff, queues: Mapping[str, Sequence[Entry]]) -> Backoff:
        """Forget delayed requests that were cancelled, put on hold or have ended."""
        heads = {entry.key for queue in queues.values() for entry in queue}
        unseen = sorted(backoff.requests.keys() - heads)
        if not unseen:
            return backoff
        found = self.requests.get_all(unseen)
        return backoff.without(key for key in unseen if key not in found or not found[key].in_queue)

    def _running_jobs(self, seen: Observation) -> list[RunningJob]:
        ours = {job.tuning_job_name: job for job in seen.active}
        gone = {job.tuning_job_name for job, _ in seen.ended}
        names = (set(seen.listed) | set(ours)) - gone
        others = self._others(names - set(ours))
        return [
            _running_job(name, ours.get(name), others, seen.listed.get(name))
            for name in sorted(names)
        ]

    def _others(self, names: AbstractSet[str]) -> Mapping[str, Mapping[str, int]]:
        """Return the instances of tuning jobs of others; describe each of these jobs once."""
        document = self.documents.get(OTHER_JOBS) if names else None
        known: dict[str, dict[str, int]] = json.loads(document or "{}")
        new = {name: dict(self.tuning.instances(name)) for name in sorted(names - set(known))}
        if new:
            kept = {name: known[name] for name in names & set(known)} | new
            self.documents.put(OTHER_JOBS, json.dumps(kept))
            return kept
        return known

    def _queue(
        self, team: str, count: int, accepted: Sequence[Entry], left_out: Collection[Key]
    ) -> Sequence[Entry]:
        """Return the heads of a queue, with entries of this cycle that the index may lack."""
        entries = {entry.key: entry for entry in self.requests.heads(team, count + len(left_out))}
        entries |= {entry.key: entry for entry in accepted if entry.team == team}
        queue = sorted(entries.values(), key=lambda e: (-e.priority, e.accepted_at, e.request_id))
        return [entry for entry in queue if entry.key not in left_out][:count]

    def _budgets(self, seen: Observation) -> Mapping[str, Budget]:
        """Return the teams' budgets, read after the running jobs so that no end is missed."""
        teams, now = self.teams, self.clock()
        if all(settings.monthly_instance_hours is None for settings in teams.values()):
            return {}
        ended = {job.tuning_job_name for job, _ in seen.ended}
        return budgets(
            teams,
            self.requests.spent(month_of(now)),
            [job for job in seen.active if job.tuning_job_name not in ended],
            [spent_by(job, detail.ended_at or now) for job, detail in seen.ended],
            now,
        )

    def _plan(self, snapshot: Snapshot) -> tuple[Capacity, Plan]:
        """Plan within the quotas; read them again soon where they are too small for a request."""
        capacity = self._capacity(QUOTAS_READ)
        planned = plan(snapshot, capacity, self.teams)
        if any(wait.reason.kind is WaitKind.NEVER_FITS for wait in planned.waits):
            newer = self._capacity(QUOTAS_READ_IF_TOO_SMALL)
            if newer != capacity:
                return newer, plan(snapshot, newer, self.teams)
        return capacity, planned

    def _capacity(self, max_age: timedelta) -> Capacity:
        """Return the quotas, replaced by the settings, without the headroom for others."""
        limits = self.limits
        instances = {**self.quotas.training_instances(max_age), **limits.instances}
        for resource, spared in limits.headroom.items():
            if resource in instances:
                instances[resource] = max(0, instances[resource] - spared)
        return Capacity(tuning_jobs=limits.tuning_jobs, instances=instances)


def _without(delayed: Collection[Key], queue: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in queue if entry.key not in delayed]


def _unreadable(decided: Decision) -> dict[Key, str]:
    """Return the planned starts whose requests cannot be read, with the problem of each."""
    found: dict[Key, str] = {}
    for head in decided.plan.starts:
        try:
            _ = decided.entries[head.key].request
        except Unreadable as error:
            found[head.key] = str(error)
    return found


def _running_job(
    name: str,
    ours: RunningEntry | None,
    others: Mapping[str, Mapping[str, int]],
    listed: TuningJob | None,
) -> RunningJob:
    instances = ours.instances if ours else others.get(name, {})
    in_use = listed.in_use(instances) if listed else instances
    stopping = listed is not None and listed.status is Status.STOPPING
    if ours is None:
        return RunningJob(tuning_job_name=name, team=None, instances=in_use, stopping=stopping)
    return RunningJob(
        tuning_job_name=name,
        team=ours.team,
        instances=in_use,
        request_id=ours.request_id,
        priority=ours.priority,
        started_at=ours.started_at,
        resume_blocker=ours.resume_blocker if listed else "it is about to be created",
        resumed=ours.resumed,
        stopping=stopping or ours.status is Status.STOPPING,
        preempted_for=ours.preempted_for,
    )


def _head(entry: Entry) -> Head:
    return Head(
        team=entry.team,
        request_id=entry.request_id,
        priority=entry.priority,
        accepted_at=entry.accepted_at,
        instances=entry.instances,
    )
