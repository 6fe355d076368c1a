"""Compare the error of expected starts with that of forecasts that know more, over many workloads.

    python -m benchmarks knowledge

Each forecast starts from the same documents. It knows one thing that the dispatcher has to guess,
or all of them. What the dispatcher lacks is what lowers the error most. It takes half an hour.
"""

from __future__ import annotations

import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import NamedTuple

from benchmarks.heavy_tailed import heavy_tailed
from benchmarks.known_future import KnownCourse, KnownDistributions
from benchmarks.learned_future import LearnedCourse
from benchmarks.measure import Measure, print_table, shown
from hpo_dispatcher.contract.documents.capacity import CapacityDocument
from hpo_dispatcher.contract.entry import Key
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.forecast.calibration import SHORTEST_WAIT, expected
from hpo_dispatcher.scheduling.forecast.course import Course
from hpo_dispatcher.scheduling.forecast.future import Future, RunTimeFacts, RunTimesToDraw
from hpo_dispatcher.scheduling.forecast.outlooks import drawn_spreads
from hpo_dispatcher.scheduling.history.run_times import Work
from hpoq.simulation.simulate import START, Simulation

NAME = "knowledge"
SEEDS = (1, 2, 4, 5, 7)
REQUESTS = {0.6: 600, 0.8: 400}  # by load
EVERY = timedelta(minutes=97)
ABOUT = 10.0  # seconds: documents and the ledger state starts with such a difference

Courses = Callable[["Moment"], Course]  # what one forecast draws at a moment


class Moment(NamedTuple):
    """A document of a simulation, and what happened in that simulation."""

    document: CapacityDocument
    teams: Mapping[str, TeamSettings]
    starts: Mapping[Key, float]  # seconds after the start of the simulation
    run_times: Mapping[Key, float]  # seconds
    known: KnownDistributions

    @property
    def at(self) -> float:
        """Seconds after the start of the simulation."""
        return (self.document.at - START).total_seconds()


def results() -> Iterable[Measure]:
    """Yield the median error of each forecast at both loads."""
    for load in REQUESTS:
        errors: dict[str, list[list[float]]] = defaultdict(list)
        for seed in SEEDS:
            moments = list(_moments(load, seed))
            for what, courses in FORECASTS.items():
                errors[what].append([e for each in moments for e in _errors(each, courses)])
        for what, found in errors.items():
            every = statistics.median(each for of_one in found for each in of_one)
            yield shown(NAME, f"heavy-tailed, load {load}: median error, {what}", every)
            by_workload = sorted(statistics.median(of_one) for of_one in found)
            yield shown(NAME, f"  the least of {len(SEEDS)} workloads", by_workload[0])
            yield shown(NAME, "  the greatest", by_workload[-1])


def _moments(load: float, seed: int) -> Iterator[Moment]:
    """Simulate a workload, and return its documents at equal distances."""
    known = KnownDistributions(lambda seed: heavy_tailed(load, REQUESTS[load], seed))
    workload = known.drawn(seed)
    teams = {team: TeamSettings(**fields) for team, fields in workload.teams.items()}
    documents: list[CapacityDocument] = []

    def note(*_: int) -> None:
        document = CapacityDocument.parse(account.documents.get(CAPACITY_DOCUMENT))
        if document is None or not document.waiting or not document.run_times:
            return
        if not documents or document.at - documents[-1].at >= EVERY:
            documents.append(document)

    account = Simulation(workload, progress=note)
    account.run()
    entries = account.requests.entries.values()
    starts = {e.key: (e.started_at - START).total_seconds() for e in entries if e.started_at}
    run_times = {(each.team, each.request_id): each.seconds for each in workload.arrivals}
    for document in documents:
        yield Moment(document, teams, starts, run_times, known)


def _errors(moment: Moment, courses: Courses) -> Iterator[float]:
    spreads = drawn_spreads(courses(moment), random.Random(1))
    for key, spread in spreads.items():
        real = moment.starts[key] - moment.at
        yield abs(expected(spread.starts) - real) / max(real, SHORTEST_WAIT)


class _PartlyKnownCourse(KnownCourse):
    """Courses of a forecast that knows some of the distributions, or when running jobs end."""

    def __init__(self, moment: Moment, *what: str) -> None:
        super().__init__(moment.document, moment.teams, moment.known)
        self._moment, self._what = moment, what

    def future(self, draw: random.Random) -> Future:
        known, usual = super().future(draw), Course.future(self, draw)
        of_running = known.run_times if "running" in self._what else usual.run_times
        return Future(
            _Either(
                known.run_times if "queued" in self._what else usual.run_times,
                _RealEnds(self._moment) if "ends" in self._what else of_running,
            ),
            known.arrivals if "arrivals" in self._what else usual.arrivals,
        )


class _Either:
    """Run times of queued requests, and others of running jobs."""

    def __init__(self, of_queued: RunTimesToDraw, of_running: RunTimesToDraw) -> None:
        self._of_queued, self._of_running = of_queued, of_running

    def left(self, work: Work, known: RunTimeFacts, elapsed: float = 0.0) -> float:
        return (self._of_running if elapsed else self._of_queued).left(work, known, elapsed)


class _RealEnds:
    """When the jobs that run at a moment will really end."""

    def __init__(self, moment: Moment) -> None:
        self._left: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for key, start in moment.starts.items():
            elapsed = moment.at - start
            if -ABOUT < elapsed < moment.run_times[key] + ABOUT:
                self._left[key[0]].append((elapsed, moment.run_times[key] - elapsed))

    def left(self, work: Work, _: RunTimeFacts, elapsed: float = 0.0) -> float:
        """Return the seconds left of a job of the team that has run for so long."""
        jobs = self._left[work.team]
        nearest = min(jobs, key=lambda job: abs(job[0] - elapsed))
        jobs.remove(nearest)
        return max(0.0, nearest[1])


def _knowing(*what: str) -> Courses:
    return lambda moment: _PartlyKnownCourse(moment, *what)


FORECASTS: Mapping[str, Courses] = {
    "the dispatcher's": lambda moment: Course(moment.document, moment.teams),
    "knows run times of running jobs by their distribution": _knowing("running"),
    "knows those of queued requests": _knowing("queued"),
    "knows how requests arrive": _knowing("arrivals"),
    "knows all three": _knowing("running", "queued", "arrivals"),
    "has learned the parameters of a known distribution": lambda moment: LearnedCourse(
        moment.document, moment.teams
    ),
    "knows when each running job ends": _knowing("ends"),
}


if __name__ == "__main__":
    print_table(results())
