"""Requests that will arrive: as often as lately, and like recent ones. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hpo_dispatcher.contract.documents.capacity import CapacityDocument, RecentArrival
from hpo_dispatcher.contract.entry import Entry

# The newest arrivals that are remembered.
REMEMBERED = 40
# Requests that arrive within so long of each other are one batch, such as a campaign's.
TOGETHER = timedelta(minutes=1)
# Requests have stopped arriving if none has come for this many times the usual time.
STOPPED = 5.0


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """The batches in which requests have arrived lately, and the seconds between two of them."""

    batches: Sequence[Sequence[RecentArrival]]
    seconds_between: float | None  # None: no more are expected

    @classmethod
    def of(cls, document: CapacityDocument) -> Arrivals:
        """Return what the recent arrivals in a document say about later ones."""
        batches = _batches(document.arrivals)
        return cls(batches=batches, seconds_between=_between(batches, document.at))

    def wait(self, draw: random.Random) -> float | None:
        """Draw the seconds until the next batch; None: no more is expected."""
        return None if self.seconds_between is None else draw.expovariate(1 / self.seconds_between)

    def batch(self, draw: random.Random) -> Sequence[RecentArrival]:
        """Draw the requests of the next batch."""
        return draw.choice(self.batches)


def with_arrivals(
    before: Sequence[RecentArrival], arrived: Iterable[Entry]
) -> tuple[RecentArrival, ...]:
    """Return the newest arrivals, the oldest first."""
    new = [
        RecentArrival(
            team=entry.team,
            at=entry.accepted_at,
            instances=dict(entry.instances),
            template=entry.template,
            rounds=entry.rounds,
            priority=entry.priority,
            expected_seconds=entry.expected_seconds_left,
            most_seconds=entry.most_seconds,
            targets=entry.allowed_targets,
        )
        for entry in sorted(arrived, key=lambda each: each.key)  # queues are drained concurrently
    ]
    return tuple(sorted([*before, *new], key=lambda each: each.at)[-REMEMBERED:])


def _batches(arrivals: Sequence[RecentArrival]) -> list[list[RecentArrival]]:
    batches: list[list[RecentArrival]] = []
    for each in sorted(arrivals, key=lambda arrival: arrival.at):
        if batches and each.at - batches[-1][0].at < TOGETHER:
            batches[-1].append(each)
        else:
            batches.append([each])
    return batches


def _between(batches: Sequence[Sequence[RecentArrival]], now: datetime) -> float | None:
    if len(batches) < 3:
        return None
    first, last = batches[0][0].at, batches[-1][0].at
    usual = (last - first).total_seconds() / (len(batches) - 1)
    since = (now - last).total_seconds()
    if since > STOPPED * usual:
        return None
    return max(usual, (now - first).total_seconds() / len(batches))
