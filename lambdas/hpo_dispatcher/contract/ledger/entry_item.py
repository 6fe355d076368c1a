"""The entries of the ledger as DynamoDB items.

The attribute names are a contract: clients read them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import partial
from typing import Any

from hpo_dispatcher.contract.entry import (
    UNKNOWN,
    BestTrainingJob,
    EarlierJob,
    Entry,
    Status,
    timestamp,
)
from hpo_dispatcher.contract.ledger.dynamodb_json import Item
from hpo_dispatcher.contract.ledger.rows import (
    ON_TARGETS,
    PLAIN,
    PREEMPTED,
    integers,
    key_from,
    moment,
    reading,
)
from hpo_dispatcher.contract.request import digest
from hpo_dispatcher.contract.targets.resources import HOME


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
        written["version"] = PREEMPTED
    if _elsewhere(changes):
        written["version"] = ON_TARGETS
    removed = [name for name, value in written.items() if value is None]
    return {name: value for name, value in written.items() if value is not None}, removed


def _elsewhere(changes: Mapping[str, Any]) -> bool:
    """Return whether a change is about targets besides home."""
    targets = {changes.get("target", HOME), *changes.get("targets", ())}
    return targets != {HOME}


def _request_attributes(written: str) -> Item:
    return {"request": written or None, "digest": digest(written) if written else None}


def _earlier_attributes(jobs: Sequence[EarlierJob]) -> Item:
    return {"earlier": [_earlier_item(job) for job in jobs] or None}


def _time(name: str, at: datetime | None) -> Item:
    return {name: timestamp(at) if at else None}


# Fields that are stored differently; the others are stored as they are, under their own names.
_WRITE: Mapping[str, Callable[[Any], Item]] = {
    "status": lambda status: {"status": str(status)},
    "accepted_at": partial(_time, "accepted_at"),
    "request_json": _request_attributes,
    "resume_blocker": lambda text: {"obstacle": text},
    "instances": lambda instances: {"instances": dict(instances)},
    "priority_aging_minutes": lambda minutes: {"priority_aging_minutes": minutes or None},
    "tuning_job_name": lambda name: {"tuning_job_name": name or None},
    "started_at": partial(_time, "started_at"),
    "ended_at": partial(_time, "ended_at"),
    "counters": lambda counters: {"counters": dict(counters)},
    "best": lambda best: {"best": _best_item(best) if best else None},
    "blocked": lambda blocked: {"blocked": blocked or None},
    "on_hold": lambda on_hold: {"held": on_hold or None},
    "earlier": _earlier_attributes,
    "preempted_for": lambda key: {"stopped_for": "/".join(key) if key else None},
    "already_stopped": lambda count: {"stopped_before": count or None},
    "targets": lambda targets: {"targets": None if targets == (HOME,) else list(targets)},
    "target": lambda target: {"target": None if target == HOME else target},
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
    with reading(item):
        return _entry_from(item)


def _entry_from(item: Item) -> Entry:
    best = item.get("best")
    return Entry(
        team=item["team"],
        request_id=item["id"],
        status=Status(item["status"]),
        accepted_at=datetime.fromisoformat(item["accepted_at"]),
        request_json=item.get("request", ""),
        template=item.get("template", ""),
        priority=int(item.get("priority", 0)),
        instances=integers(item.get("instances", {})),
        max_training_jobs=int(item.get("max_training_jobs", 0)),
        max_parallel=int(item.get("max_parallel", 0)),
        most_instance_seconds=int(item.get("most_instance_seconds", 0)),
        expected_seconds=int(item.get("expected_seconds", 0)),
        priority_aging_minutes=int(item.get("priority_aging_minutes", 0)),
        tuning_job_name=item.get("tuning_job_name", ""),
        started_at=moment(item.get("started_at")),
        ended_at=moment(item.get("ended_at")),
        reason=item.get("reason", ""),
        counters=integers(item.get("counters", {})),
        best=_best(best) if best else None,
        blocked=bool(item.get("blocked")),
        on_hold=bool(item.get("held")),
        resume_blocker=item.get("obstacle", UNKNOWN),
        earlier=tuple(map(_earlier, item.get("earlier", ()))),
        preempted_for=key_from(item.get("stopped_for")),
        already_stopped=int(item.get("stopped_before", 0)),
        targets=tuple(item.get("targets", ())) or (HOME,),
        target=item.get("target", HOME),
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
        counters=integers(item["counters"]),
        interrupted=int(item["interrupted"]),
        seconds=int(item["seconds"]),
        instance_seconds=int(item["instance_seconds"]),
        found=bool(item["found"]),
    )


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
