"""A queue longer than a cycle reads hides no request of another shape for long."""

from __future__ import annotations

from hpo_dispatcher.contract.documents.capacity import CapacityDocument
from hpo_dispatcher.contract.entry import HOUR
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpo_dispatcher.cycle.decision.queue_heads import MOST_HEADS
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload
from tests.support.dispatcher_account import ample_time

CPU, GPU = "ml.m5.large", "ml.g5.xlarge"
IN_FRONT = 2 * MOST_HEADS + 50


def arrivals(kind: str, count: int, instance_type: str) -> list[Arrival]:
    return [
        Arrival(
            at=0, team="a", request_id=f"{kind}{n:05}", seconds=HOUR, instance_type=instance_type
        )
        for n in range(count)
    ]  # fmt: skip


def test_the_first_request_of_each_shape_is_seen_within_as_many_cycles_as_the_queue_has_pages() -> (
    None
):
    requests = [*arrivals("gpu", IN_FRONT, GPU), *arrivals("std", 3, CPU)]
    account = Simulation(
        Workload(name="long", arrivals=requests, teams={"a": {}}, instances={CPU: 20, GPU: 4})
    )
    for arrival in requests:
        account.send(arrival)
    account.dispatcher.run(ample_time())  # takes them in
    for _ in range(3):
        account.dispatcher.run(ample_time())
    assert len(account.sagemaker.running) == 4 + 3
    document = CapacityDocument.parse(account.documents.get(CAPACITY_DOCUMENT))
    assert document is not None
    assert document.queues["a"].queued == IN_FRONT - 4
    assert {each.request_id[:3] for each in document.waiting} == {"gpu"}
