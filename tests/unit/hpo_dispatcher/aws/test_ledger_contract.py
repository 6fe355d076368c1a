"""The contract of the ledger ports, tested on every adapter: in memory and on DynamoDB."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import BestTrainingJob, EarlierJob, Entry, Spent, Status
from hpo_dispatcher.contract.message import parse_message
from hpo_dispatcher.contract.names import tuning_job_name
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.observability.telemetry import OF_LEVEL, oldest_of
from hpo_dispatcher.ports import (
    Added,
    Documents,
    Ending,
    Lease,
    LeaseLost,
    Leases,
    Preemption,
    Requests,
)
from hpoq.simulation.in_memory_ledger import MemoryDocuments, MemoryLeases, MemoryRequests
from tests.support.dispatcher_account import RANGES, Account, account, session

__all__ = ["account", "session"]

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Ledger:
    """The ports of one ledger."""

    leases: Leases
    documents: Documents
    requests: Requests


@pytest.fixture(params=["memory", "dynamodb"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    if request.param == "memory":
        leases = MemoryLeases()
        return Ledger(leases, MemoryDocuments(), MemoryRequests(leases))
    account: Account = request.getfixturevalue("account")
    made = account.dispatcher()
    return Ledger(made.leases, made.documents, made.requests)


@pytest.fixture
def leases(ledger: Ledger) -> Leases:
    return ledger.leases


@pytest.fixture
def documents(ledger: Ledger) -> Documents:
    return ledger.documents


@pytest.fixture
def requests(ledger: Ledger) -> Requests:
    return ledger.requests


def entry(request_id: str, minute: int = 0, team: str = "fraud", **fields: Any) -> Entry:
    body = {"request_id": request_id, "hyperparameter_ranges": RANGES, **fields}
    request = parse_message(json.dumps(body), "m")
    assert isinstance(request, TuningRequest)
    return Entry(
        team=team,
        request_id=request_id,
        status=Status.QUEUED,
        accepted_at=NOON + timedelta(minutes=minute),
        request_json=request.to_json(),
        priority=request.priority,
        instances={"ml.m5.large": 5},
        blocked=bool(request.after),
    )


def start(requests: Requests, leases: Leases, *entries: Entry) -> list[tuple[str, str]]:
    assert leases.acquire("me", NOON, NOON + timedelta(minutes=15))
    return list(requests.start(entries, "me", NOON))


def heads(requests: Requests, count: int = 9) -> list[str]:
    return [each.request_id for each in requests.heads("fraud", count)]


def test_the_oldest_request_of_a_queue_is_found_at_any_priority(
    requests: Requests, leases: Leases
) -> None:
    assert oldest_of(requests, "fraud") is None
    urgent = [entry(f"urgent-{n:02}", minute=9, priority=5) for n in range(OF_LEVEL + 1)]
    requests.add(
        [
            *urgent,
            entry("old", minute=3),
            entry("new", minute=7),
            entry("blocked", minute=1, after=["old"]),
            entry("newer", minute=8),
            entry("other", minute=0, team="vision"),
        ]
    )
    start(requests, leases, entry("new", minute=7))

    assert oldest_of(requests, "fraud") == NOON + timedelta(minutes=3)


def test_a_queue_is_read_from_a_sort_key_on(requests: Requests) -> None:
    entries = [entry(f"r{n}", minute=n) for n in range(6)]
    requests.add([*entries, entry("other", minute=3, team="vision")])
    from_third = requests.queued_from("fraud", entries[2].queue_sort_key, 3)
    assert [each.request_id for each in from_third] == ["r2", "r3", "r4"]
    behind = requests.queued_from("fraud", entries[2].queue_sort_key + " ", 9)
    assert [each.request_id for each in behind] == ["r3", "r4", "r5"]
    assert list(requests.queued_from("fraud", entries[5].queue_sort_key + " ", 9)) == []


def ending(of: Entry, **fields: Any) -> Ending:
    defaults: dict[str, Any] = {
        "team": of.team,
        "request_id": of.request_id,
        "was": (Status.IN_PROGRESS, Status.STOPPING),
        "status": Status.COMPLETED,
        "ended_at": NOON,
        "tuning_job_name": tuning_job_name(*of.key),
    }
    return Ending(**(defaults | fields))


def state(requests: Requests, request_id: str) -> Entry:
    found = requests.get("fraud", request_id)
    assert found is not None
    return found


def test_an_entry_is_read_as_it_was_added(requests: Requests) -> None:
    put = entry("a", priority=3)
    assert requests.add([put]) == [Added.NEW]
    assert requests.get("fraud", "a") == put
    assert requests.get("vision", "a") is None


def test_repeated_taken_and_cancelled_ids_are_distinguished_within_one_batch(
    requests: Requests,
) -> None:
    tombstone = replace(entry("c"), status=Status.CANCELLED, request_json="", ended_at=NOON)
    assert requests.add([tombstone]) == [Added.NEW]
    outcomes = requests.add([entry("a"), entry("a"), entry("a", priority=1), entry("c")])
    assert outcomes == [Added.NEW, Added.REPEATED, Added.TAKEN, Added.CANCELLED]


def test_a_rejected_entry_may_be_replaced(requests: Requests) -> None:
    rejected = replace(entry("a"), status=Status.REJECTED, request_json="", reason="no")
    requests.add([rejected])
    assert requests.add([entry("a")]) == [Added.NEW]
    assert heads(requests) == ["a"]


def test_a_queue_is_sorted_by_priority_then_age(requests: Requests) -> None:
    requests.add([entry("young", 2), entry("old", 1), entry("urgent", 3, priority=1)])
    requests.add([entry("other", 0, team="vision")])
    assert heads(requests) == ["urgent", "old", "young"]
    assert heads(requests, 2) == ["urgent", "old"]


def test_a_started_entry_leaves_its_queue_and_counts_as_running(
    requests: Requests, leases: Leases
) -> None:
    requests.add([entry("a"), entry("b")])
    assert start(requests, leases, entry("a")) == [("fraud", "a")]
    assert heads(requests) == ["b"]
    (active,) = requests.running()
    assert (active.request_id, dict(active.instances)) == ("a", {"ml.m5.large": 5})
    assert state(requests, "a").tuning_job_name == active.tuning_job_name
    assert state(requests, "a").started_at == active.started_at == NOON
    assert start(requests, leases, entry("a")) == [], "only once"


def test_nothing_starts_without_the_lease(requests: Requests, leases: Leases) -> None:
    requests.add([entry("a")])
    leases.acquire("other", NOON, NOON + timedelta(minutes=15))
    with pytest.raises(LeaseLost):
        requests.start([entry("a")], "me", NOON)
    assert state(requests, "a").status is Status.QUEUED


def test_a_lease_has_one_owner_until_it_expires_or_is_released(leases: Leases) -> None:
    until = NOON + timedelta(minutes=15)
    assert leases.acquire("me", NOON, until) == Lease(owner="me", until=until, last_cycle=None)
    assert leases.acquire("other", NOON, until) is None
    assert leases.acquire("other", until + timedelta(seconds=1), until + timedelta(hours=1))
    assert leases.release("me", NOON) is False, "another owner has it"
    assert leases.release("other", NOON) is False
    lease = leases.acquire("me", NOON, until)
    assert lease is not None
    assert lease.last_cycle == NOON


def test_a_cycle_asked_for_during_a_cycle_is_reported_on_release(leases: Leases) -> None:
    leases.acquire("me", NOON, NOON + timedelta(minutes=15))
    assert leases.ask_for_cycle(NOON + timedelta(seconds=1)) is True
    assert leases.release("me", NOON) is True
    leases.acquire("me", NOON, NOON + timedelta(minutes=15))
    assert leases.release("me", NOON + timedelta(seconds=2)) is False


def test_a_cycle_that_began_when_it_was_asked_for_is_the_one_that_was_asked_for(
    leases: Leases,
) -> None:
    leases.acquire("me", NOON, NOON + timedelta(minutes=15))
    leases.ask_for_cycle(NOON)
    assert leases.release("me", NOON) is False


def test_asking_for_a_cycle_says_whether_a_dispatcher_will_run_it(leases: Leases) -> None:
    assert leases.ask_for_cycle(NOON) is False, "no dispatcher has ever run"
    until = NOON + timedelta(minutes=15)
    leases.acquire("me", NOON, until)
    assert leases.ask_for_cycle(until) is True
    assert leases.ask_for_cycle(until + timedelta(seconds=1)) is False, "the lease has expired"
    leases.release("me", NOON)
    assert leases.ask_for_cycle(NOON + timedelta(seconds=1)) is False


def test_a_requeued_entry_returns_to_its_position(requests: Requests, leases: Leases) -> None:
    requests.add([entry("a", 0), entry("b", 1)])
    start(requests, leases, entry("a"))
    assert requests.requeue(entry("a"), "no room")
    assert heads(requests) == ["a", "b"]
    assert requests.running() == []
    assert state(requests, "a").reason == "no room"
    assert not requests.requeue(entry("a"), "again")


ELSEWHERE = ("research", "home")


def on_research(request_id: str) -> Entry:
    return replace(entry(request_id), targets=ELSEWHERE, target="research")


def test_a_start_names_the_target(requests: Requests, leases: Leases) -> None:
    requests.add([replace(entry("a"), targets=ELSEWHERE)])
    start(requests, leases, on_research("a"))
    assert (state(requests, "a").target, state(requests, "a").targets) == ("research", ELSEWHERE)
    (running,) = requests.running()
    assert running.target == "research"


def test_a_requeued_entry_may_change_its_target_under_the_lease_only(
    requests: Requests, leases: Leases
) -> None:
    requests.add([replace(entry(each), targets=ELSEWHERE) for each in ("a", "b")])
    start(requests, leases, on_research("a"), on_research("b"))
    assert requests.requeue(on_research("a"), "no room", "me")
    assert state(requests, "a").targets == ELSEWHERE
    with pytest.raises(LeaseLost):
        requests.requeue(on_research("b"), "no room", "other")
    assert state(requests, "b").status is Status.IN_PROGRESS
    assert requests.requeue(on_research("b"), "no room")
    assert state(requests, "b").targets == ("research",)


def test_an_ending_is_written_once(requests: Requests, leases: Leases) -> None:
    requests.add([entry("a")])
    start(requests, leases, entry("a"))
    best = BestTrainingJob(name="j", objective=0.5, metric="auc", hyperparameters={"lr": "0.1"})
    done = ending(entry("a"), counters={"Completed": 3}, best=best)
    assert list(requests.finish([done])) == [("fraud", "a")]
    assert list(requests.finish([ending(entry("a"), status=Status.FAILED)])) == []
    found = state(requests, "a")
    assert (found.status, found.best, dict(found.counters)) == (
        Status.COMPLETED, best, {"Completed": 3}
    )  # fmt: skip
    assert requests.running() == []


def test_spent_instance_seconds_are_added_once_per_ending(
    requests: Requests, leases: Leases
) -> None:
    fraud = [entry(name) for name in "abcd"]
    requests.add([*fraud, entry("v", team="vision")])
    start(requests, leases, *fraud[:3], entry("v", team="vision"))

    def end(of: Entry, month: str, seconds: int) -> Ending:
        spent = Spent(team=of.team, month=month, instance_seconds=seconds)
        return ending(of, spent=spent)

    a, b, c, d = fraud
    assert list(requests.finish([end(a, "2026-11", 5)])) == [a.key]
    late = [
        end(a, "2026-11", 100),
        end(b, "2026-11", 7),
        end(c, "2026-12", 11),
        end(d, "2026-11", 100),
        end(entry("v", team="vision"), "2026-11", 13),
    ]
    assert set(requests.finish(late)) == {b.key, c.key, ("vision", "v")}
    requests.finish(late)
    assert requests.spent("2026-11") == {"fraud": 12, "vision": 13}
    assert requests.spent("2026-12") == {"fraud": 11}
    assert requests.spent("2027-01") == {}


def test_a_running_entry_has_the_most_instance_seconds_it_can_use(
    requests: Requests, leases: Leases
) -> None:
    requests.add([replace(entry("a"), most_instance_seconds=7)])
    assert state(requests, "a").most_instance_seconds == 7
    start(requests, leases, state(requests, "a"))
    assert [job.most_instance_seconds for job in requests.running()] == [7]


def test_a_stopped_entry_runs_as_stopping(requests: Requests, leases: Leases) -> None:
    requests.add([entry("a")])
    assert not requests.stop(state(requests, "a"))
    start(requests, leases, entry("a"))
    assert requests.stop(state(requests, "a"))
    assert [job.status for job in requests.running()] == [Status.STOPPING]
    assert not requests.requeue(entry("a"), "too late")


def test_a_blocked_entry_is_not_in_its_queue_until_it_is_unblocked(requests: Requests) -> None:
    requests.add([entry("child", after=["parent"])])
    assert heads(requests) == []
    (blocked,) = requests.blocked()
    assert blocked.parents == ("parent",)
    assert requests.unblock("fraud", "child")
    assert not requests.unblock("fraud", "child")
    assert heads(requests) == ["child"]
    assert requests.blocked() == []


def test_blocked_entries_are_read_in_parts(requests: Requests) -> None:
    """A team's name may begin like another one's, and an id may be the beginning of another one."""
    ids = ["a", "a-b", "b", "c"]
    others = replace(entry("x", after=["parent"]), team="fraud-2")
    requests.add([*(entry(each, after=["parent"]) for each in ids), others])
    assert len(requests.blocked()) == 5
    assert len(requests.blocked(5)) == 5
    assert len(requests.blocked(2)) == 2

    def part(team: str, after: str, count: int) -> list[str]:
        return [each.request_id for each in requests.blocked_of(team, after, count)]

    assert part("fraud", "", 2) == ["a", "a-b"]
    assert part("fraud", "a", 2) == ["a-b", "b"]
    assert part("fraud", "aa", 9) == ["b", "c"]  # one that is gone
    assert part("fraud", "c", 9) == []
    assert part("fraud-2", "", 9) == ["x"]
    assert part("nobody", "", 9) == []


def test_an_unblocked_entry_takes_over_the_demand_it_lacks(requests: Requests) -> None:
    without = replace(entry("child", after=["parent"]), instances={}, max_parallel=0)
    requests.add([without])
    assert requests.unblock("fraud", "child", entry("child", after=["parent"]))
    (head,) = requests.heads("fraud", 10)
    assert head.instances == entry("child").instances


def test_a_cancelled_blocked_entry_leaves_no_row(requests: Requests) -> None:
    child = entry("child", after=["parent"])
    requests.add([child])
    cancelled = ending(child, was=(Status.QUEUED,), status=Status.CANCELLED, tuning_job_name="")
    assert requests.finish([cancelled])
    assert requests.blocked() == []
    assert not requests.unblock("fraud", "child")


def test_an_entry_on_hold_is_not_in_its_queue_until_it_is_released(requests: Requests) -> None:
    requests.add([entry("a"), entry("b", 1)])
    assert requests.hold("fraud", "a")
    assert heads(requests) == ["b"]
    assert requests.set_priority("fraud", "a", 9)
    assert heads(requests) == ["b"]
    assert requests.release("fraud", "a")
    assert not requests.release("fraud", "a")
    assert heads(requests) == ["a", "b"]


def test_an_entry_on_hold_and_blocked_joins_its_queue_after_both_end(requests: Requests) -> None:
    requests.add([entry("child", after=["parent"])])
    requests.hold("fraud", "child")
    assert requests.unblock("fraud", "child")
    assert heads(requests) == []
    assert requests.release("fraud", "child")
    assert heads(requests) == ["child"]


def test_a_document_is_read_as_it_was_put(documents: Documents) -> None:
    assert documents.get("x") is None
    documents.put("x", "{}")
    assert documents.get("x") == "{}"


def test_several_entries_are_read_together(requests: Requests) -> None:
    requests.add([entry("a"), entry("b")])
    found = requests.get_all([("fraud", "a"), ("fraud", "b"), ("fraud", "c"), ("fraud", "a")])
    assert set(found) == {("fraud", "a"), ("fraud", "b")}


def test_a_request_for_an_entry_rebuilt_from_its_tuning_job_counts_as_repeated(
    requests: Requests,
) -> None:
    rebuilt = replace(
        entry("a"), status=Status.COMPLETED, request_json="", tuning_job_name="j", ended_at=NOON
    )
    requests.add([rebuilt])
    assert requests.add([entry("a")]) == [Added.REPEATED]
    assert state(requests, "a") == rebuilt


@pytest.mark.parametrize("held", [True, False], ids=["held", "blocked"])
def test_an_entry_that_is_not_in_its_queue_does_not_start(
    requests: Requests, leases: Leases, held: bool
) -> None:
    remembered = entry("a", **({} if held else {"after": ["parent"]}))
    requests.add([remembered])
    if held:
        assert requests.hold("fraud", "a")
    assert start(requests, leases, remembered) == []
    assert state(requests, "a").status is Status.QUEUED
    assert requests.running() == []


def preemption(of: Entry, already_stopped: int = 0) -> Preemption:
    return Preemption(
        team=of.team, request_id=of.request_id, tuning_job_name=of.job_name,
        preempted_for=("vision", "v"), already_stopped=already_stopped,
    )  # fmt: skip


def resuming(of: Entry) -> Ending:
    """The ending of a tuning job that was preempted after three of five training jobs."""
    earlier = EarlierJob(
        tuning_job_name=of.job_name, counters={"Completed": 3}, interrupted=2, seconds=60,
        instance_seconds=300, found=True,
    )  # fmt: skip
    queued = replace(
        of, status=Status.QUEUED, earlier=(earlier,), counters={"Completed": 3}, max_parallel=2,
        instances={"ml.m5.large": 2}, reason="resumes", resume_blocker="",
    )  # fmt: skip
    spent = Spent(team=of.team, month="2026-11", instance_seconds=300)
    return ending(of, status=Status.QUEUED, preempted=True, resumes_as=queued, spent=spent)


def test_a_preemption_is_recorded_and_may_be_recorded_again(
    requests: Requests,
    leases: Leases,
) -> None:
    requests.add([replace(entry("a", priority=4), resume_blocker=""), entry("b")])
    start(requests, leases, state(requests, "a"))
    assert list(requests.preempt([preemption(entry("a")), preemption(entry("b"))], "me")) == [
        ("fraud", "a")
    ], "b is not running"
    (job,) = requests.running()
    assert (job.status, job.preempted_for, job.priority) == (Status.STOPPING, ("vision", "v"), 4)
    assert list(requests.preempt([preemption(entry("a"), already_stopped=2)], "me")) == [
        ("fraud", "a")
    ]
    assert (requests.running()[0].already_stopped, state(requests, "a").already_stopped) == (
        2,
        2,
    )
    assert state(requests, "a").preempted_for == ("vision", "v")


def test_no_entry_is_preempted_without_the_lease_or_after_its_cancel(
    requests: Requests, leases: Leases
) -> None:
    requests.add([entry("a")])
    start(requests, leases, entry("a"))
    with pytest.raises(LeaseLost):
        requests.preempt([preemption(entry("a"))], "other")
    assert state(requests, "a").status is Status.IN_PROGRESS
    assert requests.stop(state(requests, "a"))
    assert list(requests.preempt([preemption(entry("a"))], "me")) == []


def test_a_preempted_request_is_queued_again_at_its_position(
    requests: Requests, leases: Leases
) -> None:
    requests.add([entry("a", 0), entry("b", 1)])
    start(requests, leases, entry("a"))
    on = resuming(entry("a"))
    assert list(requests.finish([on])) == [], "it is running"
    requests.preempt([preemption(entry("a"))], "me")
    assert list(requests.finish([on])) == [("fraud", "a")]
    assert list(requests.finish([on])) == [], "only once"

    assert heads(requests) == ["a", "b"]
    assert requests.running() == []
    assert requests.spent("2026-11") == {"fraud": 300}
    assert state(requests, "a") == on.resumes_as
    first = state(requests, "a").earlier[0].tuning_job_name
    assert start(requests, leases, state(requests, "a")) == [("fraud", "a")]
    (job,) = requests.running()
    assert job.tuning_job_name != first
    assert (job.resumed, dict(job.instances), job.preempted_for) == (True, {"ml.m5.large": 2}, None)


def test_an_ending_observed_before_the_preemption_does_not_end_the_request(
    requests: Requests, leases: Leases
) -> None:
    requests.add([entry("a")])
    start(requests, leases, entry("a"))
    requests.preempt([preemption(entry("a"))], "me")
    stale = ending(entry("a"), status=Status.STOPPED)
    assert list(requests.finish([stale])) == []
    requests.finish([resuming(entry("a"))])
    start(requests, leases, state(requests, "a"))
    late = ending(entry("a"), status=Status.STOPPED)
    assert list(requests.finish([late])) == [], "it resumed with another tuning job"
    assert not requests.requeue(entry("a"), "of its first tuning job")
    assert state(requests, "a").status is Status.IN_PROGRESS


def test_a_cancelled_preempted_request_does_not_resume(requests: Requests, leases: Leases) -> None:
    requests.add([entry("a")])
    start(requests, leases, entry("a"))
    requests.preempt([preemption(entry("a"))], "me")
    assert requests.stop(state(requests, "a"))
    assert not requests.stop(state(requests, "a"))
    assert (requests.running()[0].preempted_for, state(requests, "a").preempted_for) == (
        None,
        None,
    )
    assert list(requests.finish([resuming(entry("a"))])) == []
    assert list(requests.finish([ending(entry("a"), status=Status.STOPPED)])) == [("fraud", "a")]
