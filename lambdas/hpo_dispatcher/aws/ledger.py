"""The ledger on DynamoDB: every transition is a conditional write, many go in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from hpo_dispatcher.aws.dynamodb_table import ROWS, Shared, Table, Write, batches
from hpo_dispatcher.contract.entry import BlockedEntry, Entry, Key, RunningEntry, Status, timestamp
from hpo_dispatcher.contract.errors import Unreadable
from hpo_dispatcher.contract.ledger_items import (
    ACTIVE,
    BLOCKED,
    LEASE_KEY,
    PLAIN,
    SPENT,
    VERSION,
    Item,
    best_item,
    blocked_from,
    blocked_item,
    earlier_items,
    entry_from,
    entry_item,
    head_from,
    line_attributes,
    moment,
    running_from,
    running_item,
    spent_from,
    spent_key,
    to_wire,
)
from hpo_dispatcher.contract.names import LEDGER_INDEX
from hpo_dispatcher.contract.request import digest
from hpo_dispatcher.ports import (
    Added,
    Backlog,
    Ending,
    Preemption,
)

_T = TypeVar("_T")
FIELDS = {"held": "on_hold", "blocked": "blocked"}
# What a new entry may replace: nothing, as nearly always, or what was rejected.
_NEW: Write = {"ConditionExpression": "attribute_not_exists(id)"}
_REJECTED: Write = {
    "ConditionExpression": "#status = :rejected AND version <= :known",
    "ExpressionAttributeNames": {"#status": "status"},
    "ExpressionAttributeValues": to_wire({":rejected": str(Status.REJECTED), ":known": VERSION}),
}


class DynamoDBRequests:
    """``Requests`` on one DynamoDB table."""

    def __init__(
        self, table: Table, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._table = table
        self._clock = clock
        self._unreadable: dict[str, None] = {}  # lines, in the order they were met

    def add(self, entries: Sequence[Entry]) -> Sequence[Added]:
        """See ``Requests``."""
        outcomes: dict[int, Added] = {}
        rest = list(enumerate(entries))
        while rest:  # a transaction takes each row once: what repeats an id waits its turn
            first = {entry.key: (index, entry) for index, entry in reversed(rest)}
            puts = [(at, entry, self._add_writes(entry, _NEW)) for at, entry in first.values()]
            for batch in batches(puts, lambda put: _size(put[2]), rows=ROWS // 2):
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
        """Its id is taken: by a rejected request, which it may replace, or for good."""
        there = self._table.item({"team": entry.team, "id": entry.request_id}) or {}
        if there.get("status") == Status.REJECTED:
            put = self._add_writes(entry, _REJECTED)
            if self._table.write_those_that_can({"over": put}):
                return Added.NEW
            there = self._table.item({"team": entry.team, "id": entry.request_id}) or {}
        return self._already(entry, there)

    def _add_writes(self, entry: Entry, condition: Write) -> list[Write]:
        put: Write = {"Put": {"Item": to_wire(entry_item(entry, self._clock())), **condition}}
        blocked: Write = {"Put": {"Item": to_wire(blocked_item(entry))}}
        return [put, blocked] if entry.blocked else [put]

    def _already(self, entry: Entry, there: Item) -> Added:
        if entry.request_json and there.get("digest") == digest(entry.request_json):
            return Added.REPEATED
        if "digest" not in there and "tuning_job_name" in there:
            return Added.REPEATED  # rebuilt from its tuning job: by then, it was this id's only one
        cancelled_before = there.get("status") == Status.CANCELLED and "digest" not in there
        return Added.CANCELLED if cancelled_before else Added.TAKEN

    def get(self, team: str, request_id: str) -> Entry | None:
        """See ``Requests``."""
        item = self._table.item({"team": team, "id": request_id})
        return entry_from(item) if item else None

    def heads(self, team: str, count: int) -> Sequence[Entry]:
        """See ``Requests``."""
        return self._table.rows(
            self._readable(head_from),
            count,
            IndexName=LEDGER_INDEX,
            KeyConditionExpression="line = :team",
            ExpressionAttributeValues=to_wire({":team": team}),
        )

    def backlog(self, team: str) -> Backlog:
        """See ``Requests``."""
        accepted: list[str] = self._table.rows(
            lambda row: str(row.get("accepted_at", "")),  # a broken row counts, and has no age
            None,
            IndexName=LEDGER_INDEX,
            KeyConditionExpression="line = :team",
            ExpressionAttributeValues=to_wire({":team": team}),
            ProjectionExpression="accepted_at",
        )
        return Backlog(
            count=len(accepted), oldest=moment(min(filter(None, accepted), default=None))
        )

    def get_all(self, keys: Sequence[Key]) -> Mapping[Key, Entry]:
        """See ``Requests``."""
        wanted = [{"team": team, "id": id_} for team, id_ in dict.fromkeys(keys)]
        found = map(self._readable(entry_from), self._table.items(wanted))
        return {entry.key: entry for entry in found if entry}

    def blocked(self) -> Sequence[BlockedEntry]:
        """See ``Requests``."""
        return self._partition(BLOCKED, blocked_from)

    def unblock(self, team: str, request_id: str) -> bool:
        """See ``Requests``."""
        row = to_wire({"team": BLOCKED, "id": f"{team}/{request_id}"})
        return bool(self._into_line(team, request_id, "blocked", [{"Delete": {"Key": row}}]))

    def release(self, team: str, request_id: str) -> Entry | None:
        """See ``Requests``."""
        return self._into_line(team, request_id, "held", [])

    def _into_line(self, team: str, request_id: str, mark: str, also: list[Write]) -> Entry | None:
        """Take a mark away; the entry is in line unless the other mark keeps it out."""
        entry = self.get(team, request_id)
        if entry is None or not (entry.blocked if mark == "blocked" else entry.on_hold):
            return None
        values: Item = {":at": timestamp(self._clock()), ":marked": True}
        change = f"SET updated_at = :at REMOVE {mark}, reason"
        if not (entry.on_hold and entry.blocked):
            line = line_attributes(entry)
            values |= {":line": line["line"], ":position": line["line_position"]}
            change = (
                "SET updated_at = :at, line = :line, line_position = :position "
                f"REMOVE {mark}, reason"
            )
        write = _transition(entry.key, change, values, (Status.QUEUED,))
        write["Update"]["ConditionExpression"] += f" AND {mark} = :marked"
        return entry if self._table.write_those_that_can({mark: [write, *also]}) else None

    def hold(self, team: str, request_id: str) -> Entry | None:
        """See ``Requests``."""
        entry = self.get(team, request_id)
        if entry is None:
            return None
        values = {
            ":at": timestamp(self._clock()),
            ":held": True,
            ":reason": "on hold by its team; release it to let it start",
        }
        change = "SET held = :held, reason = :reason, updated_at = :at REMOVE line, line_position"
        write = _transition((team, request_id), change, values, (Status.QUEUED,))
        return entry if self._table.write_those_that_can({"hold": [write]}) else None

    def set_priority(self, team: str, request_id: str, priority: int) -> Entry | None:
        """See ``Requests``."""
        entry = self.get(team, request_id)
        if entry is None:
            return None
        values: Item = {":at": timestamp(self._clock()), ":priority": priority}
        change = "SET priority = :priority, updated_at = :at"
        if not (entry.on_hold or entry.blocked):
            moved = line_attributes(replace(entry, priority=priority))
            values[":position"] = moved["line_position"]
            change += ", line_position = :position"
        write = _transition(entry.key, change, values, (Status.QUEUED,))
        return entry if self._table.write_those_that_can({"priority": [write]}) else None

    def running(self) -> Sequence[RunningEntry]:
        """See ``Requests``."""
        return self._partition(ACTIVE, running_from)

    def unreadable(self) -> Sequence[str]:
        """See ``Requests``."""
        met, self._unreadable = self._unreadable, {}
        return list(met)

    def _readable(self, read: Callable[[Item], _T]) -> Callable[[Item], _T | None]:
        """None for what cannot be read, which is noted for ``unreadable``."""

        def reading(item: Item) -> _T | None:
            try:
                return read(item)
            except Unreadable as error:
                self._unreadable[str(error)] = None
                return None

        return reading

    def _partition(self, name: str, read: Callable[[Item], _T]) -> list[_T]:
        """All rows of a system partition, read consistently."""
        return self._table.rows(
            self._readable(read),
            None,
            KeyConditionExpression="team = :partition",
            ExpressionAttributeValues=to_wire({":partition": name}),
            ConsistentRead=True,
        )

    def start(self, entries: Sequence[Entry], owner: str, at: datetime) -> Sequence[Key]:
        """See ``Requests``."""
        lease = _lease(owner)
        started: list[Key] = []
        for batch in batches(list(entries), lambda _: 0, rows=ROWS // 2):
            writes = {_name(entry.key): self._start_writes(entry, at) for entry in batch}
            written = self._table.write_those_that_can(writes, lambda _: [lease])
            started += [entry.key for entry in batch if _name(entry.key) in written]
        return started

    def _start_writes(self, entry: Entry, at: datetime) -> list[Write]:
        change = "SET #status = :to, tuning_job_name = :name, started_at = :at, updated_at = :at"
        values = {
            ":to": str(Status.IN_PROGRESS),
            ":name": entry.job_name,
            ":at": timestamp(at),
        }
        gone = "REMOVE line, line_position, reason"
        write = _transition(entry.key, f"{change} {gone}", values, (Status.QUEUED,))
        in_line = "attribute_not_exists(held) AND attribute_not_exists(blocked)"
        write["Update"]["ConditionExpression"] += f" AND {in_line}"
        return [
            write,
            {"Put": {"Item": to_wire(running_item(entry, at))}},
        ]

    def requeue(self, entry: Entry, reason: str) -> bool:
        """See ``Requests``."""
        line = line_attributes(entry)
        values = {
            ":to": str(Status.QUEUED),
            ":line": line["line"],
            ":position": line["line_position"],
            ":reason": reason,
            ":at": timestamp(self._clock()),
        }
        change = (
            "SET #status = :to, line = :line, line_position = :position, reason = :reason, "
            "updated_at = :at REMOVE started_at, tuning_job_name"
        )
        writes = [
            _of_job(_transition(entry.key, change, values, (Status.IN_PROGRESS,)), entry.job_name),
            {"Delete": {"Key": to_wire({"team": ACTIVE, "id": entry.job_name})}},
        ]
        return bool(self._table.write_those_that_can({"requeue": writes}))

    def stop(self, entry: Entry) -> bool:
        """See ``Requests``."""
        change = "REMOVE stopped_for, stopped_before"
        return bool(self._table.write_those_that_can({"stopping": self._stop(entry, change, {})}))

    def preempt(self, jobs: Sequence[Preemption], owner: str) -> Sequence[Key]:
        """See ``Requests``."""
        lease = _lease(owner)
        marked: list[Key] = []
        for batch in batches(list(jobs), lambda _: 0, rows=ROWS // 2):
            writes = {_name(job.key): self._room_writes(job) for job in batch}
            written = self._table.write_those_that_can(writes, lambda _: [lease])
            marked += [job.key for job in batch if _name(job.key) in written]
        return marked

    def _room_writes(self, job: Preemption) -> list[Write]:
        values = {
            ":for": "/".join(job.preempted_for),
            ":stopped": job.already_stopped,
            ":version": VERSION,
        }
        change = ", stopped_for = :for, stopped_before = :stopped, version = :version"
        return self._stop(job, change, values)

    def _stop(self, job: Entry | Preemption, change: str, values: Item) -> list[Write]:
        """Both rows of what runs, or is stopping to make room."""
        name = job.job_name if isinstance(job, Entry) else job.tuning_job_name
        to = {":to": str(Status.STOPPING)}
        also = {":at": timestamp(self._clock())}
        running = (Status.IN_PROGRESS, Status.STOPPING)
        entry = _transition(
            job.key, f"SET #status = :to, updated_at = :at {change}", to | also | values, running
        )
        _of_job(entry, name)
        entry["Update"]["ConditionExpression"] += (
            " AND (#status = :was0 OR attribute_exists(stopped_for))"
        )
        pointer: Write = {
            "Update": {
                "Key": to_wire({"team": ACTIVE, "id": name}),
                "UpdateExpression": f"SET #status = :to {change}",
                "ExpressionAttributeNames": {"#status": "status"},
                "ExpressionAttributeValues": to_wire(to | values),
                "ConditionExpression": "attribute_exists(id)",
            }
        }
        return [entry, pointer]

    def finish(self, endings: Sequence[Ending]) -> Sequence[Key]:
        """See ``Requests``."""
        finished: list[Key] = []
        for batch in batches(list(endings), lambda _: 0, rows=ROWS // 3):
            writes = {_name(ending.key): self._finish_writes(ending) for ending in batch}
            written = self._table.write_those_that_can(writes, _spending(batch))
            finished += [ending.key for ending in batch if _name(ending.key) in written]
        return finished

    def _finish_writes(self, ending: Ending) -> list[Write]:
        if ending.resumes_as:
            return self._goes_on_writes(ending, ending.resumes_as)
        fields: Item = {
            "ended_at": timestamp(ending.ended_at),
            "updated_at": timestamp(self._clock()),
            "counters": dict(ending.counters),
            "reason": ending.reason,
        }
        if ending.best:
            fields["best"] = best_item(ending.best)
        values = {f":{name}": value for name, value in fields.items()}
        sets = ", ".join(["#status = :to", *(f"{name} = :{name}" for name in fields)])
        gone = "line, line_position, held, blocked, stopped_for, stopped_before"
        change = f"SET {sets} REMOVE {gone}"
        values[":to"] = str(ending.status)
        writes = [_ended(ending, _transition(ending.key, change, values, ending.was))]
        if ending.tuning_job_name:
            key = to_wire({"team": ACTIVE, "id": ending.tuning_job_name})
            writes.append({"Delete": {"Key": key}})
        elif Status.QUEUED in ending.was:
            key = to_wire({"team": BLOCKED, "id": f"{ending.team}/{ending.request_id}"})
            writes.append({"Delete": {"Key": key}})
        return writes

    def _goes_on_writes(self, ending: Ending, entry: Entry) -> list[Write]:
        fields: Item = {
            "updated_at": timestamp(self._clock()),
            "version": VERSION,
            "reason": entry.reason,
            "instances": dict(entry.instances),
            "max_parallel": entry.max_parallel,
            "most_instance_seconds": entry.most_instance_seconds,
            "obstacle": entry.resume_blocker,
            "earlier": earlier_items(entry),
            "counters": dict(entry.counters),
            **line_attributes(entry),
        }
        if entry.best:
            fields["best"] = best_item(entry.best)
        values = {f":{name}": value for name, value in fields.items()}
        sets = ", ".join(["#status = :to", *(f"{name} = :{name}" for name in fields)])
        gone = "started_at, tuning_job_name, stopped_for, stopped_before"
        values[":to"] = str(Status.QUEUED)
        write = _transition(ending.key, f"SET {sets} REMOVE {gone}", values, ending.was)
        capacity = to_wire({"team": ACTIVE, "id": ending.tuning_job_name})
        return [_ended(ending, write), {"Delete": {"Key": capacity}}]

    def spent(self, month: str) -> Mapping[str, int]:
        """See ``Requests``."""
        return dict(
            self._table.rows(
                self._readable(spent_from),
                None,
                KeyConditionExpression="team = :partition AND begins_with(id, :month)",
                ExpressionAttributeValues=to_wire({":partition": SPENT, ":month": f"{month}/"}),
                ConsistentRead=True,
            )
        )


def _transition(key: Key, change: str, values: Item, was: Iterable[Status]) -> Write:
    states = {f":was{index}": str(status) for index, status in enumerate(was)}
    return {
        "Update": {
            "Key": to_wire({"team": key[0], "id": key[1]}),
            "UpdateExpression": change,
            "ConditionExpression": f"#status IN ({', '.join(states)})",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": to_wire(values | states),
        }
    }


def _of_job(write: Write, tuning_job_name: str) -> Write:
    """The entry must still have this very tuning job: it may have gone on with another."""
    update = write["Update"]
    update["ConditionExpression"] += " AND tuning_job_name = :of_job"
    update["ExpressionAttributeValues"] |= to_wire({":of_job": tuning_job_name})
    return write


def _ended(ending: Ending, write: Write) -> Write:
    """An end seen before its tuning job was stopped to make room is not the end of its request."""
    if ending.tuning_job_name:
        _of_job(write, ending.tuning_job_name)
        is_there = "attribute_exists" if ending.preempted else "attribute_not_exists"
        write["Update"]["ConditionExpression"] += f" AND {is_there}(stopped_for)"
    return write


def _lease(owner: str) -> Write:
    return {
        "ConditionCheck": {
            "Key": to_wire(LEASE_KEY),
            "ConditionExpression": "holder = :owner",
            "ExpressionAttributeValues": to_wire({":owner": owner}),
        }
    }


def _spending(endings: Sequence[Ending]) -> Shared:
    """One sum for each team and month: a transaction takes each row once."""
    spent = {_name(ending.key): ending.spent for ending in endings if ending.spent}

    def writes(written: Collection[str]) -> list[Write]:
        sums: Counter[tuple[str, str]] = Counter()
        for each in (spent[name] for name in written if name in spent):
            sums[each.month, each.team] += each.instance_seconds
        return [_added(*of, seconds) for of, seconds in sums.items() if seconds]

    return writes


def _added(month: str, team: str, instance_seconds: int) -> Write:
    return {
        "Update": {
            "Key": to_wire(spent_key(month, team)),
            "UpdateExpression": "ADD instance_seconds :more SET version = :version",
            "ExpressionAttributeValues": to_wire({":more": instance_seconds, ":version": PLAIN}),
        }
    }


def _name(key: Key) -> str:
    return "/".join(key)


def _size(put: list[Write]) -> int:
    """Bytes of the one attribute that may be large."""
    request = put[0]["Put"]["Item"].get("request", {"S": ""})
    return len(request["S"].encode())
