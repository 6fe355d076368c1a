"""The ledger as DynamoDB items. The attribute names are a contract: clients read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from hpo_dispatcher.contract.dynamodb_json import read, typed
from hpo_dispatcher.contract.entry import (
    UNKNOWN,
    BestTrainingJob,
    BlockedEntry,
    EarlierJob,
    Entry,
    Key,
    RunningEntry,
    Status,
    timestamp,
    unreadable,
)
from hpo_dispatcher.contract.errors import Unreadable
from hpo_dispatcher.contract.request import digest

# The version of a row. It is raised when an older hpoq can no longer read it: docs/decisions/0017.
VERSION = 2
# The version of rows without what version 2 is about, preemptions.
PLAIN = 1
LEASE_KEY = {"team": "#dispatcher", "id": "lease"}
RUNNING = "#active"
BLOCKED = "#blocked"
SPENT = "#spent"
DEPLOYMENT = "#deployment"

Item = dict[str, Any]


def to_wire(item: Mapping[str, Any]) -> dict[str, Any]:
    """Convert plain values to DynamoDB's typed ones; floats become exact decimals."""
    return {key: typed(value) for key, value in item.items()}


def from_wire(item: Mapping[str, Any]) -> Item:
    """Convert DynamoDB's typed values to plain ones; numbers stay ``Decimal``."""
    return {key: read(value) for key, value in item.items()}


def moment(text: str | None) -> datetime | None:
    """Parse a timestamp; None if there is none."""
    return datetime.fromisoformat(text) if text else None


def attributes(changes: Mapping[str, Any]) -> tuple[Item, list[str]]:
    """Translate fields of an entry.

    Args:
        changes: fields of ``Entry`` to their values.

    Returns:
        The attributes to write, and the names of those to remove.
    """
    written: Item = {}
    for name, value in changes.items():
        written |= _WRITE[name](value) if name in _WRITE else {name: value}
    if changes.get("earlier") or changes.get("preempted_for"):
        written["version"] = VERSION
    removed = [name for name, value in written.items() if value is None]
    return {name: value for name, value in written.items() if value is not None}, removed


def _request_attributes(written: str) -> Item:
    return {"request": written or None, "digest": digest(written) if written else None}


def _earlier_attributes(jobs: Sequence[EarlierJob]) -> Item:
    return {"earlier": [_earlier_item(job) for job in jobs] or None}


def _time(name: str) -> Callable[[datetime | None], Item]:
    return lambda at: {name: timestamp(at) if at else None}


# Fields that are stored differently; the others are stored as they are, under their own names.
_WRITE: Mapping[str, Callable[[Any], Item]] = {
    "status": lambda status: {"status": str(status)},
    "accepted_at": _time("accepted_at"),
    "request_json": _request_attributes,
    "resume_blocker": lambda text: {"obstacle": text},
    "instances": lambda instances: {"instances": dict(instances)},
    "tuning_job_name": lambda name: {"tuning_job_name": name or None},
    "started_at": _time("started_at"),
    "ended_at": _time("ended_at"),
    "counters": lambda counters: {"counters": dict(counters)},
    "best": lambda best: {"best": _best_item(best) if best else None},
    "blocked": lambda blocked: {"blocked": blocked or None},
    "on_hold": lambda on_hold: {"held": on_hold or None},
    "earlier": _earlier_attributes,
    "preempted_for": lambda key: {"stopped_for": "/".join(key) if key else None},
    "already_stopped": lambda count: {"stopped_before": count or None},
}


def entry_item(entry: Entry, now: datetime) -> Item:
    """Return an entry as an item, without attributes for what it does not have."""
    names = (each.name for each in fields(entry) if each.name not in ("team", "request_id"))
    written, _ = attributes({name: getattr(entry, name) for name in names})
    item = {"version": PLAIN, **written, "updated_at": timestamp(now)}
    if entry.in_queue:
        item |= queue_attributes(entry.team, entry.queue_sort_key)
    return {"team": entry.team, "id": entry.request_id} | item


def queue_attributes(team: str, sort_key: str) -> Item:
    """Return the attributes that put an entry into its team's queue, a sparse index."""
    return {"line": team, "line_position": sort_key}


def blocked_item(blocked: BlockedEntry) -> Item:
    """Return the row that says what a blocked entry waits for."""
    return blocked_key(blocked.key) | {
        "version": PLAIN,
        "of_team": blocked.team,
        "of_id": blocked.request_id,
        "after": list(blocked.after),
        "warm_start_from": list(blocked.warm_start_from),
    }


def blocked_key(key: Key) -> Item:
    """Return the key of the row that says what an entry waits for."""
    return {"team": BLOCKED, "id": "/".join(key)}


def blocked_from(item: Item) -> BlockedEntry:
    """Return that row as a value; raise as ``entry_from``."""
    check_version(item)
    return BlockedEntry(
        team=item["of_team"],
        request_id=item["of_id"],
        after=tuple(item["after"]),
        warm_start_from=tuple(item["warm_start_from"]),
    )


def check_version(item: Item) -> None:
    """Raise if a later hpoq wrote a row; the oldest rows have no version.

    Raises:
        Unreadable: names the row and what to do.
    """
    version = int(item.get("version", 1))
    if version > VERSION:
        problem = f"has version {version}, and this hpoq reads up to {VERSION}"
        raise _unreadable(item, problem, "Use the hpoq that wrote it or a later one")


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


def _earlier_item(job: EarlierJob) -> Item:
    return {
        "tuning_job_name": job.tuning_job_name,
        "counters": dict(job.counters),
        "interrupted": job.interrupted,
        "seconds": job.seconds,
        "instance_seconds": job.instance_seconds,
        "found": job.found,
    }


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


def running_item(running: RunningEntry) -> Item:
    """Return the row that counts an entry's capacity while its tuning job runs."""
    item: Item = running_key(running.tuning_job_name) | {
        "version": VERSION if running.resumed or running.preempted_for else PLAIN,
        "of_team": running.team,
        "of_id": running.request_id,
        "status": str(running.status),
        "instances": dict(running.instances),
        "started_at": timestamp(running.started_at),
        "template": running.template,
        "rounds": running.rounds,
        "most_instance_seconds": running.most_instance_seconds,
        "priority": running.priority,
        "obstacle": running.resume_blocker,
        "resumed": running.resumed,
    }
    if running.preempted_for:
        item["stopped_for"] = "/".join(running.preempted_for)
        item["stopped_before"] = running.already_stopped
    return item


def running_key(tuning_job_name: str) -> Item:
    """Return the key of the row that counts a tuning job's capacity."""
    return {"team": RUNNING, "id": tuning_job_name}


def running_from(item: Item) -> RunningEntry:
    """Return that row as a value; raise as ``entry_from``."""
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
    """Return the key of the row that counts what a team used in a month."""
    return {"team": SPENT, "id": f"{month}/{team}"}


def spent_from(item: Item) -> tuple[str, int]:
    """Return the team and instance-seconds of that row; raise as ``entry_from``."""
    check_version(item)
    return item["id"].partition("/")[2], int(item["instance_seconds"])


def _best_item(best: BestTrainingJob) -> Item:
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
