"""Compare expected starts with real ones, in five simulated workloads.

    python -m benchmarks estimates

Prints which part of the starts was within the range that was stated for them, and the median error
of the expected wait relative to the real one.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from benchmarks.heavy_tailed import heavy_tailed
from benchmarks.measure import Measure, at_least, at_most, print_table, shown
from hpo_dispatcher.contract.documents.capacity import CapacityDocument
from hpo_dispatcher.contract.entry import Key
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.forecast.calibration import SHORTEST_WAIT, expected
from hpo_dispatcher.scheduling.forecast.outlooks import Forecast, Outlook
from hpoq.simulation.simulate import START, Simulation
from hpoq.simulation.workload import WORKLOADS, Workload

NAME = "estimates"
EVERY = timedelta(minutes=37)  # between two forecasts


def workloads() -> dict[str, Workload]:
    """Return the workloads; in each, requests wait for a while."""
    return {
        "burst": WORKLOADS["burst"](1_000, 1),
        "noisy-neighbor": WORKLOADS["noisy-neighbor"](1_000, 1),
        "multi-quota": WORKLOADS["multi-quota"](600, 1),
        "heavy-tailed, load 0.6": heavy_tailed(0.6, requests=600),
        "heavy-tailed, load 0.8": heavy_tailed(0.8, requests=600, seed=4),
    }


def results() -> Iterable[Measure]:
    """Yield the coverage and the error for each workload."""
    for name, workload in workloads().items():
        of_draws: list[float] = []
        pairs = [*_compared(workload, of_draws)]
        floor = statistics.median(of_draws)
        within = [low <= real <= high for low, _, high, real in pairs]
        errors = [abs(stated - real) / max(real, SHORTEST_WAIT) for _, stated, _, real in pairs]
        yield shown(NAME, f"{name}: starts compared", len(pairs))
        held = statistics.fmean(within)
        yield at_least(NAME, f"{name}: starts within the stated range", held, 0.75)
        yield at_most(NAME, "  not more often than stated", held, 0.9)
        yield at_most(NAME, "  median relative error", statistics.median(errors), 0.25)
        yield shown(NAME, "  the same if a draw of the forecast were the real start", floor)


def _compared(
    workload: Workload, of_draws: list[float]
) -> Iterator[tuple[float, float, float, float]]:
    """Yield earliest, expected and latest, and the real wait in seconds, of forecast starts.

    Args:
        workload: to simulate.
        of_draws: the errors that the forecasts would have if one of their own draws came true, are
            added to it: no forecast from the same run times can be better.
    """
    stated: list[tuple[float, Key, Outlook]] = []
    account: Simulation
    last = -EVERY

    def note(*_: int) -> None:
        nonlocal last
        since = account.clock.now - START
        if since - last < EVERY:
            return
        document = CapacityDocument.parse(account.documents.get(CAPACITY_DOCUMENT))
        if document is None or not document.waiting or not document.run_times:
            return
        last = since
        teams = {team: TeamSettings(**fields) for team, fields in workload.teams.items()}
        forecast = Forecast(document, teams)
        outlooks = forecast.of_listed(account.clock.now)
        for spread in forecast.spreads().values():
            of_draws.extend(_errors_among(spread.starts))
        stated.extend(
            (account.clock.seconds(), key, outlook)
            for key, outlook in outlooks.items()
            if outlook.starts_in is not None
        )

    account = Simulation(workload, forecasts=True, progress=note)
    account.run()
    for at, key, outlook in stated:
        started_at = account.requests.entries[key].started_at
        if started_at and outlook.earliest is not None and outlook.latest is not None:
            real = (started_at - START).total_seconds() - at
            yield outlook.earliest, outlook.starts_in or 0.0, outlook.latest, real


def _errors_among(starts: Sequence[float]) -> Iterator[float]:
    """Yield the error of what all draws but one say, relative to that one."""
    for at, real in enumerate(starts):
        others = [*starts[:at], *starts[at + 1 :]]
        yield abs(expected(others) - real) / max(real, SHORTEST_WAIT)


if __name__ == "__main__":
    print_table(results())
