"""The reasons and counts that a cycle publishes for those who ask why a request waits."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from hpo_dispatcher.contract.aws_limits import ALL_INSTANCES
from hpo_dispatcher.contract.documents.capacity import (
    BudgetUse,
    CapacityDocument,
    MeasuredEstimates,
    QueueLength,
    RecentArrival,
    ResourceUse,
    RunningTuningJob,
    RunTimeSamples,
    WaitingRequest,
    WaitKind,
    WaitReason,
)
from hpo_dispatcher.contract.entry import Entry, RunningEntry, Status, queue_sort_key
from hpo_dispatcher.cycle.outcome import QueueMove
from hpo_dispatcher.cycle.publish import (
    WAITING_SHOWN,
    State,
    capacity_document,
    divide_overfull,
    recall,
    update_counts,
    update_run_times,
)
from hpo_dispatcher.ports import TuningJobDetail, Unavailable
from hpo_dispatcher.scheduling.backoff import Backoff, Delay
from hpo_dispatcher.scheduling.budget import Budget
from hpo_dispatcher.scheduling.forecast.predictions import Predictions
from hpo_dispatcher.scheduling.history.memory import MEMORY, memory_json
from hpo_dispatcher.scheduling.history.queue_counts import PER_MARK, QueueCount, QueueCounts
from hpo_dispatcher.scheduling.history.run_times import RunTimes, Work
from hpo_dispatcher.scheduling.snapshot import Capacity, ReservationTimer, RunningJob, Wait
from hpoq.simulation.in_memory_ledger import MemoryDocuments
from tests.support.dispatcher_account import Account
from tests.support.scheduling_scene import G5, M5, NOON, ago, queued


def published(account: Account) -> dict[str, Any]:
    import json

    document = account.dispatcher().documents.get("capacity")
    assert document is not None
    written: dict[str, Any] = json.loads(document)
    return written


def one_slot(account: Account, *request_ids: str) -> None:
    account.configure(limits={"tuning_jobs": 1})
    for request_id in request_ids:
        account.request("fraud", request_id)
    account.cycle()


def test_what_waits_is_listed_by_its_place_in_its_teams_line(account: Account) -> None:
    account.request("vision", "v")
    one_slot(account, "a", "b", "c")
    places = {(w["team"], w["request_id"]): w["position"] for w in published(account)["waiting"]}
    assert len(places) == 3
    assert sorted(place for (team, _), place in places.items() if team == "fraud")[0] == 1
    assert places.get(("vision", "v"), 1) == 1


def test_what_started_counts_as_running_and_no_longer_as_queued(account: Account) -> None:
    one_slot(account, "a", "b", "c")
    document = published(account)
    (running,) = document["running"]
    assert (running["team"], running["template"], running["rounds"]) == (
        "fraud", "credit-default-cpu", 10
    )  # fmt: skip
    assert document["queues"]["fraud"]["queued"] == 2
    assert document["queues"]["fraud"]["complete"]


def test_who_is_held_or_cancelled_leaves_the_count_and_who_is_released_comes_back(
    account: Account,
) -> None:
    account.send("fraud", {"action": "hold"})  # the team: nothing starts, nothing is read
    one_slot(account, *"abcd")
    for action, request_id in (("hold", "b"), ("cancel", "c")):
        account.send("fraud", {"action": action, "request_id": request_id})
    account.cycle()
    assert published(account)["queues"]["fraud"]["queued"] == 2
    account.send("fraud", {"action": "release", "request_id": "b"})
    account.cycle()
    assert published(account)["queues"]["fraud"]["queued"] == 3


def test_a_line_longer_than_a_cycle_reads_is_counted_all_the_same(account: Account) -> None:
    one_slot(account, *(f"r{number}" for number in range(40)))
    document = published(account)
    assert document["queues"]["fraud"]["queued"] == 39
    assert len(document["waiting"]) < 39


def test_a_request_held_in_the_drain_that_brought_it_does_not_start(account: Account) -> None:
    account.request("fraud", "a")
    account.send("fraud", {"action": "hold", "request_id": "a"})
    assert account.cycle().started == 0
    entry = account.dispatcher().requests.get("fraud", "a")
    assert entry is not None
    assert (entry.status, entry.on_hold) == (Status.QUEUED, True)


def test_a_held_request_does_not_start_when_what_it_waited_for_has_ended(
    account: Account,
) -> None:
    account.request("fraud", "child", after=["parent"])
    account.cycle()
    account.send("fraud", {"action": "hold", "request_id": "child"})
    account.cycle()
    account.request("fraud", "parent")
    account.cycle()
    account.cycle()  # moto's tuning jobs end at once
    account.cycle()
    entry = account.dispatcher().requests.get("fraud", "child")
    assert entry is not None
    assert (entry.status, entry.blocked) == (Status.QUEUED, False)


def test_a_team_on_hold_is_named(account: Account) -> None:
    account.send("fraud", {"action": "hold"})
    account.cycle()
    assert published(account)["teams_on_hold"] == ["fraud"]


def test_run_times_are_remembered_when_tuning_jobs_end(account: Account) -> None:
    account.request("fraud", "a")
    account.cycle()
    account.cycle()
    (kind,) = published(account)["run_times"]
    assert (kind["team"], kind["template"]) == ("fraud", "credit-default-cpu")
    assert len(kind["seconds_per_round"]) == 1


def test_positions_are_right_to_half_a_mark_when_requests_join_out_of_order() -> None:
    """Intake has several threads: the requests of one cycle join in any order."""
    keys = [queue_sort_key(0, NOON + timedelta(seconds=n), f"r{n}") for n in range(500)]
    moves = [QueueMove(team="fraud", sort_key=key, joined=True) for key in keys]
    random.Random(1).shuffle(moves)
    counts = QueueCounts()
    update_counts(counts, moves, {}, [])
    errors = [abs(counts.of("fraud").before(key) - number) for number, key in enumerate(keys)]
    assert max(errors) <= PER_MARK // 2


def entry(request_id: str, team: str = "fraud", **fields: Any) -> Entry:
    given: dict[str, Any] = {
        "status": Status.QUEUED, "accepted_at": ago(50), "instances": {M5: 2}, "template": "cpu",
        "max_training_jobs": 6, "max_parallel": 2, "most_instance_seconds": 7200,
        "expected_seconds": 600,
    }  # fmt: skip
    return Entry(team=team, request_id=request_id, **(given | fields))


def state(**fields: Any) -> State:
    given: dict[str, Any] = {
        "at": NOON, "capacity": Capacity(tuning_jobs=9), "running_jobs": (), "active": {},
        "started": (), "waits": (), "entries": {}, "teams_on_hold": (),
        "queue_counts": QueueCounts(), "run_times": RunTimes(), "reservation_timers": {},
        "budgets": {}, "usage": {},
    }  # fmt: skip
    return State(**(given | fields))


def test_the_document_says_all_that_a_cycle_knows() -> None:
    ours = RunningEntry(
        tuning_job_name="ours", team="vision", request_id="v", status=Status.IN_PROGRESS,
        instances={M5: 4, G5: 1}, started_at=ago(30), template="gpu", rounds=3,
        most_instance_seconds=1000, expected_seconds=100,
    )  # fmt: skip
    waiting, unknown = entry("waits", priority=7), queued("vision", "unread", 3, {G5: 2})
    head = queued("fraud", "waits", 50, {M5: 2}, priority=7)
    timer = ReservationTimer(
        since=ago(40), passed_at=ago(30), reserved_at=ago(20), promised_at=ago(-10)
    )
    counts, run_times = QueueCounts(), RunTimes()
    counts.of("fraud").correct([waiting.queue_sort_key], whole=True)
    run_times.record(Work(team="fraud", template="cpu", rounds=2), 100)
    arrival = RecentArrival(team="fraud", at=ago(1))
    estimates = MeasuredEstimates(starts=5, within=4)
    full = WaitReason(kind=WaitKind.INSTANCES, text="none free")

    document = capacity_document(
        state(
            capacity=Capacity(tuning_jobs=9, instances={M5: 10, ALL_INSTANCES: 20}),
            running_jobs=[
                RunningJob(tuning_job_name="ours", team="vision", instances={M5: 3, G5: 1}),
                RunningJob(tuning_job_name="theirs", team=None, instances={M5: 1}),
            ],
            active={"ours": ours},
            started=[entry("new")],
            waits=[Wait(head, full), Wait(unknown, full)],
            entries={waiting.key: waiting},
            teams_on_hold={"vision", "speech"},
            queue_counts=counts,
            run_times=run_times,
            reservation_timers={waiting.key: timer},
            budgets={
                "fraud": Budget(month="2026-11", allowed=36000, spent=3600, set_aside=1800),
                "vision": Budget(month="2026-11", allowed=3600, spent=0, set_aside=0),
            },
            usage={"fraud": 0.5},
            arrivals=[arrival],
            estimates=estimates,
        )
    )

    used = {"vision": 3, "(others)": 1, "fraud": 2}
    assert document == CapacityDocument(
        at=NOON,
        tuning_jobs=ResourceUse(
            limit=9, in_use=3, by_team={"vision": 1, "(others)": 1, "fraud": 1}
        ),
        instances={
            ALL_INSTANCES: ResourceUse(
                limit=20, in_use=7, by_team={"vision": 4, "(others)": 1, "fraud": 2}
            ),
            G5: ResourceUse(limit=None, in_use=1, by_team={"vision": 1, "(others)": 0, "fraud": 0}),
            M5: ResourceUse(limit=10, in_use=6, by_team=used),
        },
        quotas={M5: 10, ALL_INSTANCES: 20},
        waiting=(
            WaitingRequest(
                team="fraud", request_id="waits", position=1, reason="none free",
                reason_kind=WaitKind.INSTANCES, priority=7, accepted_at=ago(50), instances={M5: 2},
                template="cpu", rounds=3, first_since=ago(40), passed_at=ago(30),
                reserved_at=ago(20), promised_at=ago(-10), expected_seconds=600, most_seconds=3600,
            ),
            WaitingRequest(
                team="vision", request_id="unread", position=1, reason="none free",
                reason_kind=WaitKind.INSTANCES, accepted_at=ago(3), instances={G5: 2},
            ),
        ),
        queues={
            "fraud": QueueLength(
                queued=1,
                complete=True,
                marks=((waiting.queue_sort_key, 1), (waiting.queue_sort_key + " ", 0)),
            )
        },
        teams_on_hold=("speech", "vision"),
        running=(
            RunningTuningJob(
                team="vision", instances={M5: 3, G5: 1}, started_at=ago(30), template="gpu",
                rounds=3, expected_seconds=100, most_seconds=200,
            ),
            RunningTuningJob(team=None, instances={M5: 1}),
            RunningTuningJob(
                team="fraud", instances={M5: 2}, started_at=NOON, template="cpu", rounds=3,
                expected_seconds=600, most_seconds=3600,
            ),
        ),
        run_times=(RunTimeSamples(team="fraud", template="cpu", seconds_per_round=(50.0,)),),
        arrivals=(arrival,),
        estimates=estimates,
        budgets={
            "fraud": BudgetUse(month="2026-11", instance_hours=10, spent=1, set_aside=2.5),
            "vision": BudgetUse(month="2026-11", instance_hours=1, spent=0, set_aside=0),
        },
        usage={"fraud": 0.5},
    )  # fmt: skip


def test_the_first_requests_of_every_queue_are_listed_before_the_second_ones() -> None:
    full = WaitReason(kind=WaitKind.TUNING_JOBS, text="full")
    heads = [queued("fraud", f"f{n}") for n in range(WAITING_SHOWN)]
    heads += [queued("vision", f"v{n}") for n in range(2)]
    document = capacity_document(state(waits=[Wait(head, full) for head in heads]))
    shown = [(each.request_id, each.position) for each in document.waiting]
    assert shown[:5] == [("f0", 1), ("v0", 1), ("f1", 2), ("v1", 2), ("f2", 3)]
    assert len(shown) == WAITING_SHOWN


@pytest.mark.parametrize(
    ("status", "minutes", "recorded"),
    [
        (Status.COMPLETED, 20, True),
        (Status.FAILED, 20, True),
        (Status.STOPPED, 20, False),  # how long it would have run is not known
        (Status.COMPLETED, None, False),
    ],
)
def test_only_jobs_that_ran_to_their_end_say_how_long_such_jobs_run(
    status: Status, minutes: int | None, recorded: bool
) -> None:
    job = RunningEntry(
        tuning_job_name="job", team="fraud", request_id="a", status=Status.IN_PROGRESS,
        instances={M5: 1}, started_at=ago(30), template="cpu", rounds=4, expected_seconds=300,
        most_instance_seconds=14_400,
    )  # fmt: skip
    detail = TuningJobDetail(
        name="job", status=status, counters={}, best=None, failure_reason="",
        ended_at=None if minutes is None else ago(minutes),
    )  # fmt: skip
    run_times = RunTimes()
    update_run_times(run_times, [(job, detail)])
    kind = ("fraud", "cpu")
    assert run_times.kinds == ({kind: [150.0]} if recorded else {})  # ten minutes in four rounds
    assert run_times.of_stated == ({kind: [2.0]} if recorded else {})
    assert run_times.mosts == ({kind: [3600]} if recorded else {})


def test_requests_that_left_the_queue_are_counted_out_after_those_that_joined() -> None:
    """A request may be accepted and cancelled by the same intake, whose threads report both."""
    key = queue_sort_key(0, NOON, "r")
    counts = QueueCounts()
    counts.of("fraud").correct([], whole=True)
    moves = [QueueMove(team="fraud", sort_key=key, joined=joined) for joined in (False, True)]
    update_counts(counts, moves, {}, [])
    assert len(counts.of("fraud")) == 0


def test_a_queue_that_cannot_be_read_is_divided_by_a_later_cycle() -> None:
    entries = [
        Entry(team="fraud", request_id=f"r{n:03}", status=Status.QUEUED, accepted_at=NOON)
        for n in range(100)
    ]
    counts = QueueCounts({"fraud": QueueCount([(entries[0].queue_sort_key, 100)])})
    before = counts.published()

    def fails(*_: object) -> list[Entry]:
        raise Unavailable("dynamodb:Query: throttled")

    divide_overfull(counts, fails)
    assert counts.published() == before
    divide_overfull(counts, lambda *_: entries)
    assert [count for _, count in counts.of("fraud").marks] == [PER_MARK] * 5


def test_a_cycle_recalls_what_the_last_one_left() -> None:
    documents = MemoryDocuments()
    timer = ReservationTimer(since=ago(9))
    delay = Delay(kind=WaitKind.ACCOUNT_FAULT, since=ago(9), tries=1, retry_at=ago(-9))
    backoff, predictions = Backoff(requests={("a", "d"): delay}), Predictions(scores=[0.5])
    memory = memory_json(
        {("a", "r"): timer}, backoff, [("a", "u")], ["job"], predictions, read_up_to={"a": "k"}
    )
    documents.put(MEMORY, memory)
    found = recall(documents)
    assert (found.memory, found.unreadable) == (memory, [])
    assert found.reservation_timers == {("a", "r"): timer}
    assert (found.backoff, found.predictions) == (backoff, predictions)
    assert (set(found.unannounced), set(found.created)) == ({("a", "u")}, {"job"})
    assert found.read_up_to == {"a": "k"}
