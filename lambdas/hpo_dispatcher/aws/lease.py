"""The cycle lock: one row of the ledger's table, changed by conditional updates."""

from __future__ import annotations

from datetime import datetime

from hpo_dispatcher.aws.dynamodb_table import ConditionFailed, Table
from hpo_dispatcher.contract.entry import timestamp
from hpo_dispatcher.contract.ledger.rows import LEASE_KEY, moment
from hpo_dispatcher.ports import Lease


class DynamoDBLeases:
    """``Leases`` on DynamoDB."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def acquire(self, owner: str, now: datetime, until: datetime) -> Lease | None:
        """Take or renew the lease."""
        try:
            row = self._table.update(
                LEASE_KEY,
                "SET holder = :owner, held_until = :until",
                "attribute_not_exists(holder) OR holder = :owner OR held_until < :now",
                {":owner": owner, ":until": timestamp(until), ":now": timestamp(now)},
            )
        except ConditionFailed:
            return None
        return Lease(owner=owner, until=until, last_cycle=moment(row.get("last_cycle")))

    def release(self, owner: str, last_cycle: datetime | None) -> bool:
        """Give the lease back."""
        values = {":owner": owner}
        change = "REMOVE holder, held_until"
        if last_cycle:
            values[":began"] = timestamp(last_cycle)
            change = f"SET last_cycle = :began {change}"
        try:
            row = self._table.update(LEASE_KEY, change, "holder = :owner", values)
        except ConditionFailed:
            return False
        asked_at = moment(row.get("asked_at"))
        return bool(last_cycle and asked_at and asked_at > last_cycle)

    def ask_for_cycle(self, now: datetime) -> bool:
        """Ask the lease's owner to run another cycle before releasing the lease."""
        row = self._table.update(LEASE_KEY, "SET asked_at = :now", None, {":now": timestamp(now)})
        held_until = moment(row.get("held_until"))
        return bool(row.get("holder") and held_until and held_until >= now)
