"""What a cycle recalls of the one before, also from documents that are damaged."""

from __future__ import annotations

import json

import pytest

from hpo_dispatcher.contract.documents.capacity import (
    CapacityDocument,
    QueueLength,
    RecentArrival,
    ResourceUse,
    RunTimeSamples,
)
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpo_dispatcher.cycle.decision import queue_heads
from hpo_dispatcher.cycle.publish import recall
from hpo_dispatcher.scheduling.backoff import Backoff
from hpo_dispatcher.scheduling.forecast.predictions import Predictions
from hpo_dispatcher.scheduling.history.memory import MEMORY, memory_json
from hpo_dispatcher.scheduling.snapshot import ReservationTimer
from hpoq.simulation.in_memory_ledger import MemoryDocuments
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload
from tests.support.scheduling_scene import NOON, ago
from tests.support.unreliable_dispatcher import ample

ARRIVED = RecentArrival(
    team="fraud", at=ago(3), instances={}, template="smoke", rounds=1, most_seconds=60.0
)
PUBLISHED = CapacityDocument(
    at=NOON,
    tuning_jobs=ResourceUse(limit=9),
    queues={"fraud": QueueLength(queued=3, marks=(("1000#a", 3),))},
    run_times=(RunTimeSamples(team="fraud", template="smoke", seconds_per_round=(60.0,)),),
    usage={"fraud": 0.5},
    arrivals=(ARRIVED,),
)
REMEMBERED = memory_json(
    {("fraud", "a"): ReservationTimer(since=ago(9))}, Backoff(), [("fraud", "u")], ["job"],
    Predictions(scores=[0.5]), read_up_to={"fraud": "k"},
)  # fmt: skip
DAMAGED = '{"at": '


def documents(published: str | None = None, memory: str | None = None) -> MemoryDocuments:
    found = MemoryDocuments()
    for name, content in ((CAPACITY_DOCUMENT, published), (MEMORY, memory)):
        if content is not None:
            found.put(name, content)
    return found


def test_what_clients_see_is_recalled_from_the_published_document() -> None:
    found = recall(documents(PUBLISHED.to_json()))
    assert found.queue_counts.published() == PUBLISHED.queues
    assert found.run_times.published() == PUBLISHED.run_times
    assert (found.usage, found.usage_at) == ({"fraud": 0.5}, NOON)
    assert [*found.arrivals] == [ARRIVED]
    assert found.unreadable == []


def test_before_the_first_cycle_there_is_nothing_to_recall() -> None:
    found = recall(documents())
    assert (found.memory, found.usage, found.usage_at, found.unreadable) == (None, {}, None, [])
    assert (found.queue_counts.published(), found.run_times.published()) == ({}, ())
    assert ([*found.arrivals], found.reservation_timers) == ([], {})
    assert ([*found.created], [*found.unannounced], found.read_up_to) == ([], [], {})


def test_timers_of_the_version_that_published_them_are_recalled() -> None:
    front = {"team": "fraud", "request_id": "a", "since": ago(7).isoformat()}
    old = json.dumps(json.loads(PUBLISHED.to_json()) | {"fronts": [front]})
    assert recall(documents(old)).reservation_timers == {
        ("fraud", "a"): ReservationTimer(since=ago(7))
    }


@pytest.mark.parametrize("damaged", [(CAPACITY_DOCUMENT,), (MEMORY,), (CAPACITY_DOCUMENT, MEMORY)])
def test_each_damaged_document_is_named_and_what_the_other_says_is_kept(
    damaged: tuple[str, ...],
) -> None:
    stored = documents(PUBLISHED.to_json(), REMEMBERED)
    for name in damaged:
        stored.put(name, DAMAGED)
    found = recall(stored)
    assert [name for line in found.unreadable for name in damaged if name in line] == [*damaged]
    assert found.usage == ({} if CAPACITY_DOCUMENT in damaged else {"fraud": 0.5})
    assert {*found.created} == (set() if MEMORY in damaged else {"job"})
    assert found.memory == (None if MEMORY in damaged else REMEMBERED), "it is written again"


def test_a_long_queue_is_read_on_from_where_the_last_cycle_has_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Requests of more instances than the quota never fit, and could hide others."""
    monkeypatch.setattr(queue_heads, "MOST_HEADS", 25)
    workload = Workload(
        name="w", arrivals=[], teams={"fraud": {}}, slots=1, instances={"ml.m5.large": 1}
    )
    account = Simulation(workload)
    for n in range(60):
        account.send(Arrival(at=0, team="fraud", request_id=f"r{n:02}", seconds=60, parallel=2))
    positions = []
    for _ in range(3):
        account.dispatcher.run(ample())
        read_up_to = recall(account.documents).read_up_to.get("fraud", "")
        positions.append(read_up_to.rpartition("#")[2])
    assert positions == ["r49", "", "r49"]
