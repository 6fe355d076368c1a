"""Transitions of the ledger as DynamoDB writes: conditional updates, and the rows with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from hpo_dispatcher.aws.dynamodb_table import Write
from hpo_dispatcher.contract.entry import BlockedEntry, Entry, RunningEntry, Status, timestamp
from hpo_dispatcher.contract.ledger.dynamodb_json import Item, to_wire
from hpo_dispatcher.contract.ledger.entry_item import attributes, entry_item, queue_attributes
from hpo_dispatcher.contract.ledger.index_rows import (
    blocked_item,
    blocked_key,
    running_item,
    running_key,
    spent_key,
)
from hpo_dispatcher.contract.ledger.rows import LEASE_KEY, PLAIN, VERSION
from hpo_dispatcher.contract.names import EXPIRES_AT
from hpo_dispatcher.ports.transitions import Expected, RowChange, Transition, spent_in_all

_PLACEHOLDER = re.compile(r"#\w+")


def expires_at(status: Status, now: datetime, keep: timedelta | None) -> int | None:
    """Return when a row leaves the ledger, in seconds since 1970; None: never.

    Args:
        status: state of the request from now on.
        now: when the row is written.
        keep: how long requests that have ended are kept; None: forever.
    """
    return int((now + keep).timestamp()) if keep and status.ended else None


def writes_of(transition: Transition, now: datetime, keep: timedelta | None = None) -> list[Write]:
    """Return the writes that carry a transition out, all or none of them."""
    writes = [_entry_write(transition, now, keep)]
    name = transition.tuning_job_name
    match transition.running:
        case RunningEntry():
            writes.append(_put(running_item(transition.running)))
        case RowChange.UPDATE:
            written, removed = attributes(transition.changes)
            writes.append(_update(running_key(name), written, removed, "attribute_exists(id)", {}))
        case RowChange.DELETE:
            writes.append(delete(running_key(name)))
    match transition.blocked:
        case BlockedEntry():
            writes.append(_put(blocked_item(transition.blocked)))
        case RowChange.DELETE:
            writes.append(delete(blocked_key(transition.key)))
    return writes


def _entry_write(transition: Transition, now: datetime, keep: timedelta | None) -> Write:
    written, removed = attributes(transition.changes)
    if "status" in transition.changes:
        expires = expires_at(transition.changes["status"], now, keep)
        if expires is None:
            removed.append(EXPIRES_AT)
        else:
            written[EXPIRES_AT] = expires
    if transition.queue_sort_key:
        written |= queue_attributes(transition.key[0], transition.queue_sort_key)
    elif transition.leaves_queue:
        removed += queue_attributes("", "")
    condition, values = _condition(transition.expected)
    key = {"team": transition.key[0], "id": transition.key[1]}
    if not written:
        return _check(key, condition, values)
    return _update(key, written | {"updated_at": timestamp(now)}, removed, condition, values)


def _condition(expected: Sequence[Expected]) -> tuple[str, Item]:
    """Return the condition that one of the expectations matches, and the values in it."""
    if not expected:
        return "attribute_not_exists(id)", {}
    values: Item = {}
    alternatives = []
    for index, each in enumerate(expected):
        values[f":was{index}"] = str(each.status)
        parts = [f"#status = :was{index}"]
        if each.tuning_job_name is not None:
            values[":job"] = each.tuning_job_name
            parts.append("#tuning_job_name = :job")
        for attribute, wanted in (
            ("held", each.on_hold),
            ("blocked", each.blocked),
            ("stopped_for", each.preempted),
        ):
            if wanted is not None:
                test = "attribute_exists" if wanted else "attribute_not_exists"
                parts.append(f"{test}(#{attribute})")
        alternatives.append(f"({' AND '.join(parts)})")
    return " OR ".join(alternatives), values


def _update(
    key: Item, written: Item, removed: Sequence[str], condition: str, values: Item
) -> Write:
    change = f"SET {', '.join(f'#{name} = :{name}' for name in written)}"
    if removed:
        change += f" REMOVE {', '.join(f'#{name}' for name in removed)}"
    values = values | {f":{name}": value for name, value in written.items()}
    return {
        "Update": {
            "Key": to_wire(key),
            "UpdateExpression": change,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": _names(change, condition),
            "ExpressionAttributeValues": to_wire(values),
        }
    }


def _check(key: Item, condition: str, values: Item) -> Write:
    return {
        "ConditionCheck": {
            "Key": to_wire(key),
            "ConditionExpression": condition,
            "ExpressionAttributeNames": _names(condition),
            "ExpressionAttributeValues": to_wire(values),
        }
    }


def _names(*expressions: str) -> dict[str, str]:
    """Return the placeholders in expressions; some attribute names are words of DynamoDB."""
    return {name: name[1:] for text in expressions for name in _PLACEHOLDER.findall(text)}


def _put(item: Item) -> Write:
    return {"Put": {"Item": to_wire(item)}}


def spending(transitions: Iterable[Transition]) -> list[Write]:
    """Return one write per team and month: a transaction takes each row once."""
    return [
        {
            "Update": {
                "Key": to_wire(spent_key(month, team)),
                "UpdateExpression": "ADD instance_seconds :more SET version = :version",
                "ExpressionAttributeValues": to_wire({":more": seconds, ":version": PLAIN}),
            }
        }
        for (month, team), seconds in spent_in_all(transitions).items()
        if seconds
    ]


def lease_check(owner: str) -> Write:
    """Return the check that an owner still has the lease."""
    return {
        "ConditionCheck": {
            "Key": to_wire(LEASE_KEY),
            "ConditionExpression": "holder = :owner",
            "ExpressionAttributeValues": to_wire({":owner": owner}),
        }
    }


def addition(
    entry: Entry,
    now: datetime,
    keep: timedelta | None = None,
    *,
    over_rejected: bool = False,
) -> list[Write]:
    """Return the writes that add an entry, where there is none or only a rejected one."""
    condition: Write = {"ConditionExpression": "attribute_not_exists(id)"}
    if over_rejected:
        condition = {
            "ConditionExpression": "#status = :rejected AND version <= :known",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": to_wire({":rejected": "Rejected", ":known": VERSION}),
        }
    item = entry_item(entry, now)
    if expires := expires_at(entry.status, now, keep):
        item[EXPIRES_AT] = expires
    put: Write = {"Put": {"Item": to_wire(item), **condition}}
    return [put, _put(blocked_item(BlockedEntry.of(entry)))] if entry.blocked else [put]


def size_of(writes: list[Write]) -> int:
    """Return the bytes of the one attribute that may be large."""
    request = writes[0]["Put"]["Item"].get("request", {"S": ""})
    return len(request["S"].encode())


def delete(key: Item) -> Write:
    """Return the write that deletes a row, if there is one."""
    return {"Delete": {"Key": to_wire(key)}}
