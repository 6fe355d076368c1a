"""The ledger's ports in memory: leases, documents and requests."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from hpo_dispatcher.contract.entry import BlockedEntry, Entry, Key, RunningEntry, Status
from hpo_dispatcher.contract.request import digest
from hpo_dispatcher.ports import (
    Added,
    Ending,
    Lease,
    LeaseLost,
    Preemption,
)
from hpo_dispatcher.ports import transitions as rules
from hpo_dispatcher.ports.transitions import RowChange, Transition, outcome_of_repeat, spent_in_all

Clock = Callable[[], datetime]


class MemoryLeases:
    """``Leases`` in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.owner: str | None = None
        self._until: datetime | None = None
        self._last_cycle: datetime | None = None
        self._asked_at: datetime | None = None
        self.calls: Counter[str] = Counter()

    def acquire(self, owner: str, now: datetime, until: datetime) -> Lease | None:
        """See ``Leases``."""
        with self._called():
            if self.owner and self.owner != owner and self._until and self._until >= now:
                return None
            self.owner, self._until = owner, until
            return Lease(owner=owner, until=until, last_cycle=self._last_cycle)

    def release(self, owner: str, last_cycle: datetime | None) -> bool:
        """See ``Leases``."""
        with self._called():
            if self.owner != owner:
                return False
            self.owner = None
            if last_cycle is None:
                return False
            self._last_cycle = last_cycle
            return bool(self._asked_at and self._asked_at > last_cycle)

    def ask_for_cycle(self, now: datetime) -> bool:
        """See ``Leases``."""
        with self._called():
            self._asked_at = now
            return bool(self.owner and self._until and self._until >= now)

    def _called(self) -> threading.Lock:
        self.calls["dynamodb:UpdateItem"] += 1
        return self._lock


class MemoryDocuments:
    """``Documents`` in memory."""

    def __init__(self) -> None:
        self._documents: dict[str, str] = {}
        self.calls: Counter[str] = Counter()

    def get(self, name: str) -> str | None:
        """See ``Documents``."""
        self.calls["dynamodb:GetItem"] += 1
        return self._documents.get(name)

    def put(self, name: str, content: str) -> None:
        """See ``Documents``."""
        self.calls["dynamodb:PutItem"] += 1
        self._documents[name] = content


class MemoryRows:
    """The ledger's rows in memory, changed by the same transitions as DynamoDB's.

    Queues are kept sorted, as are the requests that wait for others, so that reading the first ones
    costs the same however many there are.
    """

    def __init__(self) -> None:
        self.entries: dict[Key, Entry] = {}
        self.queues: dict[str, list[tuple[str, str]]] = {}  # team -> sorted (sort key, id)
        self.running: dict[str, RunningEntry] = {}  # by tuning job
        self.blocked: dict[Key, BlockedEntry] = {}
        self.blocked_keys: list[Key] = []  # sorted
        self.spent: dict[str, Counter[str]] = {}  # month -> team -> instance-seconds

    def add(self, entry: Entry) -> Added:
        """Add an entry where there is none, or only a rejected one."""
        there = self.entries.get(entry.key)
        if there and there.status is not Status.REJECTED:
            return outcome_of_repeat(
                entry,
                status=there.status,
                digest=digest(there.request_json) if there.request_json else None,
                tuning_job_name=there.tuning_job_name,
            )
        self.entries[entry.key] = entry
        if entry.blocked:
            self.blocked[entry.key] = BlockedEntry.of(entry)
            insort(self.blocked_keys, entry.key)
        if entry.in_queue:
            self._join(entry.key, entry.queue_sort_key)
        return Added.NEW

    def apply(self, transition: Transition) -> bool:
        """Carry a transition out; return False if it is not allowed."""
        before = self.entries.get(transition.key)
        name = transition.tuning_job_name
        update = transition.running is RowChange.UPDATE
        if before is None or not transition.allows(before):
            return False
        if update and name not in self.running:
            return False
        after = replace(before, **transition.changes)
        self.entries[transition.key] = after
        if transition.leaves_queue or transition.queue_sort_key:
            self._leave(before)
        if transition.queue_sort_key:
            self._join(transition.key, transition.queue_sort_key)
        match transition.running:
            case RunningEntry():
                self.running[name] = transition.running
            case RowChange.UPDATE:
                self.running[name] = replace(self.running[name], **transition.changes)
            case RowChange.DELETE:
                self.running.pop(name, None)
        if transition.blocked is RowChange.DELETE and transition.key in self.blocked:
            del self.blocked[transition.key]
            del self.blocked_keys[bisect_left(self.blocked_keys, transition.key)]
        for (month, team), seconds in spent_in_all([transition]).items():
            self.spent.setdefault(month, Counter())[team] += seconds
        return True

    def _join(self, key: Key, sort_key: str) -> None:
        insort(self.queues.setdefault(key[0], []), (sort_key, key[1]))

    def _leave(self, entry: Entry) -> None:
        place = entry.queue_sort_key, entry.request_id
        queue = self.queues.get(entry.team, [])
        index = bisect_left(queue, place)
        if index < len(queue) and queue[index] == place:
            del queue[index]


