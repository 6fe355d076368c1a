"""Ledger entries as DynamoDB items. The attribute names are a contract: clients read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hpo_dispatcher.contract.dynamodb_json import read, typed
from hpo_dispatcher.contract.entry import (
    UNKNOWN,
    BestTrainingJob,
    BlockedEntry,
    EarlierJob,
    Entry,
    RunningEntry,
    Status,
    timestamp,
    unreadable,
)
from hpo_dispatcher.contract.errors import Unreadable
from hpo_dispatcher.contract.request import digest

# Of a row; raised when an older hpoq could no longer read it: docs/decisions/0017.
VERSION = 2
# Of rows without what version 2 is about: stops that make room.
PLAIN = 1
LEASE_KEY = {"team": "#dispatcher", "id": "lease"}
ACTIVE = "#active"
BLOCKED = "#blocked"
SPENT = "#spent"
DEPLOYMENT = "#deployment"

Item = dict[str, Any]


def to_wire(item: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values to DynamoDB's typed ones; floats become exact decimals."""
    return {key: typed(value) for key, value in item.items()}


def from_wire(item: Mapping[str, Any]) -> Item:
    """DynamoDB's typed values to plain ones; numbers stay ``Decimal``."""
    return {key: read(value) for key, value in item.items()}


def moment(text: str | None) -> datetime | None:
    """The other way round."""
    return datetime.fromisoformat(text) if text else None


def entry_item(entry: Entry, now: datetime) -> Item:
    """An entry as an item, with no attribute for what it does not have."""
    item: Item = {
        "team": entry.team,
        "id": entry.request_id,
        "version": VERSION if entry.earlier or entry.preempted_for else PLAIN,
        "status": str(entry.status),
        "template": entry.template,
        "priority": entry.priority,
        "accepted_at": timestamp(entry.accepted_at),
        "updated_at": timestamp(now),
        "instances": dict(entry.instances),
        "max_training_jobs": entry.max_training_jobs,
        "max_parallel": entry.max_parallel,
        "most_instance_seconds": entry.most_instance_seconds,
        "obstacle": entry.resume_blocker,
    }
    if entry.earlier:
        item["earlier"] = earlier_items(entry)
    if entry.preempted_for:
        item["stopped_for"] = "/".join(entry.preempted_for)
        item["stopped_before"] = entry.already_stopped
    if entry.request_json:
        item |= {"request": entry.request_json, "digest": digest(entry.request_json)}
    if entry.reason:
        item["reason"] = entry.reason
    if entry.ended_at:
        item["ended_at"] = timestamp(entry.ended_at)
    if entry.tuning_job_name:
        item["tuning_job_name"] = entry.tuning_job_name
    if entry.started_at:
        item["started_at"] = timestamp(entry.started_at)
    if entry.counters:
        item["counters"] = dict(entry.counters)
    if entry.best:
        item["best"] = best_item(entry.best)
    marks = {"blocked": entry.blocked, "held": entry.on_hold}
    item |= {mark: True for mark, is_set in marks.items() if is_set}
    if entry.status is Status.QUEUED and not (entry.blocked or entry.on_hold):
        item |= line_attributes(entry)
    return item


def blocked_item(entry: Entry) -> Item:
    """The row that says what a blocked entry waits for."""
    request = entry.request
    return {
        "team": BLOCKED,
        "version": PLAIN,
        "id": f"{entry.team}/{entry.request_id}",
        "of_team": entry.team,
        "of_id": entry.request_id,
        "after": list(request.after) if request else [],
        "warm_start_from": list(request.warm_start_from) if request else [],
    }


def blocked_from(item: Item) -> BlockedEntry:
    """That row again; raises as ``entry_from``."""
    check_version(item)
    return BlockedEntry(
        team=item["of_team"],
        request_id=item["of_id"],
        after=tuple(item["after"]),
        warm_start_from=tuple(item["warm_start_from"]),
    )


def line_attributes(entry: Entry) -> Item:
    """What puts an entry into its team's line (a sparse index)."""
    return {"line": entry.team, "line_position": entry.queue_sort_key}


def check_version(item: Item) -> None:
    """Refuse what a later hpoq has written; rows of old carry no version.

    Raises:
        Unreadable: naming the row and the way out.
    """
    version = int(item.get("version", 1))
    if version > VERSION:
        problem = f"is a row of version {version}, and this hpoq knows {VERSION}"
        raise _unreadable(item, problem, "Use the hpoq that wrote it, or a later one")


def _unreadable(item: Item, problem: str, fix: str) -> Unreadable:
    return Unreadable(f"ledger row {item['team']}/{item['id']}", problem, fix)


def entry_from(item: Item) -> Entry:
    """Return the entry of an item, its request included.

    Raises:
        Unreadable: a later version wrote the item, or it is damaged.
    """
    entry = head_from(item)
    _ = entry.request  # parsed now: a damaged request is an unreadable row
    return entry


def head_from(item: Item) -> Entry:
    """Return the entry of an item, without parsing its request; raise as ``entry_from``."""
    check_version(item)
    try:
        return _entry_from(item)
    except (ValueError, KeyError, TypeError) as error:
        raise unreadable((item["team"], item["id"]), error) from None


