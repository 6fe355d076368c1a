"""What a cycle costs: as much with a flood of one team as without it, in calls and in rows."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from hpo_dispatcher.aws.clients import CallCounter
from hpo_dispatcher.contract.entry import HOUR
from hpo_dispatcher.observability.metrics import Measurement
from hpo_dispatcher.observability.telemetry import Telemetry
from hpoq.simulation.in_memory_ledger import MemoryRequests
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload
from tests.support.dispatcher_account import ample_time

READS = ("heads", "queued_from", "get_all", "running", "blocked", "blocked_of", "spent")
SLOTS = 10


class CountingRows:
    """A ledger that counts calls, and the rows that they read, by method."""

    def __init__(self, requests: MemoryRequests) -> None:
        self._requests = requests
        self.calls: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        method: Callable[..., Any] = getattr(self._requests, name)
        if name not in READS:
            return method

        def counted(*args: Any) -> Any:
            found: Sized = method(*args)
            self.calls[name] += 1
            self.rows[name] += len(found)
            return found

        return counted


def account_with(arrivals: Sequence[Arrival], teams: Sequence[str]) -> Simulation:
    """Return an account that is full, and whose ledger has all of these requests."""
    settings: dict[str, Mapping[str, Any]] = {team: {} for team in teams}
    account = Simulation(Workload(name="flood", arrivals=arrivals, teams=settings, slots=SLOTS))
    for arrival in arrivals:
        account.send(arrival)
    account.dispatcher.run(ample_time())
    assert len(account.sagemaker.running) == SLOTS
    return account


def of_team(team: str, count: int, **fields: Any) -> list[Arrival]:
    return [
        Arrival(at=0, team=team, request_id=f"r{n:05}", seconds=HOUR, **fields)
        for n in range(count)
    ]


def cost(account: Simulation) -> tuple[Counter[str], Counter[str]]:
    """Return the calls and the rows of a cycle in which nothing has changed, metrics included."""
    counting: Any = CountingRows(account.requests)
    written: list[Measurement] = []
    gauge: Any = SimpleNamespace(write=written.extend)
    telemetry = Telemetry(
        log=logging.getLogger(), gauge=gauge, requests=counting, calls=CallCounter(),
        teams=tuple(account.workload.teams), clock=lambda: account.clock.now,
    )  # fmt: skip
    replace(account.dispatcher, requests=counting, watch=telemetry.cycle).run(ample_time())
    queued = [each.value for each in written if each.name == "Queued" and not each.dimension]
    assert queued == [sum(map(account.requests.queue_length, account.workload.teams))]
    return counting.calls, counting.rows


def one_long_queue(count: int) -> Simulation:
    return account_with([*of_team("a", count), *of_team("b", 20)], ["a", "b"])


def many_teams(count: int) -> Simulation:
    teams = [f"t{n:02}" for n in range(40)]
    arrivals = [each for team in teams for each in of_team(team, count // 40)]
    return account_with(arrivals, teams)


@pytest.mark.parametrize("flood", [one_long_queue, many_teams])
def test_a_cycle_reads_no_more_of_long_queues_than_of_short_ones(
    flood: Callable[[int], Simulation],
) -> None:
    assert cost(flood(1_000)) == cost(flood(500))


def test_bad_messages_of_one_team_are_rejected_and_others_start_in_the_same_cycle() -> None:
    account = account_with(of_team("b", SLOTS), ["a", "b"])
    for _ in range(300):
        account.queues.send("a", '{"hyperparameter_ranges": 1}')
    before = account.requests.calls.copy()
    account.dispatcher.run(ample_time())
    assert len(account.queues.dead_letters) == 300
    reads = account.requests.calls - before
    assert reads["dynamodb:Query"] <= 5, "nothing is read because of them"
    counts, rows = cost(account)
    assert rows["get_all"] == 0, "and nothing is left to be paid for by the next cycle"
    assert counts["heads"] == 2
