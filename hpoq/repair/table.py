"""What ``hpoq repair`` reads of the ledger's table: all of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hpo_dispatcher.contract.entry import Entry, Key
from hpo_dispatcher.contract.errors import Unreadable
from hpo_dispatcher.contract.ledger.dynamodb_json import from_wire
from hpo_dispatcher.contract.ledger.entry_item import entry_from
from hpo_dispatcher.contract.ledger.index_rows import blocked_from, running_from
from hpo_dispatcher.contract.ledger.rows import BLOCKED, RUNNING

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass
class LedgerRows:
    """Every row of the ledger that ``decide`` looks at."""

    entries: dict[Key, Entry] = field(default_factory=dict)
    running: dict[str, str] = field(default_factory=dict)  # tuning job names -> the target
    blocked: set[Key] = field(default_factory=set)
    unreadable: dict[Key, str] = field(default_factory=dict)  # key -> why


def read_rows(dynamodb: DynamoDBClient, table: str) -> LedgerRows:
    """Scan the table."""
    rows = LedgerRows()
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        for item in page["Items"]:
            _read_row(from_wire(item), rows)
    return rows


def _read_row(item: dict[str, Any], rows: LedgerRows) -> None:
    try:
        if item["team"] == RUNNING:
            running = running_from(item)
            rows.running[running.tuning_job_name] = running.target
        elif item["team"] == BLOCKED:
            rows.blocked.add(blocked_from(item).key)
        elif not item["team"].startswith("#"):
            entry = entry_from(item)
            rows.entries[entry.key] = entry
    except Unreadable as error:
        key = item.get("of_team", item["team"]), item.get("of_id", item["id"])
        rows.unreadable[key] = str(error)
