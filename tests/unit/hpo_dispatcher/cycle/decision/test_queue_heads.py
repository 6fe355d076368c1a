"""No line of requests hides the requests behind it, however long it is."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from hpo_dispatcher.contract.documents.capacity import CapacityDocument, WaitKind
from hpo_dispatcher.contract.entry import HOUR
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload
from tests.support.dispatcher_account import ample_time

CPU, GPU = "ml.m5.large", "ml.g5.xlarge"


def arrivals(kind: str, count: int, instance_type: str, parallel: int = 1) -> list[Arrival]:
    return [
        Arrival(
            at=0, team="a", request_id=f"{kind}{n}", seconds=HOUR, instance_type=instance_type,
            parallel=parallel,
        )
        for n in range(count)
    ]  # fmt: skip


def after_two_cycles(requests: list[Arrival], **team: Any) -> Simulation:
    """Send requests, and run a cycle that takes them in and one that knows them from the ledger."""
    account = Simulation(
        Workload(
            name="lines", arrivals=requests, teams={"a": team},
            instances={CPU: 20, GPU: 4},
        )
    )  # fmt: skip
    for arrival in requests:
        account.send(arrival)
    account.dispatcher.run(ample_time())
    account.dispatcher.run(ample_time())
    return account


def running(account: Simulation) -> dict[str, int]:
    return dict(Counter(job.key[1][:3] for job in account.sagemaker.running.values() if job.key))


def test_a_long_line_of_one_shape_hides_no_other_shape() -> None:
    account = after_two_cycles([*arrivals("gpu", 300, GPU), *arrivals("std", 20, CPU)])
    assert running(account) == {"gpu": 4, "std": 20}


def test_requests_that_never_fit_hide_none_of_those_behind_them() -> None:
    account = after_two_cycles([*arrivals("big", 600, CPU, 21), *arrivals("cpu", 20, CPU)])
    assert running(account) == {"cpu": 20}


def test_a_full_account_is_not_read_any_further() -> None:
    account = after_two_cycles(arrivals("gpu", 120, "ml.p3.2xlarge"))
    before = account.requests.calls["dynamodb:Query"]
    account.dispatcher.run(ample_time())
    full = account.requests.calls["dynamodb:Query"] - before
    assert running(account) == {"gpu": 100}
    assert full <= 4


def test_a_request_that_never_fits_takes_no_part_of_the_budget() -> None:
    account = after_two_cycles(
        [*arrivals("big", 1, CPU, 21), *arrivals("cpu", 3, CPU)], monthly_instance_hours=21 * 24
    )
    assert running(account) == {"cpu": 3}
    document = CapacityDocument.parse(account.documents.get("capacity"))
    assert document
    assert [each.reason_kind for each in document.waiting] == [WaitKind.NEVER_FITS]


@pytest.mark.parametrize(
    ("settings", "first"), [({}, "urgent"), ({"priority_aging_minutes": 60}, "old")]
)
def test_a_request_that_has_waited_starts_before_one_of_higher_priority_if_its_team_wants_it(
    settings: dict[str, int], first: str
) -> None:
    requests = [
        Arrival(at=0, team="a", request_id="running", seconds=7 * HOUR),
        Arrival(at=60, team="a", request_id="old", seconds=60),
        Arrival(at=6 * HOUR, team="a", request_id="urgent", seconds=60, priority=5),
    ]
    account = Simulation(Workload(name="aging", arrivals=requests, teams={"a": settings}, slots=1))
    account.run()
    starts = {key[1]: entry.started_at for key, entry in account.requests.entries.items()}
    assert min("old", "urgent", key=lambda name: str(starts[name])) == first
