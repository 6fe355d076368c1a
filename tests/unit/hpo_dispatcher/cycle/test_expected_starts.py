"""When a cycle notes the starts that it expects, and compares them with the real ones."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hpo_dispatcher.contract.documents.capacity import CapacityDocument
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpo_dispatcher.cycle.dispatcher import FORECAST_SHARE
from hpo_dispatcher.cycle.pacing import Deadline
from hpo_dispatcher.scheduling.forecast.predictions import EVERY, Predictions
from hpo_dispatcher.scheduling.history.memory import MEMORY, predictions_from
from hpoq.simulation.sagemaker import SimulatedRun
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload

TOTAL = 900.0  # seconds of a cycle
ENOUGH = TOTAL * (1 - FORECAST_SHARE)


class World(Simulation):
    """An account with one slot, in which a tuning job has run for an hour."""

    def __init__(self, *request_ids: str, forecasts: bool = True) -> None:
        workload = Workload(name="w", arrivals=[], teams={"fraud": {}}, slots=1)
        super().__init__(workload, forecasts=forecasts)
        self.sagemaker.run_of = lambda _: SimulatedRun(seconds=3600)
        for each in ("before", *request_ids):
            self.send(Arrival(at=0, team="fraud", request_id=each, seconds=3600))
            self.clock.wait(1)
            if each == "before":
                self.cycle()
                self.clock.wait(3600)
                self.ends(each)
                self.cycle()

    def cycle(self, after: timedelta = timedelta(0), seconds_left: float = TOTAL) -> None:
        self.clock.now += after
        self.dispatcher.run(Deadline(remaining=lambda: seconds_left, total=TOTAL))

    def ends(self, request_id: str) -> None:
        self.sagemaker.end(self.requests.entries["fraud", request_id].tuning_job_name)

    @property
    def noted(self) -> Predictions:
        return predictions_from(self.documents.get(MEMORY))

    @property
    def document(self) -> CapacityDocument:
        document = CapacityDocument.parse(self.documents.get(CAPACITY_DOCUMENT))
        assert document is not None
        return document


def test_the_starts_of_waiting_requests_are_noted_every_half_hour() -> None:
    world = World("a", "b", "c")
    world.cycle()
    first = world.clock.now
    assert {each.key for each in world.noted.pending} == {("fraud", "b"), ("fraud", "c")}
    assert world.noted.noted_at == first
    world.cycle(EVERY - timedelta(seconds=1))
    assert world.noted.noted_at == first
    world.cycle(timedelta(seconds=1))
    assert world.noted.noted_at == first + EVERY


def test_a_start_is_compared_with_what_was_expected_and_published() -> None:
    world = World("a", "b", "c")
    world.cycle()
    assert world.document.estimates is None
    world.ends("a")
    world.cycle(timedelta(hours=1))
    assert world.document.estimates is not None
    assert world.document.estimates.starts == 1
    assert {each.key for each in world.noted.pending} == {("fraud", "c")}


def test_without_waiting_requests_nothing_is_expected() -> None:
    world = World("a")
    world.cycle()
    assert (world.noted.noted_at, world.noted.pending) == (None, [])


@pytest.mark.parametrize(("seconds_left", "noted"), [(ENOUGH + 1, True), (ENOUGH - 1, False)])
def test_a_cycle_that_is_short_of_time_expects_no_starts(seconds_left: float, noted: bool) -> None:
    world = World("a", "b")
    world.cycle()
    before = world.noted.noted_at
    world.cycle(EVERY, seconds_left)
    assert (world.noted.noted_at != before) is noted
    assert len(world.document.waiting) == 1, "the document is published in any case"


def test_a_dispatcher_may_do_without() -> None:
    world = World("a", "b", forecasts=False)
    world.cycle()
    assert world.noted.noted_at is None
