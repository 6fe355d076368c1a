"""What blocked requests cost: as much as has changed, not as many as there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_dispatcher.contract.entry import HOUR, BlockedEntry, Entry, Key
from hpo_dispatcher.cycle import reconcile
from hpo_dispatcher.scheduling.dependencies import Hopeless, cyclic, graph_of, judge
from hpoq.simulation.in_memory_ledger import MemoryRequests
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload
from tests.support.dispatcher_account import ample_time


class Counting:
    """A ledger that counts the entries that are read by key."""

    def __init__(self, requests: MemoryRequests) -> None:
        self._requests = requests
        self.read = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._requests, name)

    def get_all(self, keys: Sequence[Key]) -> Mapping[Key, Entry]:
        self.read += len(keys)
        return self._requests.get_all(keys)


def chain(length: int) -> Simulation:
    arrivals = [
        Arrival(at=0, team="a", request_id=f"r{n:04}", seconds=HOUR,
                after=(f"r{n - 1:04}",) if n else ())
        for n in range(length)
    ]  # fmt: skip
    account = Simulation(Workload(name="chain", arrivals=arrivals, teams={"a": {}}))
    for arrival in arrivals:
        account.send(arrival)
    account.dispatcher.run(ample_time())
    return account


def reads_of_an_idle_cycle(length: int) -> int:
    account = chain(length)
    counting: Any = Counting(account.requests)
    replace(account.dispatcher, requests=counting).run(ample_time())
    assert len(account.sagemaker.running) == 1
    return counting.read


def test_an_idle_cycle_reads_no_more_entries_of_a_long_chain_than_of_a_short_one() -> None:
    assert reads_of_an_idle_cycle(300) == reads_of_an_idle_cycle(3)


class CountingBlocked:
    """A ledger that counts the rows that are read about blocked requests."""

    def __init__(self, requests: MemoryRequests) -> None:
        self._requests = requests
        self.rows = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._requests, name)

    def blocked(self, count: int | None = None) -> Sequence[BlockedEntry]:
        return self._counted(self._requests.blocked(count))

    def blocked_of(self, team: str, after: str, count: int) -> Sequence[BlockedEntry]:
        return self._counted(self._requests.blocked_of(team, after, count))

    def _counted(self, found: Sequence[BlockedEntry]) -> Sequence[BlockedEntry]:
        self.rows += len(found)
        return found


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a cycle read fewer blocked requests."""
    monkeypatch.setattr(reconcile, "BLOCKED_READ", 10)
    monkeypatch.setattr(reconcile, "BLOCKED_OF_TEAM", 5)


def families(children: int) -> Simulation:
    """Let team a have many children of one parent, and team b one."""
    arrivals = [
        Arrival(at=0, team=team, request_id="parent", seconds=60) for team in ("a", "b")
    ] + [
        Arrival(at=0, team=team, request_id=f"r{n:04}", seconds=HOUR, after=("parent",))
        for team, count in (("a", children), ("b", 1)) for n in range(count)
    ]  # fmt: skip
    account = Simulation(Workload(name="families", arrivals=arrivals, teams={"a": {}, "b": {}}))
    for arrival in arrivals:
        account.send(arrival)
    account.dispatcher.run(ample_time())
    return account


def running_children(account: Simulation) -> Counter[str]:
    running = account.requests.running()
    return Counter(each.team for each in running if each.request_id != "parent")


@pytest.mark.usefixtures("few_at_once")
def test_many_blocked_requests_of_one_team_delay_no_other_team_and_none_is_forgotten() -> None:
    account = families(30)
    account.clock.now += timedelta(minutes=2)
    account.sagemaker.end_due()
    account.dispatcher.run(ample_time())
    account.dispatcher.run(ample_time())
    assert running_children(account)["b"] == 1
    assert 0 < running_children(account)["a"] < 30
    for _ in range(6):
        account.dispatcher.run(ample_time())
    assert running_children(account) == {"a": 30, "b": 1}


@pytest.mark.usefixtures("few_at_once")
def test_a_cycle_reads_as_many_rows_whether_a_team_blocks_thirty_requests_or_three_hundred() -> (
    None
):
    rows = set()
    for children in (30, 300):
        account = families(children)
        counting: Any = CountingBlocked(account.requests)
        for _ in range(3):
            replace(account.dispatcher, requests=counting).run(ample_time())
        rows.add(counting.rows)
    assert rows == {3 * (11 + 5 + 1)}


@given(
    st.dictionaries(
        st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3), max_size=6
    )
)
def test_every_request_of_a_cycle_is_found(graph: dict[str, list[str]]) -> None:
    blocked = [
        BlockedEntry(team="t", request_id=request_id, after=tuple(parents), warm_start_from=())
        for request_id, parents in graph.items()
    ]
    found = cyclic(graph_of(blocked))
    for each in blocked:
        if isinstance(judge(each, {}, graph_of(blocked)), Hopeless):
            assert each.key in found