class MemoryRequests:
    """``Requests`` in memory."""

    def __init__(self, leases: MemoryLeases) -> None:
        self._leases = leases
        self._lock = threading.RLock()
        self._rows = MemoryRows()
        self.calls: Counter[str] = Counter()

    @property
    def entries(self) -> Mapping[Key, Entry]:
        """All entries, read without an API call."""
        return self._rows.entries

    def unended(self) -> int:
        """Return the number of requests that are queued, blocked or running."""
        return self.queued() + len(self._rows.blocked) + len(self._rows.running)

    def queued(self) -> int:
        """Return the number of requests in the queues of all teams."""
        return sum(map(len, self._rows.queues.values()))

    def queue(self, team: str) -> Sequence[Entry]:
        """Return a team's queue, read without an API call."""
        return self.first_queued(team, len(self._rows.queues.get(team, ())))

    def queue_length(self, team: str) -> int:
        """Return the number of requests in a team's queue."""
        return len(self._rows.queues.get(team, ()))

    def first_queued(self, team: str, count: int) -> list[Entry]:
        """Return the first requests of a team's queue, read without an API call."""
        queue = self._rows.queues.get(team, [])[:count]
        return [self._rows.entries[team, request_id] for _, request_id in queue]

    def add(self, entries: Sequence[Entry]) -> Sequence[Added]:
        """See ``Entries``."""
        with self._called("TransactWriteItems"):
            return [self._rows.add(entry) for entry in entries]

    def get(self, team: str, request_id: str) -> Entry | None:
        """See ``Entries``."""
        with self._called("GetItem"):
            return self._rows.entries.get((team, request_id))

    def get_all(self, keys: Sequence[Key]) -> Mapping[Key, Entry]:
        """See ``Entries``."""
        with self._called("BatchGetItem"):
            return {key: self._rows.entries[key] for key in keys if key in self._rows.entries}

    def unreadable(self) -> Sequence[str]:
        """See ``Entries``."""
        return ()

    def heads(self, team: str, count: int) -> Sequence[Entry]:
        """See ``QueuedRequests``."""
        with self._called("Query"):
            return self.first_queued(team, count)

    def queued_from(self, team: str, sort_key: str, count: int) -> Sequence[Entry]:
        """See ``QueuedRequests``."""
        with self._called("Query"):
            queue = self._rows.queues.get(team, [])
            start = bisect_left(queue, (sort_key, ""))
            found = queue[start : start + count]
            return [self._rows.entries[team, request_id] for _, request_id in found]

    def set_priority(self, team: str, request_id: str, priority: int) -> Entry | None:
        """See ``QueuedRequests``."""
        return self._change(team, request_id, lambda entry: rules.set_priority(entry, priority))

    def hold(self, team: str, request_id: str) -> Entry | None:
        """See ``QueuedRequests``."""
        return self._change(team, request_id, rules.hold)

    def release(self, team: str, request_id: str) -> Entry | None:
        """See ``QueuedRequests``."""
        return self._change(team, request_id, rules.release)

    def blocked(self, count: int | None = None) -> Sequence[BlockedEntry]:
        """See ``QueuedRequests``."""
        with self._called("Query"):
            return [self._rows.blocked[key] for key in self._rows.blocked_keys[:count]]

    def blocked_of(self, team: str, after: str, count: int) -> Sequence[BlockedEntry]:
        """See ``QueuedRequests``."""
        with self._called("Query"):
            keys = self._rows.blocked_keys
            start = bisect_right(keys, (team, after))
            found = keys[start : start + count]
            return [self._rows.blocked[key] for key in found if key[0] == team]

    def unblock(self, team: str, request_id: str, demand: Entry | None = None) -> bool:
        """See ``QueuedRequests``."""
        change = partial(rules.unblock, demand=demand)
        return self._change(team, request_id, change) is not None

    def running(self) -> Sequence[RunningEntry]:
        """See ``RunningRequests``."""
        with self._called("Query"):
            return list(self._rows.running.values())

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

    def spent(self, month: str) -> Mapping[str, int]:
        """See ``FinishedRequests``."""
        with self._called("Query"):
            return dict(self._rows.spent.get(month, {}))

    def _change(
        self, team: str, request_id: str, rule: Callable[[Entry], Transition | None]
    ) -> Entry | None:
        with self._called("TransactWriteItems"):
            entry = self._rows.entries.get((team, request_id))
            transition = rule(entry) if entry else None
            return entry if transition and self._rows.apply(transition) else None

    def _write(self, transitions: Sequence[Transition], owner: str = "") -> list[Key]:
        with self._called("TransactWriteItems"):
            if owner and self._leases.owner != owner:
                raise LeaseLost("another dispatcher has taken over")
            return [each.key for each in transitions if self._rows.apply(each)]

    def _called(self, operation: str) -> threading.RLock:
        self.calls[f"dynamodb:{operation}"] += 1
        return self._lock
