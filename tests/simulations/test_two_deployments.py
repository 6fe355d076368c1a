"""Teams that are split over two deployments, each with its own queues, ledger and dispatcher."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.targets.services import target_names
from hpoq.simulation.workload import Arrival, Workload
from tests.support.dispatcher_account import ample_time

SLOTS, TARGETS = 10, 4
NAMES = target_names(TARGETS)
RUN = timedelta(minutes=10)


class _Run:
    seconds, fails = RUN.total_seconds() - 10, False


def deployment(team: str, targets: tuple[str, ...], requests: int) -> Simulation:
    """Return a deployment of one team whose requests may run on some of the targets."""
    arrivals = [
        Arrival(at=0, team=team, request_id=f"r{n}", seconds=590, targets=targets)
        for n in range(requests)
    ]
    workload = Workload(
        name="w", arrivals=arrivals, teams={team: {}}, slots=SLOTS, targets=TARGETS
    )  # fmt: skip
    made = Simulation(workload)
    for arrival in arrivals:
        made.send(arrival)
    return made


def in_the_accounts_of(first: Simulation, second: Simulation) -> Dispatcher:
    """Return the dispatcher of a second deployment over the accounts of the first one."""
    services = first.targets.services
    built = second.dispatcher
    others = {name: replace(each, tuning=services[name]) for name, each in built.targets.items()}
    return replace(built, tuning=services["home"], targets=others)


@pytest.mark.parametrize(
    ("of_a", "of_b"),
    [(NAMES[:2], NAMES[2:]), (NAMES[:3], NAMES[2:]), (NAMES, NAMES)],
    ids=["own targets", "one shared", "all shared"],
)
def test_two_deployments_lose_and_double_nothing_and_pass_no_limit(
    of_a: tuple[str, ...], of_b: tuple[str, ...]
) -> None:
    a, b = deployment("a", tuple(of_a), 120), deployment("b", tuple(of_b), 120)
    services = a.targets.services
    run: Any = _Run()
    for service in services.values():
        service.run_of = lambda _: run
    dispatchers = [a.dispatcher, in_the_accounts_of(a, b)]
    used: Counter[str] = Counter()
    for cycle in range(60):
        for dispatcher in dispatchers if cycle % 2 else reversed(dispatchers):
            dispatcher.run(ample_time())
        for name, service in services.items():
            assert len(service.running) <= SLOTS
            used[name] += len(service.running)
        a.clock.now += RUN
        b.clock.now = a.clock.now
        for service in services.values():
            service.end_due()
        statuses = {e.status for each in (a, b) for e in each.requests.entries.values()}
        if statuses == {Status.COMPLETED}:
            break
    assert statuses == {Status.COMPLETED}
    ran = Counter(job.key for service in services.values() for job in service.ended.values())
    assert len(ran) == 240
    assert set(ran.values()) == {1}
    for each, allowed in ((a, of_a), (b, of_b)):
        assert {entry.target for entry in each.requests.entries.values()} <= set(allowed)
    # 240 runs on 40 slots: six cycles, and one in which the last ends are recorded.
    assert cycle <= 7 + (of_a != NAMES[:2])
    assert all(used.values())
