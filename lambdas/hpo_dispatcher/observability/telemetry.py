"""Log lines and metrics of every cycle, complete or not."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

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

# Counting reads whole queues; the heartbeat comes every ten minutes.
COUNT_EVERY = timedelta(minutes=5)


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

    def cycle(self, summary: Summary, seen: Observation, decided: Decision) -> None:
        """Report one complete cycle; the dispatcher calls it as its ``Watch``."""
        self.log.info("cycle", extra=_log_fields(summary))
        try:
            measured = [*of_cycle(summary, decided), *self._fill_times(seen, decided)]
            measured += [*self._rejections(), *self._backlog(decided), *self._api_calls()]
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

    def _backlog(self, decided: Decision) -> Sequence[Measurement]:
        """Measure queued requests and the age of the oldest; teams on hold have no age."""
        now = self.clock()
        if self._counted_at and now - self._counted_at < COUNT_EVERY:
            return []
        try:
            queues = {team: self.requests.backlog(team) for team in self.teams}
            blocked = len(self.requests.blocked())
        except Unavailable as error:
            self.log.warning("the backlog could not be counted", extra={"problem": str(error)})
            return []
        self._counted_at = now
        measured: list[Measurement] = [Measurement(name="Blocked", value=blocked)]
        ages: dict[str, float] = {}
        for team, queue in queues.items():
            oldest = queue.oldest if team not in decided.teams_on_hold else None
            ages[team] = max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
            dimension = ("team", team)
            measured += [
                Measurement(name="Queued", value=queue.count, dimension=dimension),
                Measurement(
                    name="OldestSeconds", value=ages[team], unit=Unit.SECONDS, dimension=dimension
                ),
            ]
        total = sum(queue.count for queue in queues.values())
        oldest_age = max(ages.values(), default=0.0)
        measured += [
            Measurement(name="Queued", value=total),
            Measurement(name="OldestSeconds", value=oldest_age, unit=Unit.SECONDS),
        ]
        return measured


def _log_fields(summary: Summary) -> dict[str, Any]:
    return summary.as_dict() | {"seconds": round(summary.seconds, 3)}


class CycleFailed(HpoqError):
    """An unexpected error, with secret values redacted from its text."""
