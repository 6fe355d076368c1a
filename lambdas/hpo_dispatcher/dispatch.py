"""One dispatch cycle: intake, observe, plan, act, reconcile.

A cycle may be killed at any line and run twice at once. What keeps it right:

- a message is deleted after its ledger entry exists (``intake``);
- an entry is InProgress, under a lease that is still held, before its tuning job is created,
  so capacity that may have been taken is always counted;
- the tuning job's name follows from team and request id, so creating it again is harmless;
- an entry says for whom it makes room, under the lease, before its tuning job is stopped, so
  whoever sees the end knows that the request goes on, and counts what had ended once.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, assert_never

from hpo_dispatcher.budget import Budget, budgets, over_budget, spent_by, with_held
from hpo_dispatcher.bulletin import DOCUMENT, State, bulletin, counted, fronts_from, timed
from hpo_dispatcher.census import Census
from hpo_dispatcher.continuation import continuation
from hpo_dispatcher.cycle import Decision, Observation, Summary, Watch
from hpo_dispatcher.dependencies import Hopeless, Ready, Waiting, graph_of, judge, parents_in_order
from hpo_dispatcher.ending import ending_of, never_created
from hpo_dispatcher.entry import ActiveJob, Entry, Status, month_of
from hpo_dispatcher.errors import HpoqError, InvalidRequest
from hpo_dispatcher.intake import Intake, Move, held_teams, intake
from hpo_dispatcher.job_builder import JobBuilder
from hpo_dispatcher.pace import Deadline, TokenBucket
from hpo_dispatcher.plan import Capacity, Front, Head, Holder, Snapshot, Wait, plan
from hpo_dispatcher.ports import (
    AlreadyOurs,
    AtLimit,
    Created,
    Creation,
    Ending,
    Events,
    LeaseLost,
    Ledger,
    LedgerMissing,
    MakesRoom,
    NameTaken,
    Quotas,
    Refused,
    RequestQueues,
    StateChange,
    TuningJob,
    TuningJobDetail,
    TuningService,
    Unavailable,
)
from hpo_dispatcher.run_times import RunTimes
from hpo_dispatcher.tuning_job import Demand, tuning_job_name

# Starts written ahead together: what a crash leaves to the next cycle, at most.
START_BATCH = 20
CREATE_THREADS = 20
# Intake may use this share of a cycle's time; the rest belongs to starting jobs.
INTAKE_SHARE = 0.6
# The lease outlives the function by this much, so that no successor starts too early.
LEASE_MARGIN = timedelta(seconds=30)

# Heads of each team that are told why they wait, beyond those that start.
EXPLAINED_HEADS = 10
# Looked at in a line of which a budget holds some, for smaller ones behind them.
BUDGETED_HEADS = 200
OTHER_JOBS = "other-jobs"

Key = tuple[str, str]


class CycleIncomplete(HpoqError):
    """Part of a cycle could not be done; what was done is kept and the next one goes on."""


def _nobody(summary: Summary, seen: Observation, decided: Decision) -> None:
    """Watches nothing."""


@dataclass
class _Deeds:
    promised: set[Key] = field(default_factory=set)
    started: list[Key] = field(default_factory=list)
    requeued: list[Key] = field(default_factory=list)
    rejected: list[Key] = field(default_factory=list)
    stopped: list[Key] = field(default_factory=list)
    went_on: list[Entry] = field(default_factory=list)  # in line again after a stop
    changes: list[StateChange] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Dispatcher:
    """The cycle over its ports."""

    builder: JobBuilder
    queues: RequestQueues
    ledger: Ledger
    tuning: TuningService
    events: Events
    quotas: Quotas
    clock: Callable[[], datetime]
    bucket: TokenBucket
    holder: str = field(default_factory=lambda: uuid.uuid4().hex)
    watch: Watch = _nobody  # told of every cycle that came to its end

    def cycle(self, deadline: Deadline, asked_at: datetime | None = None) -> Summary:
        """Run one cycle, and another one for whoever asked meanwhile.

        Args:
            deadline: of this invocation.
            asked_at: when the event that asks for this cycle came about; None for the
                heartbeat. An event that an earlier cycle has already seen is skipped.

        Raises:
            LedgerMissing: the ledger is gone, and nothing was started since.
            Unavailable: a service did not answer; the next cycle goes on from there.
            CycleIncomplete: some team or job could not be served, the others were.
        """
        now = self.clock()
        until = now + timedelta(seconds=deadline.remaining()) + LEASE_MARGIN
        lease = self.ledger.acquire_lease(self.holder, now, until)
        if lease is None:
            self.ledger.ask_for_cycle(now)
            return Summary(skipped="another dispatcher is at work; it will look again")
        if asked_at and lease.last_cycle and asked_at < lease.last_cycle:
            self.ledger.release_lease(self.holder, lease.last_cycle)
            return Summary(skipped="a later cycle has already seen this event")
        return self._cycles(deadline)

    def _cycles(self, deadline: Deadline) -> Summary:
        while True:
            began = self.clock()
            try:
                summary = self._one_cycle(deadline)
            except LedgerMissing:  # and the lease with it
                raise
            except BaseException:
                self.ledger.release_lease(self.holder, None)
                raise
            complete = not summary.problems
            again = self.ledger.release_lease(self.holder, began if complete else None)
            if summary.problems:
                raise CycleIncomplete("; ".join(summary.problems))
            if not again or deadline.passed(INTAKE_SHARE) or not self._reacquired(deadline):
                return summary

    def _reacquired(self, deadline: Deadline) -> bool:
        now = self.clock()
        until = now + timedelta(seconds=deadline.remaining()) + LEASE_MARGIN
        return self.ledger.acquire_lease(self.holder, now, until) is not None

    def _one_cycle(self, deadline: Deadline) -> Summary:
        began = self.clock()
        taken = intake(
            self.queues,
            self.ledger,
            self.builder,
            self.clock,
            out_of_time=lambda: deadline.passed(INTAKE_SHARE),
        )
        self.events.publish(taken.changes)
        freed = self.unblock()
        seen = self.observe()
        came = [entry for entry in taken.accepted if not entry.blocked]
        in_line = [entry for entry in came if entry.key not in taken.held]
        before = json.loads(self.ledger.document(DOCUMENT) or "{}")
        decided = self.decide(seen, [*in_line, *freed], fronts_from(before.get("fronts", [])))
        deeds = self.act(seen, decided, deadline)
        self.events.publish(deeds.changes)
        finished, deeds.went_on = self.reconcile(seen)
        self.events.publish(finished)
        if finished and self.unblock():
            self.ledger.ask_for_cycle(self.clock())  # what it freed may start at once
        moves = [*taken.moves, *map(_joined, freed)]
        self._publish(before, moves, seen, decided, deeds)
        done = self._summary(taken, seen, decided, deeds, len(finished))
        summary = replace(done, seconds=(self.clock() - began).total_seconds())
        self.watch(summary, seen, decided)
        return summary

    def unblock(self) -> list[Entry]:
        """Let requests whose parents have ended into line; end those that never can start."""
        blocked = self.ledger.blocked()
        keys = [(b.team, each) for b in blocked for each in (b.request_id, *b.parents)]
        entries = self.ledger.get_all(keys) if keys else {}
        freed: list[Entry] = []
        endings: list[Ending] = []
        graph = graph_of(blocked)
        for each in blocked:
            entry = entries.get((each.team, each.request_id))
            if entry is None or entry.status is not Status.QUEUED:
                continue
            found = (entries.get((each.team, parent)) for parent in each.parents)
            parents = {parent.request_id: parent for parent in found if parent}
            match judge(replace(each, request=entry.request), parents, graph):
                case Ready():
                    if self.ledger.unblock(*entry.key) and not entry.held:
                        freed.append(replace(entry, blocked=False, reason=""))
                case Hopeless(reason=reason):
                    endings.append(self._never(entry, reason))
                case Waiting():
                    pass
        self.events.publish(self._finish(endings))
        return freed

    def _never(self, entry: Entry, reason: str) -> Ending:
        return Ending(
            team=entry.team,
            request_id=entry.request_id,
            was=(Status.QUEUED,),
            status=Status.CANCELLED,
            ended_at=self.clock(),
            reason=reason,
        )

    def observe(self) -> Observation:
        """All that holds capacity: what SageMaker lists, and what the ledger has promised."""
        active = self.ledger.active()  # before the list: a job in neither has been ended
        listed = {job.name: job for job in self.tuning.in_progress()}
        unlisted = [job for job in active if job.tuning_job_name not in listed]
        ended, missing = [], []
        details = self._details([job.tuning_job_name for job in unlisted])
        for job in unlisted:
            detail = details[job.tuning_job_name]
            if detail is None:
                missing.append(job)
            elif detail.status.ended:
                ended.append((job, detail))
            else:  # created so recently that the list lags behind
                listed[job.tuning_job_name] = TuningJob(name=detail.name, status=detail.status)
        return Observation(listed=listed, active=active, ended=ended, missing=missing)

    def _details(self, names: Sequence[str]) -> Mapping[str, TuningJobDetail | None]:
        """Of jobs that mostly have ended: many at a call, and one by one what that misses."""
        found: dict[str, TuningJobDetail | None] = {}
        if len(names) > 1:
            with suppress(Unavailable):
                found.update(self.tuning.search_ended(names))
        left = [name for name in names if name not in found]
        with ThreadPoolExecutor(CREATE_THREADS) as pool:
            return found | dict(zip(left, pool.map(self.tuning.describe, left), strict=True))

    def decide(
        self, seen: Observation, accepted: Sequence[Entry], fronts: Mapping[Key, Front]
    ) -> Decision:
        """Snapshot of holders and heads, handed to the pure plan."""
        deployment = self.builder.deployment
        ours = {job.tuning_job_name: job for job in seen.active}
        gone = {job.tuning_job_name for job, _ in seen.ended}
        names = (set(seen.listed) | set(ours)) - gone
        others = self._others(names - set(ours))
        holders = [
            _holder(name, ours.get(name), others, seen.listed.get(name)) for name in sorted(names)
        ]
        count = max(0, deployment.limits.tuning_jobs - len(holders)) + EXPLAINED_HEADS
        held = held_teams(self.ledger)
        going = [team for team in deployment.teams if team not in held]
        lines = {team: self._line(team, count, accepted) for team in going}
        whole = {team for team, line in lines.items() if len(line) < count}
        of_teams = self._budgets(seen)
        over: dict[Key, str] = {}
        for team in of_teams.keys() & lines.keys():
            over |= over_budget(lines[team], of_teams[team])
            if team not in whole and any(key[0] == team for key in over):
                deeper = count + BUDGETED_HEADS
                lines[team] = self._line(team, deeper, accepted)
                over |= over_budget(lines[team], of_teams[team])
                whole |= {team} if len(lines[team]) < deeper else set()
        heads = {team: [_head(entry) for entry in line] for team, line in lines.items()}
        free = {t: [head for head in line if head.key not in over] for t, line in heads.items()}
        promised = frozenset(job.stopped_for for job in seen.active if job.stopped_for)
        snapshot = Snapshot(
            now=self.clock(), holders=holders, lines=free, fronts=fronts, promised=promised
        )
        capacity = self._capacity()
        return Decision(
            plan=with_held(plan(snapshot, capacity, deployment.teams), heads, over),
            capacity=capacity,
            entries={entry.key: entry for line in lines.values() for entry in line},
            lines=lines,
            whole=whole,
            held_teams=held,
            holders=holders,
            budgets=of_teams,
        )

    def _budgets(self, seen: Observation) -> Mapping[str, Budget]:
        """Read after what runs: an end in between counts twice rather than not at all."""
        teams, now = self.builder.deployment.teams, self.clock()
        if all(settings.monthly_instance_hours is None for settings in teams.values()):
            return {}
        ended = {job.tuning_job_name for job, _ in seen.ended}
        return budgets(
            teams,
            self.ledger.spent(month_of(now)),
            [job for job in seen.active if job.tuning_job_name not in ended],
            [spent_by(job, detail.ended_at or now) for job, detail in seen.ended],
            now,
        )

    def _capacity(self) -> Capacity:
        """Quotas, unless the settings say otherwise, less what is left to others."""
        limits = self.builder.deployment.limits
        instances = {**self.quotas.training_instances(), **limits.instances}
        for instance_type, spared in limits.headroom.items():
            if instance_type in instances:
                instances[instance_type] = max(0, instances[instance_type] - spared)
        return Capacity(tuning_jobs=limits.tuning_jobs, instances=instances)

    def _others(self, names: AbstractSet[str]) -> Mapping[str, Mapping[str, int]]:
        """Instances of tuning jobs that nobody queued: each is described once."""
        document = self.ledger.document(OTHER_JOBS) if names else None
        known: dict[str, dict[str, int]] = json.loads(document or "{}")
        new = {name: dict(self.tuning.instances(name)) for name in sorted(names - set(known))}
        if new:
            kept = {name: known[name] for name in names & set(known)} | new
            self.ledger.put_document(OTHER_JOBS, json.dumps(kept))
            return kept
        return known

    def _line(self, team: str, count: int, accepted: Sequence[Entry]) -> Sequence[Entry]:
        """The index may lag behind; what this cycle itself accepted is added."""
        entries = {entry.key: entry for entry in self.ledger.heads(team, count)}
        entries |= {entry.key: entry for entry in accepted if entry.team == team}
        line = sorted(entries.values(), key=lambda e: (-e.priority, e.accepted_at, e.request_id))
        return line[:count]

    def act(self, seen: Observation, decided: Decision, deadline: Deadline) -> _Deeds:
        """Stop what is to stop, finish half-done starts, start what was planned."""
        deeds = _Deeds()
        unstopped = [
            job
            for job in seen.active
            if job.status is Status.STOPPING and _listed(job, seen) is Status.IN_PROGRESS
        ]
        for job in unstopped:
            if not job.stopped_for:
                self.tuning.stop(job.tuning_job_name)
        self._end_before_creation(seen, deeds)
        self._create_all(self._half_done(seen), deeds)
        starts = [decided.entries[head.team, head.request_id] for head in decided.plan.starts]
        for first in range(0, len(starts), START_BATCH):
            if deadline.passed() or deeds.requeued:
                break
            self._start(starts[first : first + START_BATCH], deeds)
        promised = [(job, job.stopped_for) for job in unstopped if job.stopped_for]
        ours = {job.tuning_job_name: job for job in seen.active}
        planned = [
            (ours[stop.holder.tuning_job_name], stop.head.key) for stop in decided.plan.stops
        ]
        if (promised or planned) and not deadline.passed():
            self._make_room([*promised, *planned], deeds)
        return deeds

    def _make_room(self, wanted: Sequence[tuple[ActiveJob, Key]], deeds: _Deeds) -> None:
        """Say so in the ledger, then stop; what one of the two missed is the next cycle's."""
        try:
            with ThreadPoolExecutor(CREATE_THREADS) as pool:
                names = [job.tuning_job_name for job, _ in wanted]
                details = list(pool.map(self.tuning.describe, names))
            rooms = [
                MakesRoom(
                    team=job.team,
                    request_id=job.request_id,
                    tuning_job_name=job.tuning_job_name,
                    room_for=room_for,
                    stopped=detail.counters.get("Stopped", 0),
                )
                for (job, room_for), detail in zip(wanted, details, strict=True)
                if detail and detail.status is Status.IN_PROGRESS
            ]
            marked = set(self.ledger.make_room(rooms, self.holder)) if rooms else set()
            new = {job.key for job, _ in wanted if job.status is Status.IN_PROGRESS}
            for room in rooms:
                if room.key in marked & new:
                    deeds.stopped.append(room.key)
                    deeds.changes.append(self._makes_room(room))
            for room in rooms:
                if room.key in marked:
                    self.tuning.stop(room.tuning_job_name)
        except (LeaseLost, Unavailable) as error:
            deeds.problems.append(f"making room: {error}")

    def _makes_room(self, room: MakesRoom) -> StateChange:
        reason = f"makes room for {'/'.join(room.room_for)}, goes on later"
        return self._change(
            room.key, Status.STOPPING, Status.IN_PROGRESS, reason, room.tuning_job_name
        )

    def _half_done(self, seen: Observation) -> list[Entry]:
        """Promised by a cycle that ended before it could create them."""
        promised = [job for job in seen.missing if job.status is Status.IN_PROGRESS]
        keys = [(job.team, job.request_id) for job in promised]
        entries = self.ledger.get_all(keys) if keys else {}
        return [entry for entry in entries.values() if entry.status is Status.IN_PROGRESS]

    def _end_before_creation(self, seen: Observation, deeds: _Deeds) -> None:
        """Cancelled between the promise and the creation: there is nothing to stop."""
        endings = [
            Ending(
                team=job.team,
                request_id=job.request_id,
                was=(Status.STOPPING,),
                status=Status.CANCELLED,
                ended_at=self.clock(),
                tuning_job_name=job.tuning_job_name,
                reason="cancelled before its tuning job was created",
            )
            for job in seen.missing
            if job.status is Status.STOPPING and not job.stopped_for
        ]
        deeds.changes += self._finish(endings)

    def _start(self, entries: Sequence[Entry], deeds: _Deeds) -> None:
        try:
            started = set(self.ledger.start(entries, self.holder, self.clock()))
        except LeaseLost as error:
            deeds.problems.append(str(error))
            return
        deeds.promised |= started
        deeds.changes += [
            self._change(entry.key, Status.IN_PROGRESS, Status.QUEUED, job_name=entry.job_name)
            for entry in entries
            if entry.key in started
        ]
        self._create_all([entry for entry in entries if entry.key in started], deeds)

    def _create_all(self, entries: Sequence[Entry], deeds: _Deeds) -> None:
        with ThreadPoolExecutor(CREATE_THREADS) as pool:
            outcomes = list(pool.map(self._create, entries))
        for entry, outcome in zip(entries, outcomes, strict=True):
            self._account(entry, outcome, deeds)

    def _create(self, entry: Entry) -> Creation | InvalidRequest | Unavailable:
        """Create one tuning job whose entry is already InProgress."""
        if entry.request is None:
            return Refused("the request is gone from the ledger")
        try:
            named = entry.request.warm_start_from
            found = self.ledger.get_all([(entry.team, each) for each in named]) if named else {}
            by_id = {parent.request_id: parent for parent in found.values()}
            parents = parents_in_order(named, by_id)
            api_request = self.builder.api_request(
                entry.team, entry.request, parents, continuation(entry)
            )
            self.bucket.take()
            return self.tuning.create(api_request)
        except (InvalidRequest, Unavailable) as error:
            return error

    def _account(
        self, entry: Entry, outcome: Creation | InvalidRequest | Unavailable, deeds: _Deeds
    ) -> None:
        key = entry.key
        match outcome:
            case Created() | AlreadyOurs():
                deeds.started.append(key)
            case AtLimit(message=message):
                if self.ledger.requeue(entry, reason=message):
                    deeds.requeued.append(key)
                    deeds.changes.append(
                        self._change(
                            key, Status.QUEUED, Status.IN_PROGRESS, message, entry.job_name
                        )
                    )
            case NameTaken(owner=owner):
                problem = f"the tuning job name {entry.job_name} belongs to {owner}"
                error = InvalidRequest("request_id", problem, "Send it under a new request id")
                self._reject(entry, error, deeds)
            case Refused(message=message):
                error = InvalidRequest("request", message, "Mend the request and send it again")
                self._reject(entry, error, deeds)
            case InvalidRequest():
                self._reject(entry, outcome, deeds)
            case Unavailable():  # it may exist: the promise stays, the next cycle looks
                deeds.problems.append(f"{'/'.join(key)}: {outcome}")
            case _:
                assert_never(outcome)

    def _reject(self, entry: Entry, error: InvalidRequest, deeds: _Deeds) -> None:
        """Dead-letter queue first: a crash after it rejects again, and loses nothing.

        What has had a tuning job before is no message to mend and send again: that would run
        what has ended once more. It keeps what it found.
        """
        body = entry.request.to_json() if entry.request else ""
        error = self.builder.redactor.error(error, body)
        if not entry.earlier:
            self.queues.reject(entry.team, entry.request_id, body, error)
        ending = Ending(
            team=entry.team,
            request_id=entry.request_id,
            was=(Status.IN_PROGRESS, Status.STOPPING),
            status=Status.STOPPED if entry.earlier else Status.REJECTED,
            ended_at=self.clock(),
            tuning_job_name=entry.job_name,
            reason=f"it could not go on: {error}" if entry.earlier else str(error),
            counters=entry.counters,
            best=entry.best,
        )
        deeds.changes += self._finish([ending])
        deeds.rejected.append(entry.key)

    def reconcile(self, seen: Observation) -> tuple[list[StateChange], list[Entry]]:
        """Give the entries whose tuning jobs have ended their final state, or let them go on.

        Returns:
            What changed, and the entries that are in line again.
        """
        ended = [
            *seen.ended,
            *((job, never_created(job)) for job in seen.missing if job.stopped_for),
        ]
        several = [job.key for job, _ in ended if job.resumed or job.stopped_for]
        entries = self.ledger.get_all(several) if several else {}
        endings = [
            ending_of(job, detail, entries.get(job.key), builder=self.builder, now=self.clock())
            for job, detail in ended
            if job.key in entries or not (job.resumed or job.stopped_for)
        ]
        changes = self._finish(endings)
        written = {(change.team, change.request_id) for change in changes}
        on = [ending.goes_on for ending in endings if ending.goes_on]
        return changes, [entry for entry in on if entry.key in written]

    def _finish(self, endings: Sequence[Ending]) -> list[StateChange]:
        written = set(self.ledger.finish(endings)) if endings else set()
        return [
            self._change(
                ending.key,
                ending.status,
                Status.STOPPING if ending.made_room else ending.was[0],
                ending.reason,
                ending.tuning_job_name or tuning_job_name(*ending.key),
            )
            for ending in endings
            if ending.key in written
        ]

    def _change(
        self,
        key: Key,
        status: Status,
        previous: Status,
        reason: str = "",
        job_name: str = "",
    ) -> StateChange:
        return StateChange(
            team=key[0],
            request_id=key[1],
            status=status,
            previous_status=previous,
            tuning_job_name=job_name,
            reason=reason,
            at=self.clock(),
        )

    def _publish(
        self,
        before: Mapping[str, Any],
        moves: Sequence[Move],
        seen: Observation,
        decided: Decision,
        deeds: _Deeds,
    ) -> None:
        """What is in use after this cycle and why the heads wait, for whoever may read it.

        Args:
            before: the document as the last cycle left it; this one goes on from there.
        """
        away = deeds.promised - set(deeds.requeued)  # rejected ones left their line, too
        running = away - set(deeds.rejected)
        starts = [Wait(head=head, reason="next in line") for head in decided.plan.starts]
        unstarted = [wait for wait in starts if (wait.head.team, wait.head.request_id) not in away]
        census = counted(
            Census.from_document(before.get("lines", {})), moves, decided.lines, decided.whole
        )
        for key in away:
            census.of(key[0]).leave(decided.entries[key].position)
        for entry in deeds.went_on:
            census.of(entry.team).join(entry.position)
        state = State(
            at=self.clock(),
            capacity=decided.capacity,
            holders=decided.holders,
            active={job.tuning_job_name: job for job in seen.active},
            started=[decided.entries[key] for key in sorted(running)],
            waits=[*unstarted, *decided.plan.waits],
            entries=decided.entries,
            held_teams=decided.held_teams,
            census=census,
            run_times=timed(RunTimes.from_document(before.get("run_times", [])), seen.ended),
            fronts={key: each for key, each in decided.plan.fronts.items() if key not in away},
            budgets=decided.budgets,
        )
        self.ledger.put_document(DOCUMENT, json.dumps(bulletin(state)))

    def _summary(
        self, taken: Intake, seen: Observation, decided: Decision, deeds: _Deeds, finished: int
    ) -> Summary:
        return Summary(
            received=taken.counts["received"],
            accepted=taken.counts["new"],
            repeated=taken.counts["repeated"],
            rejected=taken.counts["rejected"] + len(deeds.rejected),
            actions=taken.counts["actions"],
            in_progress=len(seen.listed) + len(deeds.started),
            limit=self.builder.deployment.limits.tuning_jobs,
            started=len(deeds.started),
            requeued=len(deeds.requeued),
            stopped=len(deeds.stopped),
            waiting=len(decided.plan.waits),
            finished=finished,
            problems=(*taken.problems, *deeds.problems, *self.ledger.unreadable()),
        )


