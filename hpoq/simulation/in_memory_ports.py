"""The dispatcher's ports in memory: for simulation, and for tests of the cycle."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from hpo_dispatcher.contract.entry import BlockedEntry, Entry, Key, RunningEntry, Status
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.ports import (
    Added,
    Backlog,
    Ending,
    Envelope,
    Lease,
    LeaseLost,
    Preemption,
    Rejection,
    StateChange,
)

Clock = Callable[[], datetime]
BATCH = 10


class MemoryQueues:
    """``RequestQueues``; a message is invisible from its receipt until ``reappear``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._visible: dict[str, deque[Envelope]] = {}
        self._received: dict[str, Envelope] = {}
        self._sent = 0
        self.dead_letters: list[tuple[str, str, InvalidRequest]] = []
        self.calls: Counter[str] = Counter()

    def send(self, team: str, body: str) -> str:
        """What a team does; the message id."""
        with self._lock:
            self._sent += 1
            id_ = f"message-{self._sent:07}"
            envelope = Envelope(
                team=team, message_id=id_, receipt=id_, body=body, sent_at=self._clock()
            )
            self._visible.setdefault(team, deque()).append(envelope)
        return id_

    def reappear(self) -> None:
        """The visibility timeout of everything received and not deleted."""
        with self._lock:
            for envelope in self._received.values():
                self._visible.setdefault(envelope.team, deque()).append(envelope)
            self._received.clear()

    def waiting(self) -> int:
        """Messages not deleted."""
        with self._lock:
            return len(self._received) + sum(map(len, self._visible.values()))

    def receive(self, team: str, *, wait: bool = True) -> Sequence[Envelope]:
        """See ``RequestQueues``."""
        with self._lock:
            self.calls["sqs:ReceiveMessage"] += 1
            queue = self._visible.get(team, deque())
            taken = [queue.popleft() for _ in range(min(BATCH, len(queue)))]
            self._received.update({each.receipt: each for each in taken})
            return taken

    def delete(self, envelopes: Sequence[Envelope]) -> None:
        """See ``RequestQueues``."""
        with self._lock:
            self.calls["sqs:DeleteMessageBatch"] += -(-len(envelopes) // BATCH)
            for envelope in envelopes:
                self._received.pop(envelope.receipt, None)

    def reject(self, rejection: Rejection) -> None:
        """See ``RequestQueues``."""
        with self._lock:
            self.calls["sqs:SendMessage"] += 1
            letter = rejection.team, rejection.body, rejection.error
            self.dead_letters.append(letter)


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

    def ask_for_cycle(self, now: datetime) -> None:
        """See ``Leases``."""
        with self._called():
            self._asked_at = now

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


class MemoryRequests:
    """``Requests`` in memory; queues are kept sorted, so a head costs the same in any backlog."""

    def __init__(self, leases: MemoryLeases) -> None:
        self._leases = leases
        self._lock = threading.RLock()
        self.entries: dict[Key, Entry] = {}
        self._lines: dict[str, list[tuple[str, str]]] = {}  # team -> sorted (position, id)
        self._active: dict[str, RunningEntry] = {}
        self._blocked: dict[Key, BlockedEntry] = {}
        self._spent: dict[str, Counter[str]] = {}  # month -> team -> instance-seconds
        self.calls: Counter[str] = Counter()

    def add(self, entries: Sequence[Entry]) -> Sequence[Added]:
        """See ``Requests``."""
        with self._called("TransactWriteItems"):
            return [self._add(entry) for entry in entries]

    def _add(self, entry: Entry) -> Added:
        there = self.entries.get(entry.key)
        if there is None or there.status is Status.REJECTED:
            self.entries[entry.key] = entry
            if entry.blocked and entry.request:
                self._blocked[entry.key] = BlockedEntry(
                    team=entry.team,
                    request_id=entry.request_id,
                    after=entry.request.after,
                    warm_start_from=entry.request.warm_start_from,
                )
            elif entry.status is Status.QUEUED:
                self._join(entry)
            return Added.NEW
        if entry.request_json and there.request_json == entry.request_json:
            return Added.REPEATED
        if not there.request_json and there.tuning_job_name:
            return Added.REPEATED
        overtaken = there.status is Status.CANCELLED and not there.request_json
        return Added.CANCELLED if overtaken else Added.TAKEN

    def _join(self, entry: Entry) -> None:
        insort(self._lines.setdefault(entry.team, []), (entry.queue_sort_key, entry.request_id))

    def _leave(self, entry: Entry) -> None:
        place = entry.queue_sort_key, entry.request_id
        line = self._lines.get(entry.team, [])
        index = bisect_left(line, place)
        if index < len(line) and line[index] == place:
            del line[index]

    def unended(self) -> int:
        """Requests that are in line, blocked, or active."""
        return self.queued() + len(self._blocked) + len(self._active)

    def queued(self) -> int:
        """Requests in line, of all teams."""
        return sum(map(len, self._lines.values()))

    def in_line(self, team: str) -> int:
        """Requests in a team's line."""
        return len(self._lines.get(team, ()))

    def first_in_line(self, team: str, count: int) -> list[Entry]:
        """As ``heads``, and no call of the API."""
        return [self.entries[team, each] for _, each in self._lines.get(team, [])[:count]]

    def get(self, team: str, request_id: str) -> Entry | None:
        """See ``Requests``."""
        with self._called("GetItem"):
            return self.entries.get((team, request_id))

    def get_all(self, keys: Sequence[Key]) -> Mapping[Key, Entry]:
        """See ``Requests``."""
        with self._called("BatchGetItem"):
            return {key: self.entries[key] for key in keys if key in self.entries}

    def heads(self, team: str, count: int) -> Sequence[Entry]:
        """See ``Requests``."""
        with self._called("Query"):
            line = self._lines.get(team, [])[:count]
            return [self.entries[team, request_id] for _, request_id in line]

    def backlog(self, team: str) -> Backlog:
        """See ``Requests``."""
        with self._called("Query"):
            line = self._lines.get(team, [])
            accepted = [self.entries[team, request_id].accepted_at for _, request_id in line]
            return Backlog(count=len(accepted), oldest=min(accepted, default=None))

    def running(self) -> Sequence[RunningEntry]:
        """See ``Requests``."""
        with self._called("Query"):
            return list(self._active.values())

    def blocked(self) -> Sequence[BlockedEntry]:
        """See ``Requests``."""
        with self._called("Query"):
            return list(self._blocked.values())

    def start(self, entries: Sequence[Entry], owner: str, at: datetime) -> Sequence[Key]:
        """See ``Requests``."""
        with self._called("TransactWriteItems"):
            if self._leases.owner != owner:
                raise LeaseLost("another dispatcher has taken over")
            return [entry.key for entry in entries if self._start(entry.key, at)]

    def _start(self, key: Key, at: datetime) -> bool:
        entry = self.entries[key]
        if entry.status is not Status.QUEUED or entry.on_hold or entry.blocked:
            return False
        self._leave(entry)
        name = entry.job_name
        self.entries[key] = replace(
            entry, status=Status.IN_PROGRESS, started_at=at, tuning_job_name=name, reason=""
        )
        self._active[name] = RunningEntry(
            tuning_job_name=name,
            team=key[0],
            request_id=key[1],
            status=Status.IN_PROGRESS,
            instances=entry.instances,
            started_at=at,
            template=entry.template,
            rounds=entry.rounds,
            most_instance_seconds=entry.most_instance_seconds,
            priority=entry.priority,
            resume_blocker=entry.resume_blocker,
            resumed=bool(entry.earlier),
        )
        return True

    def requeue(self, entry: Entry, reason: str) -> bool:
        """See ``Requests``."""
        name = entry.job_name
        with self._called("TransactWriteItems"):
            there = self.entries.get(entry.key)
            if there is None or there.status is not Status.IN_PROGRESS:
                return False
            if there.tuning_job_name != name:
                return False
            entry = there
            queued = replace(
                entry, status=Status.QUEUED, reason=reason, started_at=None, tuning_job_name=""
            )
            self.entries[entry.key] = queued
            self._active.pop(entry.tuning_job_name, None)
            self._join(queued)
            return True

    def stop(self, entry: Entry) -> bool:
        """See ``Requests``."""
        with self._called("TransactWriteItems"):
            return self._stop(entry.key, entry.job_name, None, 0)

    def preempt(self, jobs: Sequence[Preemption], owner: str) -> Sequence[Key]:
        """See ``Requests``."""
        with self._called("TransactWriteItems"):
            if self._leases.owner != owner:
                raise LeaseLost("another dispatcher has taken over")
            return [
                job.key
                for job in jobs
                if self._stop(job.key, job.tuning_job_name, job.preempted_for, job.already_stopped)
            ]

    def _stop(self, key: Key, name: str, room_for: Key | None, stopped: int) -> bool:
        entry = self.entries.get(key)
        if entry is None or entry.tuning_job_name != name or name not in self._active:
            return False
        if entry.status is not Status.IN_PROGRESS and not entry.preempted_for:
            return False
        self.entries[key] = replace(
            entry, status=Status.STOPPING, preempted_for=room_for, already_stopped=stopped
        )
        self._active[name] = replace(
            self._active[name],
            status=Status.STOPPING,
            preempted_for=room_for,
            already_stopped=stopped,
        )
        return True

    def finish(self, endings: Sequence[Ending]) -> Sequence[Key]:
        """See ``Requests``."""
        with self._called("TransactWriteItems"):
            return [ending.key for ending in endings if self._finish(ending)]

    def _finish(self, ending: Ending) -> bool:
        entry = self.entries.get(ending.key)
        if entry is None or entry.status not in ending.was:
            return False
        if ending.tuning_job_name:
            same = entry.tuning_job_name == ending.tuning_job_name
            if not same or bool(entry.preempted_for) is not ending.preempted:
                return False
        if entry.status is Status.QUEUED:
            self._leave(entry)
        self._blocked.pop(entry.key, None)
        self._active.pop(ending.tuning_job_name, None)
        if ending.spent:
            spent = self._spent.setdefault(ending.spent.month, Counter())
            spent[ending.spent.team] += ending.spent.instance_seconds
        if ending.resumes_as:
            self.entries[entry.key] = ending.resumes_as
            self._join(ending.resumes_as)
            return True
        self.entries[entry.key] = replace(
            entry,
            status=ending.status,
            ended_at=ending.ended_at,
            reason=ending.reason,
            counters=ending.counters,
            best=ending.best,
            blocked=False,
            on_hold=False,
            preempted_for=None,
            already_stopped=0,
        )
        return True

    def unblock(self, team: str, request_id: str) -> bool:
        """See ``Requests``."""
        with self._called("TransactWriteItems"):
            freed = self._back(team, request_id, "blocked")
            if freed:
                self._blocked.pop((team, request_id), None)
            return bool(freed)

    def release(self, team: str, request_id: str) -> Entry | None:
        """See ``Requests``."""
        with self._called("TransactWriteItems"):
            return self._back(team, request_id, "on_hold")

    def _back(self, team: str, request_id: str, mark: str) -> Entry | None:
        entry = self.entries.get((team, request_id))
        if entry is None or entry.status is not Status.QUEUED:
            return None
        if not (entry.blocked if mark == "blocked" else entry.on_hold):
            return None
        blocked = entry.blocked and mark != "blocked"
        on_hold = entry.on_hold and mark != "on_hold"
        self.entries[entry.key] = replace(entry, reason="", blocked=blocked, on_hold=on_hold)
        if not (blocked or on_hold):
            self._join(entry)
        return entry

    def hold(self, team: str, request_id: str) -> Entry | None:
        """See ``Requests``."""
        with self._called("TransactWriteItems"):
            entry = self.entries.get((team, request_id))
            if entry is None or entry.status is not Status.QUEUED:
                return None
            self._leave(entry)
            reason = "on hold by its team; release it to let it start"
            self.entries[entry.key] = replace(entry, on_hold=True, reason=reason)
            return entry

    def set_priority(self, team: str, request_id: str, priority: int) -> Entry | None:
        """See ``Requests``."""
        with self._called("TransactWriteItems"):
            entry = self.entries.get((team, request_id))
            if entry is None or entry.status is not Status.QUEUED:
                return None
            self._leave(entry)
            moved = replace(entry, priority=priority)
            self.entries[entry.key] = moved
            if not (entry.on_hold or entry.blocked):
                self._join(moved)
            return entry

    def spent(self, month: str) -> Mapping[str, int]:
        """See ``Requests``."""
        with self._called("Query"):
            return dict(self._spent.get(month, {}))

    def unreadable(self) -> Sequence[str]:
        """See ``Requests``."""
        return ()

    def _called(self, operation: str) -> threading.RLock:
        self.calls[f"dynamodb:{operation}"] += 1
        return self._lock


class MemoryEvents:
    """``Events``, kept."""

    def __init__(self) -> None:
        self.published: list[StateChange] = []
        self.calls: Counter[str] = Counter()

    def publish(self, changes: Sequence[StateChange]) -> None:
        """See ``Events``."""
        self.calls["events:PutEvents"] += -(-len(changes) // BATCH)
        self.published += changes
