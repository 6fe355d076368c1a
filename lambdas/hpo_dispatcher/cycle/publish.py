"""The ``capacity`` document: the state of the account that every team may read. Pure.

What is in use, who waits for what, how long each line is, and what an estimate of starting
times is made from: what runs since when, and how long the like has lately taken. Clients turn
it into places and times when somebody asks (``hpoq.forecast``); a cycle only writes it down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hpo_dispatcher.contract.entry import ActiveJob, Entry, Status, timestamp
from hpo_dispatcher.contract.line_counts import Census
from hpo_dispatcher.contract.run_times import RunTimes, Work
from hpo_dispatcher.cycle.intake import Move
from hpo_dispatcher.ports import TuningJobDetail
from hpo_dispatcher.scheduling.budget import Budget
from hpo_dispatcher.scheduling.plan import Capacity, Front, Head, Holder, Wait

DOCUMENT = "capacity"
OTHERS = "(others)"
# The document is one ledger item of 400 KB at most.
WAITING_SHOWN = 500

Key = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class State:
    """What is known at the end of a cycle."""

    at: datetime
    capacity: Capacity
    holders: Sequence[Holder]
    active: Mapping[str, ActiveJob]  # ours among the holders, by tuning job name
    started: Sequence[Entry]  # in this cycle; not among the holders yet
    waits: Sequence[Wait]  # in line order
    entries: Mapping[Key, Entry]
    held_teams: Collection[str]
    census: Census
    run_times: RunTimes
    fronts: Mapping[Key, Front]  # those that are first in their lines, and since when
    budgets: Mapping[str, Budget]  # before this cycle's starts


def bulletin(state: State) -> dict[str, Any]:
    """The document, as JSON values."""
    holding = [(each.team or OTHERS, each.demand.instances) for each in state.holders]
    holding += [(each.team, each.instances) for each in state.started]
    types = {each for _, instances in holding for each in instances}
    limits = state.capacity.instances
    return {
        "at": state.at.isoformat(timespec="seconds"),
        "tuning_jobs": _use(((team, 1) for team, _ in holding), state.capacity.tuning_jobs),
        "instances": {
            each: _use(((team, use.get(each, 0)) for team, use in holding), limits.get(each))
            for each in sorted(types)
        },
        "quotas": dict(limits),
        "waiting": sorted(_waiting(state), key=_place)[:WAITING_SHOWN],
        "lines": state.census.as_document(),
        "held_teams": sorted(state.held_teams),
        "running": [*_running(state)],
        "run_times": state.run_times.as_document(),
        "fronts": [_front(key, front) for key, front in state.fronts.items()],
        "budgets": _budgets(state),
    }


def fronts_from(document: Iterable[Mapping[str, Any]]) -> dict[Key, Front]:
    """The fronts as the last cycle wrote them down."""
    return {
        (each["team"], each["request_id"]): Front(
            since=datetime.fromisoformat(each["since"]),
            passed_at=datetime.fromisoformat(each["passed_at"]) if "passed_at" in each else None,
        )
        for each in document
    }


def _budgets(state: State) -> dict[str, dict[str, Any]]:
    started: Counter[str] = Counter()
    for entry in state.started:
        started[entry.team] += entry.most_instance_seconds
    return {
        team: budget.with_more_set_aside(started[team]).as_document()
        for team, budget in sorted(state.budgets.items())
    }


def counted(
    before: Census,
    moves: Iterable[Move],
    lines: Mapping[str, Sequence[Entry]],
    whole: Collection[str],
) -> Census:
    """The census after what has moved, with the front of each line as it was read.

    Args:
        before: of the last cycle; changed in place.
        moves: into and out of the lines, before those were read.
        lines: the first entries of each team that was looked at.
        whole: teams of whom these are all.
    """
    for move in moves:
        line = before.of(move.team)
        (line.join if move.joined else line.leave)(move.position)
    for team, entries in lines.items():
        before.of(team).seen([entry.position for entry in entries], team in whole)
    return before


def timed(before: RunTimes, ended: Iterable[tuple[ActiveJob, TuningJobDetail]]) -> RunTimes:
    """The run times with those of the tuning jobs that have come to their own end."""
    for job, detail in ended:
        if detail.ended_at and detail.status in (Status.COMPLETED, Status.FAILED):
            work = Work(team=job.team, template=job.template, rounds=job.rounds)
            before.record(work, (detail.ended_at - job.started_at).total_seconds())
    return before


def _front(key: Key, front: Front) -> dict[str, Any]:
    told = {"team": key[0], "request_id": key[1], "since": timestamp(front.since)}
    return told | ({"passed_at": timestamp(front.passed_at)} if front.passed_at else {})


def _place(waiting: Mapping[str, Any]) -> int:
    return int(waiting["position"])


def _waiting(state: State) -> Iterable[dict[str, Any]]:
    """Heads of each line in its order, with their place in it."""
    places: Counter[str] = Counter()
    for wait in state.waits:
        head = wait.head
        places[head.team] += 1
        yield {
            "team": head.team,
            "request_id": head.request_id,
            "position": places[head.team],
            "reason": wait.reason,
            **_asked(head),
            **_work(state.entries.get((head.team, head.request_id))),
        }


def _asked(head: Head) -> dict[str, Any]:
    return {
        "priority": head.priority,
        "accepted_at": timestamp(head.accepted_at),
        "instances": dict(head.demand.instances),
    }


def _running(state: State) -> Iterable[dict[str, Any]]:
    for holder in state.holders:
        job = state.active.get(holder.tuning_job_name)
        yield {
            "team": holder.team,
            "instances": dict(holder.demand.instances),
            **({"started_at": timestamp(job.started_at)} if job else {}),
            **_work(job),
        }
    for entry in state.started:
        yield {
            "team": entry.team,
            "instances": dict(entry.instances),
            "started_at": timestamp(state.at),
            **_work(entry),
        }


def _work(of: Entry | ActiveJob | None) -> dict[str, Any]:
    return {"template": of.template, "rounds": of.rounds} if of else {}


def _use(books: Iterable[tuple[str, int]], limit: int | None) -> dict[str, Any]:
    by_team: Counter[str] = Counter()
    for team, amount in books:
        by_team[team] += amount
    return {"limit": limit, "in_use": by_team.total(), "by_team": by_team}
