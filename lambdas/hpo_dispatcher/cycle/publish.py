"""The last step of a cycle: publish the state of the account as the ``capacity`` document.

The state is what is in use, which requests wait for what, how long each queue is, and what an
estimate of start times needs: when running jobs started and how long similar jobs took. A cycle
only writes this down; clients compute positions and times on request (``scheduling.forecast``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from hpo_dispatcher.contract.documents.capacity import (
    OTHERS,
    BudgetUse,
    CapacityDocument,
    MeasuredEstimates,
    RecentArrival,
    ResourceUse,
    RunningTuningJob,
    TargetUse,
    WaitingRequest,
    WaitReason,
)
from hpo_dispatcher.contract.entry import Entry, Key, RunningEntry, Status
from hpo_dispatcher.contract.errors import UnreadableDocument
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.cycle.document_size import fitted
from hpo_dispatcher.cycle.outcome import ActOutcome, Decision, Observation, QueueMove
from hpo_dispatcher.ports import Documents, TuningJobDetail, Unavailable
from hpo_dispatcher.scheduling.backoff import Backoff
from hpo_dispatcher.scheduling.budget import Budget
from hpo_dispatcher.scheduling.forecast.arrivals import with_arrivals
from hpo_dispatcher.scheduling.forecast.outlooks import Forecast
from hpo_dispatcher.scheduling.forecast.predictions import Predictions
from hpo_dispatcher.scheduling.history.memory import (
    MEMORY,
    backoff_from,
    check_memory,
    created_from,
    memory_json,
    predictions_from,
    read_up_to_from,
    timers_from,
    unannounced_from,
)
from hpo_dispatcher.scheduling.history.queue_counts import READ_AT_ONCE, QueueCounts
from hpo_dispatcher.scheduling.history.run_times import RunTimes, Work
from hpo_dispatcher.scheduling.reasons import next_in_queue
from hpo_dispatcher.scheduling.snapshot import (
    Capacity,
    Head,
    ReservationTimer,
    RunningJob,
    Wait,
    with_totals,
)

# The most requests in the document; ``fitted`` shows fewer if their texts are long.
WAITING_SHOWN = 500

# Returns some requests of a team's queue from a sort key on.
QueuedFrom = Callable[[str, str, int], Sequence[Entry]]


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """The state that the last cycle left; counts and run times are updated in place."""

    memory: str | None  # the private document as it was read
    reservation_timers: Mapping[Key, ReservationTimer]
    backoff: Backoff
    unannounced: Collection[Key]
    created: Collection[str]  # names of running tuning jobs that have existed
    queue_counts: QueueCounts
    run_times: RunTimes
    usage: Mapping[str, float]
    usage_at: datetime | None
    unreadable: Sequence[str] = ()  # a line for each document that this cycle replaces
    arrivals: Sequence[RecentArrival] = ()
    predictions: Predictions = field(default_factory=Predictions)
    read_up_to: Mapping[str, str] = field(default_factory=dict)  # by team, a sort key


@dataclass(frozen=True, kw_only=True)
class State:
    """The facts known at the end of a cycle."""

    at: datetime
    capacity: Capacity
    running_jobs: Sequence[RunningJob]
    active: Mapping[str, RunningEntry]  # this deployment's running jobs, by tuning job name
    started: Sequence[Entry]  # in this cycle; not among the running jobs yet
    waits: Sequence[Wait]  # in queue order
    entries: Mapping[Key, Entry]
    teams_on_hold: Collection[str]
    queue_counts: QueueCounts
    run_times: RunTimes
    reservation_timers: Mapping[Key, ReservationTimer]
    budgets: Mapping[str, Budget]  # before this cycle's starts
    usage: Mapping[str, float]
    arrivals: Sequence[RecentArrival] = ()
    estimates: MeasuredEstimates | None = None
    closed: Mapping[str, str] = field(default_factory=dict)  # targets that are not used, and why


def recall(documents: Documents) -> Remembered:
    """Read what the last cycle left in the ledger; a damaged document counts as missing."""
    written, memory = documents.get(CAPACITY_DOCUMENT), documents.get(MEMORY)
    before: CapacityDocument | None = None
    unreadable = []
    try:
        before = CapacityDocument.parse(written)
    except UnreadableDocument as error:
        written = None
        unreadable.append(str(error))
    try:
        check_memory(memory)
    except UnreadableDocument as error:
        memory = None
        unreadable.append(str(error))
    return Remembered(
        memory=memory,
        reservation_timers=timers_from(memory, written),
        backoff=backoff_from(memory),
        unannounced=unannounced_from(memory),
        created=created_from(memory),
        queue_counts=QueueCounts.from_published(before.queues if before else {}),
        run_times=RunTimes.from_published(before.run_times if before else ()),
        usage=before.usage if before else {},
        usage_at=before.at if before else None,
        unreadable=unreadable,
        arrivals=before.arrivals if before else (),
        predictions=predictions_from(memory),
        read_up_to=read_up_to_from(memory),
    )


def publish(
    documents: Documents,
    at: datetime,
    remembered: Remembered,
    *,
    seen: Observation,
    decided: Decision,
    done: ActOutcome,
    moves: Iterable[QueueMove],
    queued_later: Iterable[Entry],
    backoff: Backoff,
    queued_from: QueuedFrom,
    arrived: Iterable[Entry] = (),
    forecast: Callable[[CapacityDocument], Forecast] | None = None,
) -> None:
    """Write the capacity document, and what the next cycle has to remember.

    Args:
        documents: where to write them.
        at: the end of the cycle.
        remembered: what the last cycle left; updated in place.
        seen: the running jobs.
        decided: the plan.
        done: what has been done about the plan.
        moves: requests that joined or left a queue before the plan was made.
        queued_later: entries that joined a queue since: unblocked, or resumed after a preemption.
        backoff: what the next cycle delays.
        queued_from: reads a team's queue from a sort key on.
        arrived: requests that have arrived in their queues.
        forecast: expects the starts of a document's requests; None: there is no time for it.
    """
    away = done.out_of_queue
    update_counts(remembered.queue_counts, moves, decided.queues, decided.whole)
    for key in away:
        remembered.queue_counts.of(key[0]).leave(decided.entries[key].queue_sort_key)
    for entry in queued_later:
        remembered.queue_counts.of(entry.team).join(entry.queue_sort_key)
    divide_overfull(remembered.queue_counts, queued_from)
    update_run_times(remembered.run_times, seen.ended)
    refused = _refused(decided, done, backoff, at)
    unstarted = [
        Wait(head=head, reason=refused.get(head.key) or next_in_queue())
        for head in decided.plan.starts
        if head.key not in away
    ]
    predictions = remembered.predictions
    predictions.compare(away - {*done.rejected, *done.failed}, at)
    timers = {
        key: timer for key, timer in decided.plan.reservation_timers.items() if key not in away
    }
    state = State(
        at=at,
        capacity=decided.capacity,
        running_jobs=decided.running_jobs,
        active={job.tuning_job_name: job for job in seen.active},
        started=[decided.entries[key] for key in sorted(away - {*done.rejected, *done.failed})],
        waits=[*unstarted, *decided.plan.waits],
        entries=decided.entries,
        teams_on_hold=decided.teams_on_hold,
        queue_counts=remembered.queue_counts,
        run_times=remembered.run_times,
        reservation_timers=timers,
        budgets=decided.budgets,
        usage=decided.usage,
        arrivals=with_arrivals(remembered.arrivals, arrived),
        estimates=predictions.measured(at),
        closed={target: reason.text for target, reason in decided.closed.items()},
    )
    document = fitted(capacity_document(state))
    documents.put(CAPACITY_DOCUMENT, document.to_json())
    if forecast and document.waiting and predictions.due(at):
        predictions.note(forecast(document), {each.key for each in document.waiting}, at)
    created = _created(seen, decided, done, remembered.created)
    memory = memory_json(
        timers,
        backoff,
        done.unannounced,
        created,
        predictions,
        read_up_to=decided.read_up_to,
    )
    if memory != remembered.memory:
        documents.put(MEMORY, memory)


def _refused(
    decided: Decision, done: ActOutcome, backoff: Backoff, at: datetime
) -> Mapping[Key, WaitReason]:
    """Return why the heads wait that SageMaker refused in this cycle."""
    queues: dict[str, list[Entry]] = {}
    for head in decided.plan.starts:
        if reason := done.requeued.get(head.key):
            entry = replace(decided.entries[head.key], reason=reason)
            queues.setdefault(entry.team, []).append(entry)
    return backoff.waits(queues, at)


def _created(
    seen: Observation, decided: Decision, done: ActOutcome, before: Collection[str]
) -> set[str]:
    """Return the names of running tuning jobs that SageMaker has shown or created.

    Args:
        seen: the running jobs.
        decided: the plan.
        done: what has been done about it.
        before: the names as the last cycle left them, which hold for targets that do not answer.
    """
    unknown = {job.key for job in seen.missing} | seen.unobserved
    ended = {job.tuning_job_name for job, _ in seen.ended}
    shown = {job.tuning_job_name for job in seen.active if job.key not in unknown}
    shown |= {job.tuning_job_name for job in seen.active if job.key in seen.unobserved} & {*before}
    names = {job.key: job.tuning_job_name for job in seen.missing}
    names |= {key: decided.entries[key].job_name for key in done.started if key in decided.entries}
    return (shown - ended) | {names[key] for key in done.started}


def capacity_document(state: State) -> CapacityDocument:
    """Return the document that describes a state."""
    home, others = state.capacity, state.capacity.targets
    used = _used_by_target(state)
    wanted = _wanted(state) if others else frozenset()
    return CapacityDocument(
        at=state.at,
        tuning_jobs=_slots(used[HOME], home),
        instances=_instances(used[HOME], home),
        quotas=dict(home.instances),
        waiting=tuple(_waiting(state)),
        queues=state.queue_counts.published(),
        teams_on_hold=tuple(sorted(state.teams_on_hold)),
        running=tuple(_running(state)),
        run_times=state.run_times.published(),
        budgets=_budgets(state),
        usage=dict(state.usage),
        arrivals=tuple(state.arrivals),
        estimates=state.estimates,
        targets={
            name: TargetUse(
                tuning_jobs=_slots(used[name], target),
                instances=_instances(used[name], target),
                quotas={r: n for r, n in target.instances.items() if r in wanted},
                preference=target.preference,
                may_use=target.teams,
                problem=state.closed.get(name, ""),
            )
            for name, target in others.items()
        },
        preference=home.preference,
        may_use=home.teams,
        problem=state.closed.get(HOME, ""),
    )


def _wanted(state: State) -> frozenset[str]:
    """Return the resources that waiting and recent requests need.

    An account has hundreds of quotas. Without the others, a document about twenty targets still has
    room for the waiting requests.
    """
    instances = [wait.head.instances for wait in state.waits]
    instances += [arrival.instances for arrival in state.arrivals]
    return frozenset(resource for each in instances for resource in with_totals(each))


_Used = Sequence[tuple[str, Mapping[str, int]]]  # teams, and the instances of one job of each


def _used_by_target(state: State) -> Mapping[str, _Used]:
    """Return what running and started jobs use, by target."""
    used: dict[str, list[tuple[str, Mapping[str, int]]]] = {HOME: []}
    used |= {name: [] for name in state.capacity.targets}
    jobs = [(job.target, job.team or OTHERS, job.instances) for job in state.running_jobs]
    jobs += [(entry.target, entry.team, entry.instances) for entry in state.started]
    for target, team, instances in jobs:
        capacity = state.capacity.on(target)
        if capacity:  # else the settings do not have the target any more
            used[target].append((team, capacity.counted(instances)))
    return used


def _slots(used: _Used, capacity: Capacity) -> ResourceUse:
    return _use(((team, 1) for team, _ in used), capacity.tuning_jobs)


def _instances(used: _Used, capacity: Capacity) -> dict[str, ResourceUse]:
    resources = {each for _, instances in used for each in instances}
    return {
        each: _use(((team, use.get(each, 0)) for team, use in used), capacity.instances.get(each))
        for each in sorted(resources)
    }


def update_counts(
    counts: QueueCounts,
    moves: Iterable[QueueMove],
    queues: Mapping[str, Sequence[Entry]],
    whole: Collection[str],
) -> None:
    """Update the queue counts with what has moved, then with the heads as they were read.

    Args:
        counts: as the last cycle left them; changed in place.
        moves: into and out of the queues, before their heads were read.
        queues: the heads of each team that was examined.
        whole: teams whose queue is not longer than that.
    """
    # In queue order: marks of requests that join out of order would grow beyond their size.
    for move in sorted(moves, key=lambda move: (not move.joined, move.sort_key)):
        count = counts.of(move.team)
        (count.join if move.joined else count.leave)(move.sort_key)
    for team, entries in queues.items():
        counts.of(team).correct([entry.queue_sort_key for entry in entries], team in whole)


def divide_overfull(counts: QueueCounts, queued_from: QueuedFrom) -> None:
    """Divide the mark that counts too many requests, if there is one, by reading a page of it."""
    overfull = counts.overfull()
    if overfull is None:
        return
    team, first = overfull
    try:
        read = queued_from(team, first, READ_AT_ONCE)
    except Unavailable:
        return  # a later cycle divides it
    counts.of(team).divide(first, [entry.queue_sort_key for entry in read])


def update_run_times(
    run_times: RunTimes, ended: Iterable[tuple[RunningEntry, TuningJobDetail]]
) -> None:
    """Record the run times of tuning jobs that have ended without being stopped."""
    for job, detail in ended:
        if detail.ended_at and detail.status in (Status.COMPLETED, Status.FAILED):
            work = Work(team=job.team, template=job.template, rounds=job.rounds)
            seconds = (detail.ended_at - job.started_at).total_seconds()
            run_times.record(work, seconds, job.expected_seconds, job.most_seconds)


def _budgets(state: State) -> dict[str, BudgetUse]:
    started: Counter[str] = Counter()
    for entry in state.started:
        started[entry.team] += entry.most_instance_seconds
    return {
        team: budget.with_more_set_aside(started[team]).in_hours()
        for team, budget in sorted(state.budgets.items())
    }


def _waiting(state: State) -> Iterable[WaitingRequest]:
    """Yield the first heads of all queues with their positions, the first of each queue first."""
    positions: Counter[str] = Counter()
    placed: list[tuple[int, Wait]] = []
    for wait in state.waits:
        positions[wait.head.team] += 1
        placed.append((positions[wait.head.team], wait))
    for position, wait in sorted(placed, key=lambda each: each[0])[:WAITING_SHOWN]:
        yield _waiting_request(wait, position, state)


def _waiting_request(wait: Wait, position: int, state: State) -> WaitingRequest:
    head: Head = wait.head
    entry, timer = state.entries.get(head.key), state.reservation_timers.get(head.key)
    return WaitingRequest(
        team=head.team,
        request_id=head.request_id,
        position=position,
        reason=wait.reason.text,
        reason_kind=wait.reason.kind,
        priority=head.priority,
        accepted_at=head.accepted_at,
        instances=dict(head.instances),
        template=entry.template if entry else "",
        rounds=entry.rounds if entry else 1,
        first_since=timer.since if timer else None,
        passed_at=timer.passed_at if timer else None,
        reserved_at=timer.reserved_at if timer else None,
        promised_at=timer.promised_at if timer else None,
        expected_seconds=entry.expected_seconds_left if entry else 0,
        most_seconds=entry.most_seconds if entry else 0,
        targets=entry.allowed_targets if entry else head.targets,
    )


def _running(state: State) -> Iterable[RunningTuningJob]:
    for job in state.running_jobs:
        ours = state.active.get(job.tuning_job_name)
        yield RunningTuningJob(
            team=job.team,
            instances=dict(job.instances),
            started_at=ours.started_at if ours else None,
            template=ours.template if ours else "",
            rounds=ours.rounds if ours else 1,
            expected_seconds=ours.expected_seconds if ours else 0,
            most_seconds=ours.most_seconds if ours else 0,
            target=job.target,
        )
    for entry in state.started:
        yield RunningTuningJob(
            team=entry.team,
            instances=dict(entry.instances),
            started_at=state.at,
            template=entry.template,
            rounds=entry.rounds,
            expected_seconds=entry.expected_seconds_left,
            most_seconds=entry.most_seconds,
            target=entry.target,
        )


def _use(uses: Iterable[tuple[str, int]], limit: int | None) -> ResourceUse:
    by_team: Counter[str] = Counter()
    for team, amount in uses:
        by_team[team] += amount
    return ResourceUse(limit=limit, in_use=by_team.total(), by_team=dict(by_team))
