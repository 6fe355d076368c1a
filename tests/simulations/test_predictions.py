"""A simulated dispatcher compares its expected starts with the real ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hpo_dispatcher.contract.documents.capacity import CapacityDocument
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpo_dispatcher.scheduling.forecast.outlooks import Forecast
from hpo_dispatcher.scheduling.forecast.predictions import EVERY, MOST_PENDING, Predictions
from hpo_dispatcher.scheduling.history.memory import MEMORY, memory_json, predictions_from
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
FEW = 5


def account(**fields: bool) -> Simulation:
    """Return a simulation of one slot and sixty requests of five minutes each."""
    arrivals = [
        Arrival(at=number * 30, team="fraud", request_id=f"r{number}", seconds=300 + number)
        for number in range(60)
    ]
    return Simulation(
        Workload(name="one", arrivals=arrivals, teams={"fraud": {}}, slots=1), **fields
    )


def test_the_dispatcher_measures_its_expected_starts_and_publishes_how_many_held() -> None:
    simulation = account(forecasts=True)
    simulation.run()
    document = CapacityDocument.parse(simulation.documents.get(CAPACITY_DOCUMENT))
    assert document is not None
    assert document.estimates is not None
    assert document.estimates.starts >= 24
    assert document.estimates.within >= 0.5 * document.estimates.starts
    assert document.estimates.scores is not None
    predictions = predictions_from(simulation.documents.get(MEMORY))
    assert predictions.pending == []
    quiet = account()
    quiet.run()
    document = CapacityDocument.parse(quiet.documents.get(CAPACITY_DOCUMENT))
    assert document is not None
    assert document.estimates is None


def test_what_is_noted_is_bounded_and_forgotten_with_its_request() -> None:
    simulation = account()
    documents: list[CapacityDocument] = []

    def keep(*_: object) -> None:
        document = CapacityDocument.parse(simulation.documents.get(CAPACITY_DOCUMENT))
        if document and len(document.waiting) >= FEW and document.run_times:
            documents.append(document)

    simulation = Simulation(simulation.workload, progress=keep)
    simulation.run()
    document = documents[0]
    forecast = Forecast(document, {})
    queued = {each.key for each in document.waiting}
    predictions = Predictions()
    for number in range(MOST_PENDING):
        now = NOON + number * EVERY
        assert predictions.due(now)
        predictions.note(forecast, queued, now)
        assert not predictions.due(now + EVERY / 2)
    assert len(predictions.pending) == MOST_PENDING
    assert len({each.key for each in predictions.pending[:FEW]}) == FEW
    assert len(memory_json({}, predictions=predictions)) < 40_000
    predictions.note(forecast, set(), NOON + timedelta(days=9))
    assert {each.at for each in predictions.pending} == {NOON + timedelta(days=9)}
