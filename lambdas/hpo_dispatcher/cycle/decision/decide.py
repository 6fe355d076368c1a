"""Gathers a snapshot of the account and the queues, and plans by it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hpo_dispatcher.contract.documents.capacity import WaitKind, WaitReason
from hpo_dispatcher.contract.entry import Entry, Key, month_of
from hpo_dispatcher.contract.errors import Unreadable
from hpo_dispatcher.contract.settings import Limits, TargetSettings, TeamSettings
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.cycle.decision.queue_heads import EXPLAINED_HEADS, QueueHeads, QueueReader
from hpo_dispatcher.cycle.decision.running_jobs import running_jobs
from hpo_dispatcher.cycle.intake.team_actions import teams_on_hold
from hpo_dispatcher.cycle.outcome import Decision, Observation
from hpo_dispatcher.cycle.targets.services import Services, TargetServices
from hpo_dispatcher.ports import Documents, Quotas, Requests, TuningService
from hpo_dispatcher.scheduling.admission import Visibility
from hpo_dispatcher.scheduling.backoff import Backoff
from hpo_dispatcher.scheduling.budget import (
    Budget,
    budgets,
    over_budget,
    spent_by,
    with_other_waits,
)
from hpo_dispatcher.scheduling.history.run_times import RunTimes, Work
from hpo_dispatcher.scheduling.history.usage import Used, updated, with_idle_teams, within
from hpo_dispatcher.scheduling.plan import plan
from hpo_dispatcher.scheduling.snapshot import Capacity, Head, ReservationTimer, Snapshot, needs

# How old the quotas may be. AWS may have raised one of which a request needs more.
QUOTAS_READ = timedelta(days=1)
QUOTAS_READ_IF_TOO_SMALL = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class PlanMemory:
    """What the last cycle left that a plan depends on."""

    reservation_timers: Mapping[Key, ReservationTimer]
    backoff: Backoff
    run_times: RunTimes
    usage: Mapping[str, float]
    usage_at: datetime | None
    read_up_to: Mapping[str, str] = field(default_factory=dict)  # by team, a sort key


@dataclass(frozen=True, kw_only=True)
class Decider:
    """The third step of a cycle, which gathers a snapshot and plans by it.

    The class is long because it reads everything that a plan depends on.
    """

    teams: Mapping[str, TeamSettings]
    limits: Limits
    requests: Requests
    documents: Documents
    tuning: TuningService
    quotas: Quotas
    clock: Callable[[], datetime]
    targets: Mapping[str, TargetServices] = field(default_factory=dict)  # besides home
    target_settings: Mapping[str, TargetSettings] = field(default_factory=dict)  # of all

    def decide(self, seen: Observation, accepted: Sequence[Entry], memory: PlanMemory) -> Decision:
        """Decide which requests start, which jobs are preempted, and which requests wait.

        Heads are read without their requests. A planned start whose request cannot be read is left
        out, and its capacity goes to others.

        Args:
            seen: the jobs that use capacity.
            accepted: entries that this cycle has added to the queues.
            memory: what the last cycle left.
        """
        unreadable: dict[Key, str] = {}
        while True:
            decided = self._decide(seen, accepted, memory, unreadable)
            found = _unreadable(decided)
            if not found:
                return replace(decided, problems=tuple(unreadable.values()))
            unreadable |= found

    def _decide(
        self,
        seen: Observation,
        accepted: Sequence[Entry],
        memory: PlanMemory,
        left_out: Collection[Key],
    ) -> Decision:
        now = self.clock()
        running = running_jobs(seen, self.documents, self._services(), memory.run_times, now)
        backoff = memory.backoff.seen_with(running)
        on_hold = teams_on_hold(self.documents)
        queues = _Queues(
            reader=_reader(self.requests, accepted, left_out, memory),
            run_times=memory.run_times,
            backoff=backoff,
            budgets=self._budgets(seen),
            now=now,
            targets={HOME, *self.targets},
            closed=_closed(seen),
        )
        capacity = self._capacity(QUOTAS_READ)
        free = max(0, capacity.all_tuning_jobs - len(running)) + EXPLAINED_HEADS
        # Delayed requests must not hide those behind them.
        counts = {team: free + backoff.of_team(team) for team in self.teams if team not in on_hold}
        read = queues.read(counts, Visibility(capacity, self.teams, running))
        if read.parked:  # AWS may have raised the quotas
            newer = self._capacity(QUOTAS_READ_IF_TOO_SMALL)
            if newer != capacity:
                capacity = newer
                read = queues.read(counts, Visibility(capacity, self.teams, running))
        snapshot = Snapshot(
            now=now,
            running_jobs=running,
            queues={
                team: [head for head in queue if head.key not in read.waiting]
                for team, queue in read.heads.items()
            },
            reservation_timers=memory.reservation_timers,
            usage=self._usage(seen, memory, capacity, read.teams_waiting, now),
            promised=frozenset(job.preempted_for for job in seen.active if job.preempted_for),
            freed_on={job.preempted_for: job.target for job in seen.active if job.preempted_for},
        )
        planned = plan(snapshot, capacity, self.teams)
        before = memory.reservation_timers
        timers = {key: before[key] for key in read.delayed if key in before}
        planned = replace(planned, reservation_timers={**planned.reservation_timers, **timers})
        return Decision(
            plan=with_other_waits(planned, read.heads, read.waiting),
            capacity=capacity,
            entries=_placed(planned.starts, read.examined),
            queues=read.queues.by_team,
            whole=read.queues.whole,
            read_up_to=read.queues.read_up_to,
            teams_on_hold=on_hold,
            running_jobs=running,
            budgets=queues.budgets,
            backoff=self._still_queued(backoff, read.examined),
            usage=snapshot.usage,
            closed=queues.closed,
        )

    def _services(self) -> Services:
        return {HOME: self.tuning, **{name: each.tuning for name, each in self.targets.items()}}

    def _still_queued(self, backoff: Backoff, queues: Mapping[str, Sequence[Entry]]) -> Backoff:
        """Forget delayed requests that were cancelled, put on hold or have ended."""
        heads = {entry.key for queue in queues.values() for entry in queue}
        unseen = sorted(backoff.requests.keys() - heads)
        if not unseen:
            return backoff
        found = self.requests.get_all(unseen)
        return backoff.without(key for key in unseen if key not in found or not found[key].in_queue)

    def _usage(
        self,
        seen: Observation,
        memory: PlanMemory,
        capacity: Capacity,
        waiting: AbstractSet[str],
        now: datetime,
    ) -> dict[str, float]:
        """Return what each team has used lately, since the last cycle and before."""
        since = memory.usage_at or now
        ended = {job.tuning_job_name: detail.ended_at for job, detail in seen.ended}
        used = [
            Used(
                job.team,
                needs(job.instances),
                within(job.started_at, ended.get(job.tuning_job_name) or now, since, now),
            )
            for job in seen.active
        ]
        half_life = timedelta(hours=self.limits.usage_half_life_hours)
        usage = updated(memory.usage, used, capacity.over_targets, now - since, half_life)
        weights = {team: settings.weight for team, settings in self.teams.items()}
        return with_idle_teams(usage, weights, waiting | {job.team for job in seen.active})

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

    def _capacity(self, max_age: timedelta) -> Capacity:
        """Return the quotas, replaced by the settings, without the headroom for others."""
        limits = self.limits
        others = {
            name: _capacity_of(self.target_settings[name], target.quotas, max_age)
            for name, target in self.targets.items()
        }
        home = self.target_settings.get(HOME, _HOME)
        return Capacity(
            tuning_jobs=limits.tuning_jobs,
            instances=_instances(self.quotas, max_age, limits.instances, limits.headroom),
            preference=home.preference,
            teams=home.teams,
            targets=others,
        )


_HOME = TargetSettings()


def _capacity_of(settings: TargetSettings, quotas: Quotas, max_age: timedelta) -> Capacity:
    return Capacity(
        tuning_jobs=settings.tuning_jobs,
        instances=_instances(quotas, max_age, settings.instances, settings.headroom),
        preference=settings.preference,
        teams=settings.teams,
    )


def _instances(
    quotas: Quotas, max_age: timedelta, fixed: Mapping[str, int], headroom: Mapping[str, int]
) -> dict[str, int]:
    instances = {**quotas.training_instances(max_age), **fixed}
    for resource, spared in headroom.items():
        if resource in instances:
            instances[resource] = max(0, instances[resource] - spared)
    return instances


def _closed(seen: Observation) -> dict[str, WaitReason]:
    """Return the targets that did not answer, with the reason of requests that wait for them."""
    return {
        target: WaitReason(kind=WaitKind.TARGET, text=problem)
        for target, problem in seen.down.items()
    }


def _placed(starts: Sequence[Head], queues: Mapping[str, Sequence[Entry]]) -> dict[Key, Entry]:
    """Return the heads by key; those that start with the targets that the plan chose."""
    entries = {entry.key: entry for queue in queues.values() for entry in queue}
    for head in starts:
        if entries[head.key].target != head.target:
            entries[head.key] = replace(entries[head.key], target=head.target)
    return entries


def _reader(
    requests: Requests,
    accepted: Sequence[Entry],
    left_out: Collection[Key],
    memory: PlanMemory,
) -> QueueReader:
    return QueueReader(
        requests=requests, accepted=accepted, left_out=left_out, read_up_to=memory.read_up_to
    )


@dataclass(frozen=True, kw_only=True)
class _Read:
    """The heads that were read, and which of them are not planned."""

    queues: QueueHeads
    examined: Mapping[str, Sequence[Entry]]
    heads: Mapping[str, Sequence[Head]]
    parked: frozenset[Key]  # they never fit
    delayed: Mapping[Key, WaitReason]  # SageMaker refused them
    over_budget: Mapping[Key, WaitReason]

    @property
    def teams_waiting(self) -> frozenset[str]:
        """The teams with requests that wait for capacity only."""
        apart = self.waiting.keys() | self.parked
        return frozenset(h.team for q in self.heads.values() for h in q if h.key not in apart)

    @property
    def waiting(self) -> Mapping[Key, WaitReason]:
        """The requests that are not planned, and why."""
        return {**self.over_budget, **self.delayed}


@dataclass(frozen=True, kw_only=True)
class _Queues:
    """The queues of one cycle, and what keeps requests of them from being planned."""

    reader: QueueReader
    run_times: RunTimes
    backoff: Backoff
    budgets: Mapping[str, Budget]
    now: datetime
    targets: AbstractSet[str] = frozenset([HOME])
    closed: Mapping[str, WaitReason] = field(default_factory=dict)  # targets that are not used
    known: dict[Key, Head] = field(default_factory=dict)  # heads as they were made before

    def read(self, counts: Mapping[str, int], visibility: Visibility) -> _Read:
        """Read the heads of the queues, so far that they hide no request that could start."""

        def may_hide(team: str, queue: Sequence[Entry]) -> bool:
            if visibility.full(team):
                return False
            read = self._examined(QueueHeads(by_team={team: queue}), visibility)
            heads = read.heads[team]
            return visibility.may_hide(team, [h for h in heads if h.key not in read.waiting])

        return self._examined(self.reader.read(counts, may_hide), visibility)

    def _head(self, entry: Entry) -> Head:
        if entry.key not in self.known:
            targets = self.backoff.open_targets(entry, self.now, self._why_closed)
            self.known[entry.key] = _head(entry, self.run_times, targets)
        return self.known[entry.key]

    def _why_closed(self, target: str) -> WaitReason | None:
        if target not in self.targets:
            text = f"the settings have no target {target!r} any more"
            return WaitReason(kind=WaitKind.TARGET, text=text)
        return self.closed.get(target)

    def _examined(self, read: QueueHeads, visibility: Visibility) -> _Read:
        examined = read.examined()
        heads = {team: [self._head(entry) for entry in queue] for team, queue in examined.items()}
        parked = frozenset(
            head.key for queue in heads.values() for head in queue if visibility.never_fits(head)
        )
        delayed = self.backoff.waits(examined, self.now, self._why_closed)
        over: dict[Key, WaitReason] = {}
        for team in self.budgets.keys() & examined.keys():
            queue = [e for e in examined[team] if e.key not in delayed and e.key not in parked]
            over |= over_budget(queue, self.budgets[team])
        return _Read(
            queues=read,
            examined=examined,
            heads=heads,
            parked=parked,
            delayed=delayed,
            over_budget=over,
        )


def _unreadable(decided: Decision) -> dict[Key, str]:
    """Return the planned starts whose requests cannot be read, with the problem of each."""
    found: dict[Key, str] = {}
    for head in decided.plan.starts:
        try:
            _ = decided.entries[head.key].request
        except Unreadable as error:
            found[head.key] = str(error)
    return found


def _head(entry: Entry, run_times: RunTimes, targets: tuple[str, ...]) -> Head:
    work = Work(team=entry.team, template=entry.template, rounds=entry.rounds)
    return Head(
        team=entry.team,
        request_id=entry.request_id,
        priority=entry.priority,
        accepted_at=entry.accepted_at,
        instances=entry.instances,
        expected_seconds=run_times.expected(work, entry.expected_seconds_left, entry.most_seconds),
        targets=targets,
    )
