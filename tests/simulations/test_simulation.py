"""Whole workloads run in a simulated account."""

from __future__ import annotations

from typing import Any

import pytest

from hpo_dispatcher.cycle.pacing import Deadline
from hpoq.simulation.result import SimulationResult
from hpoq.simulation.simulate import Conditions, Simulation
from hpoq.simulation.workload import WORKLOADS, Arrival, Workload
from tests.support.waiting_times import waited_job_ends


def run(name: str, requests: int, **conditions: Any) -> SimulationResult:
    return Simulation(WORKLOADS[name](requests, 1), Conditions(**conditions)).run()


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_workload_completes_without_lost_or_doubled_requests_and_within_the_limits(
    name: str,
) -> None:
    report = run(name, 150)
    assert report.completed == report.requests
    assert (report.lost, report.duplicated, report.over_quota) == (0, 0, 0)
    assert report.peak <= report.slots


def test_events_keep_a_backlogged_account_fully_used_and_polling_does_not() -> None:
    assert run("burst", 400).utilization >= 0.99
    assert run("burst", 400, on_events=False).utilization < 0.9


def test_a_noisy_neighbor_delays_others_by_at_most_one_job_end_beyond_their_share() -> None:
    report = run("noisy-neighbor", 400)
    assert waited_job_ends(report) <= 1


def test_a_big_request_starts_within_the_stated_bound() -> None:
    report = run("big-and-small", 300)
    bound = 30 * 60 + 15 * 60 + 60  # the reservation, the longest job, a minute of events
    assert report.waits["big"]["p100"] <= bound


def test_requests_of_a_chain_run_one_after_another() -> None:
    report = run("chain", 30)
    starts = {request_id: at for at, _, request_id in report.starts}
    for number in range(3):
        order = [starts[f"c{number}-{link}"] for link in range(10)]
        assert order == sorted(order)


def test_a_slow_api_and_late_events_only_reduce_utilization() -> None:
    good, bad = run("burst", 300), run("burst", 300, creates_per_second=0.5, event_delay=60.0)
    assert bad.utilization < good.utilization - 0.01
    assert bad.completed == 300
    assert bad.over_quota == bad.lost == bad.duplicated == 0


def test_failed_requests_are_counted_and_their_successors_are_cancelled() -> None:
    report = run("chain", 100, failing=0.2)
    assert report.failed > 0
    assert report.cancelled > 0
    assert report.completed + report.failed + report.cancelled == 100


def test_no_team_gets_much_less_than_its_weighted_share() -> None:
    assert run("multi-quota", 300).fairness_gap < 0.05
    assert run("multi-quota", 300).instance_utilization["ml.g5.xlarge"] > 0.9


def test_a_cycle_with_messages_polls_each_empty_queue_only_once() -> None:
    """Limit the polls of an empty queue, because each takes a second."""
    arrivals = [Arrival(at=0, team="fraud", request_id=f"r{n}", seconds=60) for n in range(5)]
    account = Simulation(Workload(name="few", arrivals=arrivals, teams={"fraud": {}}))
    for arrival in arrivals:
        account.send(arrival)

    account.dispatcher.run(Deadline(remaining=lambda: 900.0, total=900.0))

    assert account.queues.calls["sqs:ReceiveMessage"] == 2


@pytest.mark.parametrize(("search_delay", "described"), [(0.0, 0), (60.0, 200)])
def test_simultaneous_ends_need_few_searches_and_a_describe_each_only_if_the_index_lags(
    search_delay: float, described: int
) -> None:
    arrivals = [
        Arrival(at=0, team="fraud", request_id=f"r{number}", seconds=590) for number in range(200)
    ]
    workload = Workload(name="waves", arrivals=arrivals, teams={"fraud": {}})

    report = Simulation(workload, Conditions(search_delay=search_delay)).run()

    assert report.completed == 200
    assert report.calls.get("sagemaker:Describe", 0) == described
    assert report.calls["sagemaker:Search"] == 2 * -(-100 // 31)
