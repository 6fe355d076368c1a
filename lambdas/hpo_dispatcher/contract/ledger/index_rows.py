"""The rows beside the entries: what runs, what is blocked, and what a team used in a month."""

from __future__ import annotations

from datetime import datetime

from hpo_dispatcher.contract.entry import (
    UNKNOWN,
    BlockedEntry,
    Key,
    RunningEntry,
    Status,
    timestamp,
)
from hpo_dispatcher.contract.ledger.dynamodb_json import Item
from hpo_dispatcher.contract.ledger.rows import (
    BLOCKED,
    ON_TARGETS,
    PLAIN,
    PREEMPTED,
    RUNNING,
    SPENT,
    integers,
    key_from,
    reading,
)
from hpo_dispatcher.contract.targets.resources import HOME


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
    with reading(item):
        return BlockedEntry(
            team=item["of_team"],
            request_id=item["of_id"],
            after=tuple(item["after"]),
            warm_start_from=tuple(item["warm_start_from"]),
        )


def running_item(running: RunningEntry) -> Item:
    """Return the row that counts an entry's capacity while its tuning job runs."""
    item: Item = running_key(running.tuning_job_name) | {
        "version": _version(running),
        "of_team": running.team,
        "of_id": running.request_id,
        "status": str(running.status),
        "instances": dict(running.instances),
        "started_at": timestamp(running.started_at),
        "template": running.template,
        "rounds": running.rounds,
        "most_instance_seconds": running.most_instance_seconds,
        "expected_seconds": running.expected_seconds,
        "priority": running.priority,
        "obstacle": running.resume_blocker,
        "resumed": running.resumed,
    }
    if running.preempted_for:
        item["stopped_for"] = "/".join(running.preempted_for)
        item["stopped_before"] = running.already_stopped
    if running.target != HOME:
        item["target"] = running.target
    return item


def _version(running: RunningEntry) -> int:
    if running.target != HOME:
        return ON_TARGETS
    return PREEMPTED if running.resumed or running.preempted_for else PLAIN


def running_key(tuning_job_name: str) -> Item:
    """Return the key of the row that counts a tuning job's capacity."""
    return {"team": RUNNING, "id": tuning_job_name}


def running_from(item: Item) -> RunningEntry:
    """Return that row as a value; raise as ``entry_from``."""
    with reading(item):
        return RunningEntry(
            tuning_job_name=item["id"],
            team=item["of_team"],
            request_id=item["of_id"],
            status=Status(item["status"]),
            instances=integers(item.get("instances", {})),
            started_at=datetime.fromisoformat(item["started_at"]),
            template=item.get("template", ""),
            rounds=int(item.get("rounds", 1)),
            most_instance_seconds=int(item.get("most_instance_seconds", 0)),
            expected_seconds=int(item.get("expected_seconds", 0)),
            priority=int(item.get("priority", 0)),
            resume_blocker=item.get("obstacle", UNKNOWN),
            resumed=bool(item.get("resumed")),
            preempted_for=key_from(item.get("stopped_for")),
            already_stopped=int(item.get("stopped_before", 0)),
            target=item.get("target", HOME),
        )


def spent_key(month: str, team: str) -> Item:
    """Return the key of the row that counts what a team used in a month."""
    return {"team": SPENT, "id": f"{month}/{team}"}


def spent_from(item: Item) -> tuple[str, int]:
    """Return the team and instance-seconds of that row; raise as ``entry_from``."""
    with reading(item):
        return item["id"].partition("/")[2], int(item["instance_seconds"])
