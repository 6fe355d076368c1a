"""A fake of the queue's client, and of a SageMaker that a team may not read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.message import parse_fields
from hpo_dispatcher.contract.request import TuningRequest

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class SteppedQueue:
    """A client whose requests start once those in ``after`` have ended, and end a poll later."""

    def __init__(self, end_status: Status = Status.COMPLETED) -> None:
        self.end_status = end_status
        self.ledger: dict[str, Entry] = {}
        self.most_at_once = 0
        self.actions: Counter[str] = Counter()

    def submit(self, team: str, messages: Sequence[dict[str, Any]]) -> list[str]:
        """Queue requests that are not in the ledger yet."""
        for message in messages:
            request = parse_fields(message, message["request_id"])
            assert isinstance(request, TuningRequest)
            entry = Entry(
                team=team, request_id=message["request_id"], status=Status.QUEUED, accepted_at=NOON,
                request_json=request.to_json(),
            )  # fmt: skip
            self.ledger.setdefault(entry.request_id, entry)
        return list(self.ledger)

    def entries(self, _: str) -> Iterator[Entry]:
        """Advance every request by one step, and yield the ledger."""
        for key, entry in list(self.ledger.items()):
            status = self._next(entry)
            started = NOON if status is Status.IN_PROGRESS else entry.started_at
            self.ledger[key] = replace(entry, status=status, started_at=started)
        running = [e.request for e in self.ledger.values() if e.status.active and e.request]
        widths = [each.resource_limits.max_parallel_training_jobs or 1 for each in running]
        self.most_at_once = max(self.most_at_once, sum(widths))
        yield from self.ledger.values()

    def get_all(self, team: str, request_ids: Iterable[str]) -> dict[str, Entry]:
        """Advance every request by one step, and return those with these ids."""
        wanted = set(request_ids)
        return {each.request_id: each for each in self.entries(team) if each.request_id in wanted}

    def act(self, _: str, action: str, *, request_id: str) -> None:
        """Count an action, and hold or release its request."""
        self.actions[action] += 1
        held = action == "hold"
        self.ledger[request_id] = replace(self.ledger[request_id], on_hold=held)

    def _next(self, entry: Entry) -> Status:
        if entry.status is Status.IN_PROGRESS:
            return self.end_status
        if entry.status is not Status.QUEUED or entry.on_hold or entry.request is None:
            return entry.status
        before = [self.ledger[each] for each in entry.request.after]
        return Status.IN_PROGRESS if all(e.status.ended for e in before) else Status.QUEUED


class UnreadableSageMaker:
    """A SageMaker client of a team without permission to list tuning jobs."""

    def get_paginator(self, _: str) -> UnreadableSageMaker:
        """Return a paginator that fails."""
        return self

    def paginate(self, **_: Any) -> Any:
        """Fail as SageMaker does."""
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "ListHyperParameterTuningJobs")