def _entry_from(item: Item) -> Entry:
    best = item.get("best")
    accepted_at = moment(item["accepted_at"])
    assert accepted_at is not None  # noqa: S101  every entry has one
    return Entry(
        team=item["team"],
        request_id=item["id"],
        status=Status(item["status"]),
        accepted_at=accepted_at,
        request_json=item.get("request", ""),
        template=item.get("template", ""),
        priority=int(item.get("priority", 0)),
        instances=_integers(item.get("instances", {})),
        max_training_jobs=int(item.get("max_training_jobs", 0)),
        max_parallel=int(item.get("max_parallel", 0)),
        most_instance_seconds=int(item.get("most_instance_seconds", 0)),
        tuning_job_name=item.get("tuning_job_name", ""),
        started_at=moment(item.get("started_at")),
        ended_at=moment(item.get("ended_at")),
        reason=item.get("reason", ""),
        counters=_integers(item.get("counters", {})),
        best=_best(best) if best else None,
        blocked=bool(item.get("blocked", False)),
        on_hold=bool(item.get("held", False)),
        resume_blocker=item.get("obstacle", UNKNOWN),
        earlier=tuple(map(_earlier, item.get("earlier", ()))),
        preempted_for=_key(item.get("stopped_for")),
        already_stopped=int(item.get("stopped_before", 0)),
    )


def earlier_items(entry: Entry) -> list[Item]:
    """An entry's earlier tuning jobs as an attribute."""
    return [
        {
            "tuning_job_name": job.tuning_job_name,
            "counters": dict(job.counters),
            "interrupted": job.interrupted,
            "seconds": job.seconds,
            "instance_seconds": job.instance_seconds,
            "found": job.found,
        }
        for job in entry.earlier
    ]


def _earlier(item: Item) -> EarlierJob:
    return EarlierJob(
        tuning_job_name=item["tuning_job_name"],
        counters=_integers(item["counters"]),
        interrupted=int(item["interrupted"]),
        seconds=int(item["seconds"]),
        instance_seconds=int(item["instance_seconds"]),
        found=bool(item["found"]),
    )


def _key(text: str | None) -> tuple[str, str] | None:
    team, _, request_id = (text or "").partition("/")
    return (team, request_id) if text else None


def running_item(entry: Entry, at: datetime) -> Item:
    """The row that holds an entry's capacity while its tuning job runs."""
    item: Item = {
        "team": ACTIVE,
        "version": VERSION if entry.earlier or entry.preempted_for else PLAIN,
        "id": entry.job_name,
        "of_team": entry.team,
        "of_id": entry.request_id,
        "status": str(Status.IN_PROGRESS),
        "instances": dict(entry.instances),
        "started_at": timestamp(at),
        "template": entry.template,
        "rounds": entry.rounds,
        "most_instance_seconds": entry.most_instance_seconds,
        "priority": entry.priority,
        "obstacle": entry.resume_blocker,
        "resumed": bool(entry.earlier),
    }
    if entry.preempted_for:
        item["stopped_for"] = "/".join(entry.preempted_for)
        item["stopped_before"] = entry.already_stopped
    return item


def running_from(item: Item) -> RunningEntry:
    """That row as planning needs it; raises as ``entry_from``."""
    check_version(item)
    started_at = moment(item["started_at"])
    assert started_at is not None  # noqa: S101  every row has one
    return RunningEntry(
        tuning_job_name=item["id"],
        team=item["of_team"],
        request_id=item["of_id"],
        status=Status(item["status"]),
        instances=_integers(item.get("instances", {})),
        started_at=started_at,
        template=item.get("template", ""),
        rounds=int(item.get("rounds", 1)),
        most_instance_seconds=int(item.get("most_instance_seconds", 0)),
        priority=int(item.get("priority", 0)),
        resume_blocker=item.get("obstacle", UNKNOWN),
        resumed=bool(item.get("resumed", False)),
        preempted_for=_key(item.get("stopped_for")),
        already_stopped=int(item.get("stopped_before", 0)),
    )


def spent_key(month: str, team: str) -> Item:
    """The row that counts what a team has used in a month."""
    return {"team": SPENT, "id": f"{month}/{team}"}


def spent_from(item: Item) -> tuple[str, int]:
    """Team and instance-seconds; raises as ``entry_from``."""
    check_version(item)
    return item["id"].partition("/")[2], int(item["instance_seconds"])


def best_item(best: BestTrainingJob) -> Item:
    """The best training job as an attribute."""
    return {
        "training_job_name": best.name,
        "objective": best.objective,
        "metric": best.metric,
        "hyperparameters": dict(best.hyperparameters),
    }


def _best(item: Item) -> BestTrainingJob:
    return BestTrainingJob(
        name=item["training_job_name"],
        objective=float(item["objective"]),
        metric=item["metric"],
        hyperparameters=item["hyperparameters"],
    )


def _integers(values: Mapping[str, Any]) -> dict[str, int]:
    return {key: int(value) for key, value in values.items()}
