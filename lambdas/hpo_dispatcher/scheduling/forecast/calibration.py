"""How far real starts were from the expected ones, and how wide ranges must be therefore. Pure.

The dispatcher notes some of its expected starts and compares each with the real one. A start has a
score: its distance from the median of the draws, relative to that of the earliest or latest draw.
Ranges leave out eight of a hundred recent scores at either end, so five of six starts are within
them if the next scores are like the recent ones. This is split conformal prediction with normalized
scores (Lei et al., Distribution-Free Predictive Inference for Regression, JASA 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from hpo_dispatcher.contract.documents.capacity import CapacityDocument

# How many times farther from the median than the earliest and the latest draw a range reaches
# before enough starts have been compared.
STRETCH = 2.5
# Scores that are enough to calibrate with.
ENOUGH = 24
# The part of the starts below and above a range.
OUTSIDE = 0.08
# Starts that differ by less are not told apart: a cycle of the schedule.
LEAST_SPREAD = 60.0


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The scores between which a range reaches, and the score of the expected start."""

    low: float = -STRETCH
    middle: float = 0.0
    high: float = STRETCH
    measured: bool = False

    @classmethod
    def of(cls, document: CapacityDocument) -> Calibration:
        """Return the calibration that a document states."""
        stated = document.estimates
        if stated is None or stated.scores is None:
            return cls()
        low, middle, high = stated.scores
        return cls(low=low, middle=middle, high=high, measured=True)

    def range_of(self, starts: Sequence[float]) -> tuple[float, float, float]:
        """Return the earliest, the expected and the latest start.

        Args:
            starts: those drawn, sorted; seconds.
        """
        at = median(starts)
        below, above = at - starts[0], starts[-1] - at
        if self.measured:
            below, above = _least(below), _least(above)
        ends = (_at_score(each, at, below, above) for each in (self.low, self.middle, self.high))
        low, middle, high = (max(0.0, each) for each in ends)
        return low, middle, high


def score(real: float, starts: Sequence[float]) -> float:
    """Return how far a real start is from those drawn: 0 is their median, 1 their latest."""
    at = median(starts)
    if real >= at:
        return (real - at) / _least(starts[-1] - at)
    return (real - at) / _least(at - starts[0])


def calibrated(scores: Sequence[float]) -> tuple[float, float, float] | None:
    """Return the scores of the earliest, the expected and the latest start; None: too few."""
    if len(scores) < ENOUGH:
        return None
    found = sorted(scores)
    last = len(found) - 1
    low, high = found[int(OUTSIDE * last)], found[-int(OUTSIDE * last) - 1]
    return low, median(found), high


def _at_score(score: float, at: float, below: float, above: float) -> float:
    return at + score * (above if score > 0 else below)


def _least(spread: float) -> float:
    return max(spread, LEAST_SPREAD)
