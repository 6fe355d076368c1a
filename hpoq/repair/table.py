"""The ledger's table as a whole: what ``hpoq repair`` reads of it, and how it writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from hpo_dispatcher.aws.clients import code
from hpo_dispatcher.contract.entry import Entry, Key, Status
from hpo_dispatcher.contract.errors import HpoqError, Unreadable
from hpo_dispatcher.contract.ledger_items import (
    ACTIVE,
    BLOCKED,
    LEASE_KEY,
    blocked_from,
    blocked_item,
    entry_from,
    entry_item,
    from_wire,
    running_from,
    running_item,
    to_wire,
)
from hpoq.repair.decision import Kind, Repair

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# What an entry may have or not have; all else is always there, or is not ours to remove.
OPTIONAL = (
    "request", "digest", "reason", "ended_at", "blocked", "held", "line", "line_position",
    "tuning_job_name", "started_at", "counters", "best", "earlier", "stopped_for",
    "stopped_before",
)  # fmt: skip


class NotRepaired(HpoqError):
    """The ledger changed while it was being repaired."""


@dataclass
class Rows:
    """Everything in the table that ``decide`` asks about."""

    entries: dict[Key, Entry] = field(default_factory=dict)
    active: set[str] = field(default_factory=set)
    blocked: set[Key] = field(default_factory=set)
    untouchable: dict[Key, str] = field(default_factory=dict)  # key -> why


def read_rows(dynamodb: DynamoDBClient, table: str) -> Rows:
    """Scan the table."""
    rows = Rows()
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        for item in page["Items"]:
            _take(from_wire(item), rows)
    return rows


def _take(item: dict[str, Any], rows: Rows) -> None:
    try:
        if item["team"] == ACTIVE:
            rows.active.add(running_from(item).tuning_job_name)
        elif item["team"] == BLOCKED:
            waiting = blocked_from(item)
            rows.blocked.add((waiting.team, waiting.request_id))
        elif not item["team"].startswith("#"):
            entry = entry_from(item)
            rows.entries[entry.key] = entry
    except Unreadable as error:
        key = item.get("of_team", item["team"]), item.get("of_id", item["id"])
        rows.untouchable[key] = str(error)


def write(dynamodb: DynamoDBClient, table: str, repair: Repair, owner: str, now: datetime) -> None:
    """Make one repair: the entry and its rows in one transaction, under the lease.

    Raises:
        NotRepaired: the entry has changed since it was read, or the lease was lost.
    """
    writes = [_lease(owner), *(_entry_writes(repair, now) if repair.entry else [_gone(repair)])]
    items: Any = [
        {kind: {"TableName": table, **fields} for kind, fields in write.items()} for write in writes
    ]
    try:
        dynamodb.transact_write_items(TransactItems=items)
    except ClientError as error:
        if code(error) != "TransactionCanceledException":
            raise
        raise NotRepaired(
            f"{'/'.join(repair.key)} changed meanwhile, a dispatcher may be at work. "
            "Run `hpoq repair` again; what was repaired stays so"
        ) from None


def _lease(owner: str) -> dict[str, Any]:
    return {
        "ConditionCheck": {
            "Key": to_wire(LEASE_KEY),
            "ConditionExpression": "holder = :owner",
            "ExpressionAttributeValues": to_wire({":owner": owner}),
        }
    }


def _gone(repair: Repair) -> dict[str, Any]:
    return {"Delete": {"Key": to_wire({"team": repair.key[0], "id": repair.key[1]})}}


def _entry_writes(repair: Repair, now: datetime) -> list[dict[str, Any]]:
    entry = repair.entry
    assert entry is not None  # noqa: S101  the caller has looked
    capacity = to_wire({"team": ACTIVE, "id": entry.job_name})
    waiting = to_wire({"team": BLOCKED, "id": "/".join(entry.key)})
    writes = [] if repair.kind is Kind.ROWS else [_update(entry, repair.was, now)]
    if entry.status.active:
        held = running_item(entry, entry.started_at or now) | {"status": str(entry.status)}
        writes.append({"Put": {"Item": to_wire(held)}})
    else:
        writes.append({"Delete": {"Key": capacity}})
    if entry.status is Status.QUEUED and entry.blocked:
        writes.append({"Put": {"Item": to_wire(blocked_item(entry))}})
    else:
        writes.append({"Delete": {"Key": waiting}})
    return writes


def _update(entry: Entry, was: Status | None, now: datetime) -> dict[str, Any]:
    """Set what the entry has and remove what it has no more; what is not ours stays."""
    item = entry_item(entry, now)
    key = {name: item.pop(name) for name in ("team", "id")}
    sets = ", ".join(f"#{name} = :{name}" for name in item)
    gone = [name for name in OPTIONAL if name not in item]
    removes = f" REMOVE {', '.join(f'#{name}' for name in gone)}" if gone else ""
    values: Mapping[str, Any] = {f":{name}": value for name, value in item.items()}
    condition, expected = "attribute_not_exists(id)", {}
    if was:
        condition, expected = "#status = :was", {":was": str(was)}
    return {
        "Update": {
            "Key": to_wire(key),
            "UpdateExpression": f"SET {sets}{removes}",
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {f"#{name}": name for name in (*item, *gone)},
            "ExpressionAttributeValues": to_wire(values) | to_wire(expected),
        }
    }
