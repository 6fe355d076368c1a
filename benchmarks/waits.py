"""Compare mean waits on heavy-tailed work with those before reserved capacity was lent.

    python -m benchmarks waits

Both commits are simulated in this run; it takes most of an hour.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path

from benchmarks.against import ROOT, checked_out
from benchmarks.heavy_tailed import ALL, WHOLE_QUOTA, mean_waits_with
from benchmarks.measure import Measure, at_most, print_table, shown

NAME = "waits"
SEEDS = range(1, 9)
WITHOUT_BACKFILL = "3547fc4"


def results() -> Iterable[Measure]:
    """Yield the mean waits relative to the last commit that did not lend reserved capacity."""
    goals = {0.6: (0.5, 0.25), 0.8: (0.6, 0.45)}
    with checked_out(WITHOUT_BACKFILL) as checkout:
        for load, (unestimated, estimated) in goals.items():
            before = _waits_with(checkout, load)
            for what, estimates, goal in (
                ("no estimates", False, unestimated),
                ("estimates 1-3 x too long", True, estimated),
            ):
                waits = _waits_with(ROOT, load, estimates)
                label = f"mean wait, heavy-tailed, load {load}, {what}, over before"
                yield at_most(NAME, label, waits[ALL] / before[ALL], goal)
                ratio = waits[WHOLE_QUOTA] / before[WHOLE_QUOTA]
                yield at_most(NAME, "  of requests for the whole quota, over before", ratio, 1)
                yield shown(NAME, "  of all", waits[ALL], "h")
                yield shown(NAME, "  of requests for the whole quota", waits[WHOLE_QUOTA], "h")


def _waits_with(checkout: Path, load: float, estimates: bool = False) -> dict[str, float]:
    """Return mean waits over several seeds: one has about five requests for the whole quota."""
    waits = [mean_waits_with(checkout, load, seed, estimates) for seed in SEEDS]
    return {which: statistics.fmean(each[which] for each in waits) for which in waits[0]}


if __name__ == "__main__":
    print_table(results())
