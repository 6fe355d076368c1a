"""Compare expected starts with real ones, in five kinds of simulated workloads.

    python -m benchmarks estimates

Prints which part of the starts was within the range that was stated for them, and the median error
of the expected wait relative to the real one. Beside it are errors that no forecast can avoid: that
of one which knows how run times and arrivals are distributed, that of one which knows the kind of
distribution and learns its parameters, and that if one of the draws of the forecast itself came
true.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from benchmarks.heavy_tailed import heavy_tailed
from benchmarks.known_future import Drawn, KnownCourse, KnownDistributions
from benchmarks.learned_future import LearnedCourse
from benchmarks.measure import Measure, at_least, at_most, print_table, shown
from hpo_dispatcher.contract.documents.capacity import CapacityDocument
from hpo_dispatcher.contract.entry import Key
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.forecast.calibration import SHORTEST_WAIT, expected
from hpo_dispatcher.scheduling.forecast.outlooks import Forecast, Outlook, drawn_spreads
from hpoq.simulation.simulate import START, Simulation
from hpoq.simulation.workload import WORKLOADS

NAME = "estimates"
MINUTES = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Workloads in which requests wait for a while.

    The starts of one forecast are early or late together, so a workload of a few hours says little:
    several of them are simulated.
    """

    drawn: Drawn
    seeds: Sequence[int] = (1,)
    every: timedelta  # between two forecasts that are compared
    lognormal: bool = False  # the distribution of the run times


KINDS: Mapping[str, Kind] = {
    "burst": Kind(
        drawn=lambda seed: WORKLOADS["burst"](1_000, seed), seeds=range(1, 5), every=17 * MINUTES
    ),
    "noisy-neighbor": Kind(
        drawn=lambda seed: WORKLOADS["noisy-neighbor"](1_000, seed),
        seeds=range(1, 7),
        every=17 * MINUTES,
    ),
    "multi-quota": Kind(drawn=lambda seed: WORKLOADS["multi-quota"](600, seed), every=37 * MINUTES),
    "heavy-tailed, load 0.6": Kind(
        drawn=lambda seed: heavy_tailed(0.6, 600, seed),
        seeds=(1, 2),
        every=97 * MINUTES,
        lognormal=True,
    ),
    "heavy-tailed, load 0.8": Kind(
        drawn=lambda seed: heavy_tailed(0.8, 400, seed),
        seeds=(4,),
        every=97 * MINUTES,
        lognormal=True,
    ),
}


def results() -> Iterable[Measure]:
    """Yield the coverage and the error for each kind of workload."""
    for name, kind in KINDS.items():
        found = Comparison(kind)
        for seed in kind.seeds:
            found.add(seed)
        yield shown(NAME, f"{name}: starts compared", len(found.within))
        held = statistics.fmean(found.within)
        yield at_least(NAME, f"{name}: starts within the stated range", held, 0.75)
        yield at_most(NAME, "  not more often than stated", held, 0.9)
        yield at_most(NAME, "  median relative error", statistics.median(found.errors), 0.25)
        known = statistics.median(found.of_known)
        yield shown(NAME, "  the same of a forecast that knows all distributions", known)
        known = statistics.median(found.among_known)
        yield shown(NAME, "  the same of that one if one of its draws were the real start", known)
        if found.of_learned:
            learned = statistics.median(found.of_learned)
            yield shown(
                NAME, "  the same of one that learns the parameters of a known one", learned
            )
        own = statistics.median(found.among_draws)
        yield shown(NAME, "  the same if a draw of the forecast were the real start", own)


@dataclass
class Comparison:
    """What was expected in simulations of one kind of workload, and what came."""

    kind: Kind
    within: list[bool] = field(default_factory=list)
    # Errors relative to the real waits.
    errors: list[float] = field(default_factory=list)
    of_known: list[float] = field(default_factory=list)  # of forecasts from the distributions
    of_learned: list[float] = field(default_factory=list)  # of those with learned parameters
    among_known: list[float] = field(default_factory=list)  # of their draws among each other
    among_draws: list[float] = field(default_factory=list)  # of the dispatcher's own draws

    def add(self, seed: int) -> None:
        """Simulate one workload."""
        workload, known = self.kind.drawn(seed), KnownDistributions(self.kind.drawn)
        teams = {team: TeamSettings(**fields) for team, fields in workload.teams.items()}
        outlooks: list[tuple[float, Key, Outlook]] = []
        known_starts: list[tuple[float, Key, float]] = []
        learned_starts: list[tuple[float, Key, float]] = []
        last = -self.kind.every

        def note(*_: int) -> None:
            nonlocal last
            since = account.clock.now - START
            document = CapacityDocument.parse(account.documents.get(CAPACITY_DOCUMENT))
            if document is None or not document.waiting or not document.run_times:
                return
            if since - last < self.kind.every:
                return
            last, at = since, since.total_seconds()
            forecast = Forecast(document, teams)
            for spread in forecast.spreads().values():
                self.among_draws.extend(_errors_among(spread.starts))
            stated = forecast.of_listed(account.clock.now).items()
            outlooks.extend((at, key, each) for key, each in stated if each.latest is not None)
            course = KnownCourse(document, teams, known)
            for key, spread in drawn_spreads(course, random.Random(seed)).items():
                self.among_known.extend(_errors_among(spread.starts))
                known_starts.append((at, key, expected(spread.starts)))
            if self.kind.lognormal:
                learned = drawn_spreads(LearnedCourse(document, teams), random.Random(seed)).items()
                learned_starts.extend((at, key, expected(spread.starts)) for key, spread in learned)

        account = Simulation(workload, forecasts=True, progress=note)
        account.run()
        starts = {
            key: (entry.started_at - START).total_seconds()
            for key, entry in account.requests.entries.items()
            if entry.started_at
        }
        for at, key, each in outlooks:
            real = starts[key] - at
            self.within.append((each.earliest or 0) <= real <= (each.latest or 0))
            self.errors.append(_error(each.starts_in or 0.0, real))
        self.of_known.extend(_error(each, starts[key] - at) for at, key, each in known_starts)
        self.of_learned.extend(_error(each, starts[key] - at) for at, key, each in learned_starts)


def _errors_among(starts: Sequence[float]) -> Iterator[float]:
    """Yield the error of what all draws but one say, relative to that one."""
    for at, real in enumerate(starts):
        others = [*starts[:at], *starts[at + 1 :]]
        yield _error(expected(others), real)


def _error(stated: float, real: float) -> float:
    return abs(stated - real) / max(real, SHORTEST_WAIT)


if __name__ == "__main__":
    print_table(results())
