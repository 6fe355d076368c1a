"""Log lines and metrics of every cycle, complete or not."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from hpo_dispatcher.contract.entry import behind_priority_of
from hpo_dispatcher.contract.errors import HpoqError
from hpo_dispatcher.cycle.outcome import Decision, Observation, Summary
from hpo_dispatcher.observability.logged_ports import Log
from hpo_dispatcher.observability.metrics import (
    STILL_FREED,
    Freed,
    Measurement,
    Unit,
    fill_times,
    filled_by,
    freed_by,
    of_cycle,
)
from hpo_dispatcher.ports import QueuedRequests, Unavailable
from hpo_dispatcher.scheduling.history.queue_counts import BEFORE_ALL

# The heartbeat comes every ten minutes.
COUNT_EVERY = timedelta(minutes=5)
# The most requests that are counted as waiting for others: a cycle reads no more of them, either.
BLOCKED_COUNTED = 2_000
# The oldest request is looked for in so many levels of priority of a queue, among the first ones.
LEVELS, OF_LEVEL = 20, 10


class Gauge(Protocol):
    """A destination of measurements."""

    def write(self, measurements: Iterable[Measurement]) -> None:
        """Publish measurements."""


class Calls(Protocol):
    """The AWS calls since the last ``take``."""

    def take(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """Return calls and throttled calls by service, and reset the counts."""


@dataclass(kw_only=True)
class Telemetry:
    """The log lines and metrics of a dispatcher. It never fails a cycle."""

    log: Log
    gauge: Gauge
    requests: QueuedRequests
    calls: Calls
    teams: Sequence[str]
    clock: Callable[[], datetime]
    _rejected: Counter[str] = field(default_factory=Counter)  # by class of the error
    _created: dict[str, datetime] = field(default_factory=dict)  # tuning job -> UTC
    _lock: threading.Lock = field(default_factory=threading.Lock)  # rejections come from threads
    _freed: list[Freed] = field(default_factory=list)
    _counted_at: datetime | None = None

    def cycle(
        self, summary: Summary, seen: Observation, decided: Decision, queued: Mapping[str, int]
    ) -> None:
        """Report one complete cycle; the dispatcher calls it as its ``Watch``."""
        self.log.info("cycle", extra=_log_fields(summary))
        try:
            measured = [*of_cycle(summary, decided), *self._fill_times(seen, decided)]
            measured += [*self._rejections(), *self._backlog(decided, queued), *self._api_calls()]
            self.gauge.write(measured)
        except Exception as error:  # the cycle is done and must not be reported as failed
            self.log.warning("metrics were not written", extra={"problem": repr(error)})

    def rejected(self, kind: str) -> None:
        """Count a rejection by the class of its error."""
        with self._lock:
            self._rejected[kind] += 1

    def created(self, tuning_job_name: str) -> None:
        """Record when a tuning job was created."""
        self._created[tuning_job_name] = self.clock()

    def skipped(self, summary: Summary) -> None:
        """Report an invocation without a cycle: another dispatcher runs it, or has run it."""
        self.log.info("cycle", extra=_log_fields(summary))
        self.gauge.write([Measurement(name="SkippedCycles", value=1), *self._api_calls()])

    def failed(self, problem: str) -> None:
        """Report a cycle that raised an error; what it did before stays done."""
        self.log.warning("cycle failed", extra={"problem": problem})
        failed = Measurement(name="FailedCycles", value=1)
        self.gauge.write([failed, *self._rejections(), *self._api_calls()])

    def _fill_times(self, seen: Observation, decided: Decision) -> Iterator[Measurement]:
        recent = self.clock() - STILL_FREED
        freed = [*self._freed, *freed_by(seen)]
        seconds, left = fill_times(freed, filled_by(decided, self._created))
        self._freed = [slot for slot in left if slot.at > recent]
        self._created.clear()
        for each in seconds:
            yield Measurement(name="SlotFillSeconds", value=each, unit=Unit.SECONDS)

    def _rejections(self) -> Iterator[Measurement]:
        kinds = sorted(self._rejected.items())
        self._rejected.clear()
        for kind, count in kinds:
            yield Measurement(name="Rejected", value=count, dimension=("reason", kind))

    def _api_calls(self) -> Iterator[Measurement]:
        calls, throttled = self.calls.take()
        yield Measurement(name="ApiCalls", value=sum(calls.values()))
        yield Measurement(name="ApiThrottles", value=sum(throttled.values()))
        for service, count in sorted(calls.items()):
            yield Measurement(name="ApiCalls", value=count, dimension=("api", service))
        for service, count in sorted(throttled.items()):
            yield Measurement(name="ApiThrottles", value=count, dimension=("api", service))

    def _backlog(self, decided: Decision, queued: Mapping[str, int]) -> Sequence[Measurement]:
        """Measure queued requests and the age of the oldest; teams on hold have no age.

        No queue is read as a whole.
        """
        now = self.clock()
        if self._counted_at and now - self._counted_at < COUNT_EVERY:
            return []
        try:
            oldest = {
                team: oldest_of(self.requests, team)
                for team in self.teams
                if team not in decided.teams_on_hold
            }
            blocked = len(self.requests.blocked(BLOCKED_COUNTED))
        except Unavailable as error:
            self.log.warning("the backlog could not be counted", extra={"problem": str(error)})
            return []
        self._counted_at = now
        measured: list[Measurement] = [Measurement(name="Blocked", value=blocked)]
        ages: dict[str, float] = {}
        for team in self.teams:
            since = oldest.get(team)
            ages[team] = max(0.0, (now - since).total_seconds()) if since else 0.0
            dimension = ("team", team)
            measured += [
                Measurement(name="Queued", value=queued.get(team, 0), dimension=dimension),
                Measurement(
                    name="OldestSeconds", value=ages[team], unit=Unit.SECONDS, dimension=dimension
                ),
            ]
        total = sum(queued.get(team, 0) for team in self.teams)
        oldest_age = max(ages.values(), default=0.0)
        measured += [
            Measurement(name="Queued", value=total),
            Measurement(name="OldestSeconds", value=oldest_age, unit=Unit.SECONDS),
        ]
        return measured


def oldest_of(requests: QueuedRequests, team: str) -> datetime | None:
    """Return when the oldest request of a team's queue was accepted; None if the queue is empty.

    Within a level of priority, the oldest request is the first one, or one of the first ones if
    waiting counts as priority (``TeamSettings.priority_aging_minutes``).
    """
    accepted: list[datetime] = []
    start = BEFORE_ALL
    for _ in range(LEVELS):
        first = requests.queued_from(team, start, OF_LEVEL)
        accepted += [entry.accepted_at for entry in first]
        if len(first) < OF_LEVEL:
            break
        start = behind_priority_of(first[-1].queue_sort_key)
    return min(accepted, default=None)


def _log_fields(summary: Summary) -> dict[str, Any]:
    return summary.as_dict() | {"seconds": round(summary.seconds, 3)}


class CycleFailed(HpoqError):
    """An unexpected error, with secret values redacted from its text."""
