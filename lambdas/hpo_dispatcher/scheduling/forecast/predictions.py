"""Expected starts that the dispatcher compares with the real ones. Pure, and bounded in size."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hpo_dispatcher.contract.documents.capacity import MeasuredEstimates
from hpo_dispatcher.contract.entry import Key
from hpo_dispatcher.scheduling.forecast.calibration import (
    OUTSIDE,
    adapted,
    calibrated,
    outer,
    score,
)
from hpo_dispatcher.scheduling.forecast.outlooks import Forecast

# Expected starts are noted so often, for so many requests from all parts of the queue.
EVERY = timedelta(minutes=30)
NOTED = 12
# Expected starts of requests that have not started; while there are as many, no more are noted.
MOST_PENDING = 200
# The newest scores, with which ranges are calibrated.
SCORES = 200
DAYS = timedelta(days=14)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The expected start of one request, in seconds after it was noted."""

    key: Key
    at: datetime
    draws: tuple[float, float, float]  # an early one, the median and a late one
    earliest: float
    latest: float


@dataclass
class Predictions:
    """The expected starts that were noted, and how they have held."""

    pending: list[Prediction] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)  # the newest last
    days: dict[str, tuple[int, int]] = field(default_factory=dict)  # starts, and those within
    noted_at: datetime | None = None
    outside: float = OUTSIDE  # of the starts, at either end of a range

    def due(self, now: datetime) -> bool:
        """Return whether expected starts should be noted again."""
        return self.noted_at is None or now - self.noted_at >= EVERY

    def note(self, forecast: Forecast, queued: Collection[Key], now: datetime) -> None:
        """Note some expected starts of a forecast, and forget requests that have left the queue.

        Args:
            forecast: from the document of now.
            queued: the requests that the document lists.
            now: the time of the document.
        """
        self.noted_at = now
        self.pending = [each for each in self.pending if each.key in queued]
        spreads, outlooks = forecast.spreads(), forecast.of_listed(now)
        in_order = sorted(spreads, key=lambda key: spreads[key].overall)
        for key in _spread_out(in_order, min(NOTED, MOST_PENDING - len(self.pending))):
            starts, outlook = spreads[key].starts, outlooks[key]
            early, late = outer(starts)
            if outlook.earliest is not None and outlook.latest is not None:
                noted = Prediction(
                    key=key,
                    at=now,
                    draws=(early, starts[len(starts) // 2], late),
                    earliest=outlook.earliest,
                    latest=outlook.latest,
                )
                self.pending.append(noted)

    def compare(self, started: Collection[Key], now: datetime) -> None:
        """Compare what was noted of requests with their starts."""
        for noted in (each for each in self.pending if each.key in started):
            real = (now - noted.at).total_seconds()
            self.scores = [*self.scores, round(score(real, noted.draws), 3)][-SCORES:]
            starts, within = self.days.get(f"{now:%Y-%m-%d}", (0, 0))
            held = noted.earliest <= real <= noted.latest
            self.outside = adapted(self.outside, held=held)
            self.days[f"{now:%Y-%m-%d}"] = starts + 1, within + held
        self.pending = [each for each in self.pending if each.key not in started]
        first = f"{now - DAYS:%Y-%m-%d}"
        self.days = {day: counts for day, counts in self.days.items() if day > first}

    def measured(self, now: datetime) -> MeasuredEstimates | None:
        """Return how the expected starts have held; None if none was compared.

        Requests that start later than every draw said count with their waits so far. Otherwise the
        scores would lack the longest waits, which end last.
        """
        if not self.days and not self.scores:
            return None
        return MeasuredEstimates(
            starts=sum(starts for starts, _ in self.days.values()),
            within=sum(within for _, within in self.days.values()),
            scores=calibrated([*self.scores, *self._late(now)], self.outside),
        )

    def _late(self, now: datetime) -> Iterable[float]:
        scores = (score((now - each.at).total_seconds(), each.draws) for each in self.pending)
        return (each for each in scores if each > 1)


def _spread_out(keys: list[Key], most: int) -> Iterable[Key]:
    """Return so many keys at equal distances."""
    if len(keys) <= most:
        return keys
    return [keys[at * len(keys) // most] for at in range(most)]