def _holder(
    name: str,
    ours: ActiveJob | None,
    others: Mapping[str, Mapping[str, int]],
    listed: TuningJob | None,
) -> Holder:
    instances = ours.instances if ours else others.get(name, {})
    demand = Demand(tuning_jobs=1, instances=listed.held(instances) if listed else instances)
    stopping = listed is not None and listed.status is Status.STOPPING
    if ours is None:
        return Holder(tuning_job_name=name, team=None, demand=demand, stopping=stopping)
    return Holder(
        tuning_job_name=name,
        team=ours.team,
        demand=demand,
        request_id=ours.request_id,
        priority=ours.priority,
        started_at=ours.started_at,
        obstacle=ours.obstacle if listed else "it is about to be created",
        resumed=ours.resumed,
        stopping=stopping or ours.status is Status.STOPPING,
        stopped_for=ours.stopped_for,
    )


def _listed(job: ActiveJob, seen: Observation) -> Status | None:
    listed = seen.listed.get(job.tuning_job_name)
    return listed.status if listed else None


def _joined(entry: Entry) -> Move:
    return Move(team=entry.team, position=entry.position, joined=True)


def _head(entry: Entry) -> Head:
    return Head(
        team=entry.team,
        request_id=entry.request_id,
        priority=entry.priority,
        accepted_at=entry.accepted_at,
        demand=Demand(tuning_jobs=1, instances=entry.instances),
    )
