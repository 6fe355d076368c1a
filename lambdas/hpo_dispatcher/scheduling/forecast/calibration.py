"""How far real starts were from the expected ones, and how wide ranges must be therefore. Pure.

The dispatcher notes some of its expected starts and compares each with the real one. A start has a
score: its distance from the median of the draws, relative to that of an early or late draw.
Ranges leave out eight of a hundred recent scores at either end, so five of six starts are within
them if the next scores are like the recent ones. This is split conformal prediction with normalized
scores (Lei et al., Distribution-Free Predictive Inference for Regression, JASA 2018). The next
scores are not like the recent ones when the load changes: each range that does not hold widens the
following ones, and each that holds narrows them a little (Gibbs and Candès, Adaptive Conformal
Inference Under Distribution Shift, NeurIPS 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from hpo_dispatcher.contract.documents.capacity import CapacityDocument

# The part of the starts below and above a range, as it is meant to be.
OUTSIDE = 0.08
# How much a range that does not hold changes that part for the following ranges.
ADAPTATION = 0.005
LEAST_OUTSIDE, MOST_OUTSIDE = 0.01, 0.2
# Scores as simulated workloads had them. They count beside the real ones: few starts that are
# compared are often of one hour, and say little about the next one.
PRIOR = (
    -1.6, -1.2, -1.0, -0.8, -0.6, -0.5, -0.4, -0.3, -0.2, -0.2, -0.1, 0.0,
    0.0, 0.1, 0.2, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.2, 1.6,
)  # fmt: skip
# Starts that differ by less are not told apart: a cycle of the schedule.
LEAST_SPREAD = 60.0
# Errors of shorter waits are relative to this: requests start with cycles, every ten minutes.
SHORTEST_WAIT = 600.0
# The most that one of the drawn starts counts, relative to its wait.
FAR = 2.0


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The scores between which a range reaches."""

    low: float
    high: float
    measured: bool = False

    @classmethod
    def of(cls, document: CapacityDocument | None) -> Calibration:
        """Return the calibration that a document states; without one, that of no real scores."""
        stated = document.estimates if document else None
        measured = stated is not None and stated.scores is not None
        scores = stated.scores if stated and stated.scores else calibrated(())
        return cls(low=scores[0], high=scores[2], measured=measured)

    def range_of(self, starts: Sequence[float]) -> tuple[float, float, float]:
        """Return the earliest, the expected and the latest start.

        Args:
            starts: those drawn, sorted; seconds.
        """
        at = median(starts)
        early, late = outer(starts)
        below, above = at - early, late - at
        if self.measured:
            below, above = _least(below), _least(above)
        low, high = (max(0.0, _at_score(each, at, below, above)) for each in (self.low, self.high))
        return low, min(high, max(low, expected(starts))), high


def expected(starts: Sequence[float]) -> float:
    """Return the drawn start from which all of them differ least, relative to their waits.

    An error of an hour matters more for a short wait. A start that is far from the others counts as
    if it were ``FAR`` waits away, so that one early draw among late ones does not decide.

    Args:
        starts: those drawn, sorted; seconds.
    """
    return min(starts, key=lambda stated: sum(min(_error(stated, each), FAR) for each in starts))


def _error(stated: float, real: float) -> float:
    return abs(stated - real) / max(real, SHORTEST_WAIT)


def outer(starts: Sequence[float]) -> tuple[float, float]:
    """Return an early and a late one of the drawn starts: the first and the last of nine.

    A start is earlier than the early one in a tenth of the cases, however many are drawn.

    Args:
        starts: those drawn, sorted; seconds.
    """
    left_out = max(0, (len(starts) + 1) // 10 - 1)
    return starts[left_out], starts[-left_out - 1]


def adapted(outside: float, *, held: bool) -> float:
    """Return the part of starts to leave out at either end, after a range held or did not."""
    outside += ADAPTATION * (2 * OUTSIDE - (0 if held else 1))
    return min(MOST_OUTSIDE, max(LEAST_OUTSIDE, outside))


def score(real: float, starts: Sequence[float]) -> float:
    """Return how far a real start is from those drawn: 0 is their median, 1 a late one."""
    at = median(starts)
    early, late = outer(starts)
    if real >= at:
        return (real - at) / _least(late - at)
    return (real - at) / _least(at - early)


def calibrated(scores: Sequence[float], outside: float = OUTSIDE) -> tuple[float, float, float]:
    """Return the scores of the earliest, the median and the latest start.

    Args:
        scores: of the starts that were compared.
        outside: the part of the scores to leave out at either end.
    """
    found = sorted([*scores, *PRIOR])
    left_out = int(outside * (len(found) - 1))
    return found[left_out], median(found), found[-left_out - 1]


def _at_score(score: float, at: float, below: float, above: float) -> float:
    return at + score * (above if score > 0 else below)


def _least(spread: float) -> float:
    return max(spread, LEAST_SPREAD)
