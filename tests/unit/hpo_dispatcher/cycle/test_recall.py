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
from hpo_dispatcher.cycle.publish import recall
from hpo_dispatcher.scheduling.backoff import Backoff
from hpo_dispatcher.scheduling.forecast.predictions import Predictions
from hpo_dispatcher.scheduling.history.memory import MEMORY, memory_json
from hpo_dispatcher.scheduling.snapshot import ReservationTimer
from hpoq.simulation.in_memory_ledger import MemoryDocuments
from tests.support.scheduling_scene import NOON, ago

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
