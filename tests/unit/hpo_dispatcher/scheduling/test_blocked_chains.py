"""What blocked requests cost: as much as has changed, not as many as there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hpo_dispatcher.contract.entry import HOUR, BlockedEntry, Entry, Key
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
