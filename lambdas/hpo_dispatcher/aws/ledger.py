"""The requests of all teams on DynamoDB: consistent reads, and transitions in transactions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from hpo_dispatcher.aws.dynamodb_table import ROWS, Table, Write, batches
from hpo_dispatcher.aws.transitions import (
    addition,
    delete,
    lease_check,
    size_of,
    spending,
    writes_of,
)
from hpo_dispatcher.contract.entry import BlockedEntry, Entry, Key, RunningEntry, Status
from hpo_dispatcher.contract.errors import Unreadable
from hpo_dispatcher.contract.ledger.dynamodb_json import Item, to_wire
from hpo_dispatcher.contract.ledger.entry_item import entry_from, head_from
from hpo_dispatcher.contract.ledger.index_rows import blocked_from, running_from, spent_from
from hpo_dispatcher.contract.ledger.rows import BLOCKED, RUNNING, SPENT
from hpo_dispatcher.contract.names import LEDGER_INDEX
from hpo_dispatcher.ports import Added, Ending, Preemption
from hpo_dispatcher.ports import transitions as rules
from hpo_dispatcher.ports.transitions import Transition

_T = TypeVar("_T")
# A request is read and changed in two calls. This often, another change may come in between.
ATTEMPTS = 3
# An entry, the row that counts its capacity, and what its team has spent.
ROWS_PER_TRANSITION = 3


class DynamoDBReads:
    """The reading half of ``Requests`` on one DynamoDB table."""

    def __init__(
        self, table: Table, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._table = table
        self._clock = clock
        self._unreadable: dict[str, None] = {}  # lines, in the order in which they were met

    def get(self, team: str, request_id: str) -> Entry | None:
        """See ``Entries``."""
        item = self._table.item({"team": team, "id": request_id})
        return entry_from(item) if item else None

    def get_all(self, keys: Sequence[Key]) -> Mapping[Key, Entry]:
        """See ``Entries``."""
        wanted = [{"team": team, "id": id_} for team, id_ in dict.fromkeys(keys)]
        found = map(self._readable(entry_from), self._table.items(wanted))
        return {entry.key: entry for entry in found if entry}

    def heads(self, team: str, count: int) -> Sequence[Entry]:
        """See ``QueuedRequests``."""
        return self._table.rows(
            self._readable(head_from),
            count,
            IndexName=LEDGER_INDEX,
            KeyConditionExpression="line = :team",
            ExpressionAttributeValues=to_wire({":team": team}),
        )

    def queued_from(self, team: str, sort_key: str, count: int) -> Sequence[Entry]:
        """See ``QueuedRequests``."""
        return self._table.rows(
            self._readable(head_from),
            count,
            IndexName=LEDGER_INDEX,
            KeyConditionExpression="line = :team AND line_position >= :from",
            ExpressionAttributeValues=to_wire({":team": team, ":from": sort_key}),
        )

    def blocked(self, count: int | None = None) -> Sequence[BlockedEntry]:
        """See ``QueuedRequests``."""
        return self._partition(BLOCKED, blocked_from, count)

    def blocked_of(self, team: str, after: str, count: int) -> Sequence[BlockedEntry]:
        """See ``QueuedRequests``."""
        between = {":partition": BLOCKED, ":first": f"{team}/{after}", ":last": f"{team}0"}
        found = self._table.rows(
            self._readable(blocked_from),
            count + 1,  # the first one may be ``after`` itself
            KeyConditionExpression="team = :partition AND id BETWEEN :first AND :last",
            ExpressionAttributeValues=to_wire(between),  # "0" comes after "/"
            ConsistentRead=True,
        )
        return [each for each in found if each.request_id > after][:count]

    def running(self) -> Sequence[RunningEntry]:
        """See ``RunningRequests``."""
        return self._partition(RUNNING, running_from)

    def spent(self, month: str) -> Mapping[str, int]:
        """See ``FinishedRequests``."""
        return dict(
            self._table.rows(
                self._readable(spent_from),
                None,
                KeyConditionExpression="team = :partition AND begins_with(id, :month)",
                ExpressionAttributeValues=to_wire({":partition": SPENT, ":month": f"{month}/"}),
                ConsistentRead=True,
            )
        )

    def unreadable(self) -> Sequence[str]:
        """See ``Entries``."""
        met, self._unreadable = self._unreadable, {}
        return list(met)

    def _readable(self, read: Callable[[Item], _T]) -> Callable[[Item], _T | None]:
        """Return a reader that notes unreadable rows for ``unreadable`` and returns None."""

        def reading(item: Item) -> _T | None:
            try:
                return read(item)
            except Unreadable as error:
                self._unreadable[str(error)] = None
                return None

        return reading

    def _partition(
        self, name: str, read: Callable[[Item], _T], count: int | None = None
    ) -> list[_T]:
        """Return the rows of a partition, all or the first ones, read consistently."""
        return self._table.rows(
            self._readable(read),
            count,
            KeyConditionExpression="team = :partition",
            ExpressionAttributeValues=to_wire({":partition": name}),
            ConsistentRead=True,
        )


class DynamoDBRequests(DynamoDBReads):
    """``Requests`` on one DynamoDB table.

    Args:
        table: the ledger's table.
        clock: returns the current time.
        keep: how long requests that have ended are kept; None: forever.
    """

    def __init__(
        self,
        table: Table,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        keep: timedelta | None = None,
    ) -> None:
        super().__init__(table, clock)
        self._keep = keep

    def add(self, entries: Sequence[Entry]) -> Sequence[Added]:
        """See ``Entries``."""
        outcomes: dict[int, Added] = {}
        rest = list(enumerate(entries))
        while rest:  # a transaction takes each row once: entries that repeat an id come later
            first = {entry.key: (index, entry) for index, entry in reversed(rest)}
            now = self._clock()
            puts = [(at, entry, addition(entry, now, self._keep)) for at, entry in first.values()]
            for batch in batches(puts, lambda put: size_of(put[2]), rows=ROWS // 2):
                outcomes |= self._add_batch(batch)
            rest = [(i, e) for i, e in rest if i not in outcomes]
        return [outcomes[index] for index in range(len(entries))]

    def _add_batch(self, batch: Sequence[tuple[int, Entry, list[Write]]]) -> dict[int, Added]:
        written = self._table.write_those_that_can({str(index): put for index, _, put in batch})
        return {
            index: Added.NEW if str(index) in written else self._add_over(entry)
            for index, entry, _ in batch
        }

    def _add_over(self, entry: Entry) -> Added:
        """Add an entry whose id is in use; it may replace a rejected one."""
        there = self._table.item({"team": entry.team, "id": entry.request_id}) or {}
        if there.get("status") == Status.REJECTED:
            put = addition(entry, self._clock(), self._keep, over_rejected=True)
            if self._table.write_those_that_can({"over": put}):
                return Added.NEW
            there = self._table.item({"team": entry.team, "id": entry.request_id}) or {}
        return rules.outcome_of_repeat(
            entry,
            status=there.get("status"),
            digest=there.get("digest"),
            tuning_job_name=there.get("tuning_job_name"),
        )

    def set_priority(self, team: str, request_id: str, priority: int) -> Entry | None:
        """See ``QueuedRequests``."""
        return self._change(team, request_id, lambda entry: rules.set_priority(entry, priority))

    def hold(self, team: str, request_id: str) -> Entry | None:
        """See ``QueuedRequests``."""
        return self._change(team, request_id, rules.hold)

    def release(self, team: str, request_id: str) -> Entry | None:
        """See ``QueuedRequests``."""
        return self._change(team, request_id, rules.release)

    def unblock(self, team: str, request_id: str, demand: Entry | None = None) -> bool:
        """See ``QueuedRequests``."""
        change = partial(rules.unblock, demand=demand)
        return self._change(team, request_id, change) is not None

    def start(self, entries: Sequence[Entry], owner: str, at: datetime) -> Sequence[Key]:
        """See ``RunningRequests``."""
        return self._write([rules.start(entry, at) for entry in entries], owner)

    def requeue(self, entry: Entry, reason: str, owner: str = "") -> bool:
        """See ``RunningRequests``."""
        requeued = rules.requeue(entry, reason, keep_target=not owner)
        return bool(self._write([requeued], owner))

    def stop(self, entry: Entry) -> bool:
        """See ``RunningRequests``."""
        return bool(self._write([rules.stop(entry)]))

    def preempt(self, jobs: Sequence[Preemption], owner: str) -> Sequence[Key]:
        """See ``RunningRequests``."""
        return self._write([rules.preempt(job) for job in jobs], owner)

    def finish(self, endings: Sequence[Ending]) -> Sequence[Key]:
        """See ``FinishedRequests``."""
        return self._write([rules.finish(ending) for ending in endings])

    def restore(
        self, entry: Entry, was: Status | None, owner: str, *, changed: bool = True
    ) -> bool:
        """Write an entry as it has to be, with the rows that follow from it; see ``restore``.

        Returns:
            False if the stored entry is no longer in the state ``was``.

        Raises:
            LeaseLost: ``owner`` no longer has the lease; nothing was written.
        """
        return bool(self._write([rules.restore(entry, was, changed=changed)], owner))

    def delete_row(self, key: Mapping[str, str], owner: str) -> None:
        """Delete a row that no entry accounts for.

        Raises:
            LeaseLost: ``owner`` no longer has the lease; nothing was deleted.
        """
        lease = [lease_check(owner)]
        self._table.write_those_that_can({"delete": [delete(dict(key))]}, lambda _: lease)

    def _change(
        self, team: str, request_id: str, rule: Callable[[Entry], Transition | None]
    ) -> Entry | None:
        """Read an entry and change it; return it as it was, or None if the rule does not apply."""
        for _ in range(ATTEMPTS):
            entry = self.get(team, request_id)
            transition = rule(entry) if entry else None
            if transition is None:
                return None
            if self._write([transition]):
                return entry
        return None

    def _write(self, transitions: Sequence[Transition], owner: str = "") -> list[Key]:
        """Carry out the transitions that are allowed.

        Args:
            transitions: of different entries.
            owner: the required owner of the lease; empty if none is required.

        Returns:
            The keys of the entries that were changed.
        """
        lease = [lease_check(owner)] if owner else []
        changed: list[Key] = []
        for batch in batches(list(transitions), lambda _: 0, rows=ROWS // ROWS_PER_TRANSITION):
            by_name = {"/".join(each.key): each for each in batch}

            def shared(
                names: Collection[str], by_name: Mapping[str, Transition] = by_name
            ) -> list[Write]:
                return [*lease, *spending(by_name[name] for name in names)]

            now = self._clock()
            groups = {name: writes_of(each, now, self._keep) for name, each in by_name.items()}
            written = self._table.write_those_that_can(groups, shared)
            changed += [each.key for name, each in by_name.items() if name in written]
        return changed
