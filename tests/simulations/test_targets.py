"""Whole workloads over several targets."""

from __future__ import annotations

from dataclasses import replace

from hpoq.simulation.result import SimulationResult
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.targets.services import on_targets
from hpoq.simulation.workload import Arrival, Workload, burst


def run(workload: Workload, targets: int) -> SimulationResult:
    return Simulation(on_targets(workload, targets) if targets > 1 else workload).run()


def test_three_targets_take_a_third_of_the_time_of_one() -> None:
    """All limits hold, and nothing is lost or doubled."""
    work = replace(burst(270, 1), slots=10)
    one, three = run(work, 1), run(work, 3)
    assert three.hours / one.hours <= 0.36
    assert min(three.utilization_on.values()) >= 0.99
    for result in (one, three):
        assert (result.completed, result.lost, result.duplicated) == (270, 0, 0)
        assert result.over_quota == 0
    assert (one.peak, three.peak) == (10, 30)


def test_three_targets_are_shared_as_fairly_as_one() -> None:
    arrivals = [
        Arrival(at=0, team=team, request_id=f"{team}{n}", seconds=1500 + 10 * (n % 90))
        for team in ("a", "b", "c")
        for n in range(80)
    ]
    teams = {"a": {"weight": 2.0}, "b": {}, "c": {}}
    work = Workload(name="three teams", arrivals=arrivals, teams=teams, slots=8)
    one, three = run(work, 1), run(work, 3)
    assert three.fairness_gap <= one.fairness_gap + 0.02


def test_a_request_for_a_full_target_does_not_delay_those_that_may_run_elsewhere() -> None:
    only = [
        Arrival(at=0, team="a", request_id=f"o{n}", seconds=1800, targets=("target-2",))
        for n in range(40)
    ]
    anywhere = [
        Arrival(
            at=60, team="a", request_id=f"x{n}", seconds=600,
            targets=("home", "target-2", "target-3"),
        )
        for n in range(10)
    ]  # fmt: skip
    work = Workload(name="one", arrivals=only + anywhere, teams={"a": {}}, slots=5, targets=3)
    result = Simulation(work).run()
    starts = {request: at for at, _, request in result.starts}
    assert max(starts[f"x{n}"] for n in range(10)) < 120
    assert result.completed == 50
