"""What every ledger promises: the one in memory and the one on DynamoDB alike."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import BestTrainingJob, EarlierJob, Entry, Spent, Status
from hpo_dispatcher.contract.names import tuning_job_name
from hpo_dispatcher.contract.request import TuningRequest, parse_message
from hpo_dispatcher.ports import (
    Added,
    Backlog,
    Documents,
    Ending,
    LeaseLost,
    Leases,
    Preemption,
    Requests,
)
from hpoq.simulation.in_memory_ports import MemoryDocuments, MemoryLeases, MemoryRequests
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


def started(requests: Requests, leases: Leases, *entries: Entry) -> list[tuple[str, str]]:
    assert leases.acquire("me", NOON, NOON + timedelta(minutes=15))
    return list(requests.start(entries, "me", NOON))


def heads(requests: Requests, count: int = 9) -> list[str]:
    return [each.request_id for each in requests.heads("fraud", count)]


def test_a_teams_backlog_is_counted_and_its_oldest_told_whatever_the_priorities(
    requests: Requests,
    leases: Leases,
) -> None:
    assert requests.backlog("fraud") == Backlog(count=0, oldest=None)
    requests.add(
        [
            entry("urgent", minute=9, priority=5),
            entry("old", minute=3),
            entry("new", minute=7),
            entry("blocked", minute=1, after=["old"]),
            entry("newer", minute=8),
            entry("other", minute=0, team="vision"),
        ]
    )
    started(requests, leases, entry("new", minute=7))

    assert requests.backlog("fraud") == Backlog(count=3, oldest=NOON + timedelta(minutes=3))


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


def test_an_entry_comes_back_as_it_was_put(requests: Requests) -> None:
    put = entry("a", priority=3)
    assert requests.add([put]) == [Added.NEW]
    assert requests.get("fraud", "a") == put
    assert requests.get("vision", "a") is None


def test_repeated_taken_and_cancelled_ids_are_told_apart_within_one_batch(
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


def test_a_line_is_sorted_by_priority_then_age(requests: Requests) -> None:
    requests.add([entry("young", 2), entry("old", 1), entry("urgent", 3, priority=1)])
    requests.add([entry("other", 0, team="vision")])
    assert heads(requests) == ["urgent", "old", "young"]
    assert heads(requests, 2) == ["urgent", "old"]


def test_a_start_takes_the_entry_out_of_line_and_holds_its_capacity(
    requests: Requests, leases: Leases
) -> None:
    requests.add([entry("a"), entry("b")])
    assert started(requests, leases, entry("a")) == [("fraud", "a")]
    assert heads(requests) == ["b"]
    (active,) = requests.running()
    assert (active.request_id, dict(active.instances)) == ("a", {"ml.m5.large": 5})
    assert state(requests, "a").tuning_job_name == active.tuning_job_name
    assert started(requests, leases, entry("a")) == [], "once only"


def test_nothing_starts_without_the_lease(requests: Requests, leases: Leases) -> None:
    requests.add([entry("a")])
    leases.acquire("other", NOON, NOON + timedelta(minutes=15))
    with pytest.raises(LeaseLost):
        requests.start([entry("a")], "me", NOON)
    assert state(requests, "a").status is Status.QUEUED


def test_the_lease_is_one_dispatchers_until_it_expires_or_is_released(leases: Leases) -> None:
    until = NOON + timedelta(minutes=15)
    assert leases.acquire("me", NOON, until)
    assert leases.acquire("other", NOON, until) is None
    assert leases.acquire("other", until + timedelta(seconds=1), until + timedelta(hours=1))
    assert leases.release("me", NOON) is False, "it is no longer mine"
    assert leases.release("other", NOON) is False
    lease = leases.acquire("me", NOON, until)
    assert lease is not None
    assert lease.last_cycle == NOON


def test_who_asks_during_a_cycle_gets_another(leases: Leases) -> None:
    leases.acquire("me", NOON, NOON + timedelta(minutes=15))
    leases.ask_for_cycle(NOON + timedelta(seconds=1))
    assert leases.release("me", NOON) is True
    leases.acquire("me", NOON, NOON + timedelta(minutes=15))
    assert leases.release("me", NOON + timedelta(seconds=2)) is False


def test_a_requeued_entry_is_where_it_was(requests: Requests, leases: Leases) -> None:
    requests.add([entry("a", 0), entry("b", 1)])
    started(requests, leases, entry("a"))
    assert requests.requeue(entry("a"), "no room")
    assert heads(requests) == ["a", "b"]
    assert requests.running() == []
    assert state(requests, "a").reason == "no room"
    assert not requests.requeue(entry("a"), "again")


def test_an_end_is_written_once(requests: Requests, leases: Leases) -> None:
    requests.add([entry("a")])
    started(requests, leases, entry("a"))
    best = BestTrainingJob(name="j", objective=0.5, metric="auc", hyperparameters={"lr": "0.1"})
    done = ending(entry("a"), counters={"Completed": 3}, best=best)
    assert list(requests.finish([done])) == [("fraud", "a")]
    assert list(requests.finish([ending(entry("a"), status=Status.FAILED)])) == []
    found = state(requests, "a")
    assert (found.status, found.best, dict(found.counters)) == (
        Status.COMPLETED, best, {"Completed": 3}
    )  # fmt: skip
    assert requests.running() == []


def test_what_was_spent_is_counted_with_each_end_and_once_only(
    requests: Requests, leases: Leases
) -> None:
    fraud = [entry(name) for name in "abcd"]
    requests.add([*fraud, entry("v", team="vision")])
    started(requests, leases, *fraud[:3], entry("v", team="vision"))

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


def test_what_it_can_use_is_set_aside_with_the_start(requests: Requests, leases: Leases) -> None:
    requests.add([replace(entry("a"), most_instance_seconds=7)])
    assert state(requests, "a").most_instance_seconds == 7
    started(requests, leases, state(requests, "a"))
    assert [job.most_instance_seconds for job in requests.running()] == [7]


def test_stopping_is_seen_by_the_next_cycle(requests: Requests, leases: Leases) -> None:
    requests.add([entry("a")])
    assert not requests.stop(state(requests, "a"))
    started(requests, leases, entry("a"))
    assert requests.stop(state(requests, "a"))
    assert [job.status for job in requests.running()] == [Status.STOPPING]
    assert not requests.requeue(entry("a"), "too late")


def test_a_blocked_entry_is_not_in_line_until_it_is_unblocked(requests: Requests) -> None:
    requests.add([entry("child", after=["parent"])])
    assert heads(requests) == []
    (blocked,) = requests.blocked()
    assert blocked.parents == ("parent",)
    assert requests.unblock("fraud", "child")
    assert not requests.unblock("fraud", "child")
    assert heads(requests) == ["child"]
    assert requests.blocked() == []


def test_a_cancelled_blocked_entry_leaves_nothing_behind(requests: Requests) -> None:
    child = entry("child", after=["parent"])
    requests.add([child])
    cancelled = ending(child, was=(Status.QUEUED,), status=Status.CANCELLED, tuning_job_name="")
    assert requests.finish([cancelled])
    assert requests.blocked() == []
    assert not requests.unblock("fraud", "child")


def test_a_held_entry_is_not_in_line_until_it_is_released(requests: Requests) -> None:
    requests.add([entry("a"), entry("b", 1)])
    assert requests.hold("fraud", "a")
    assert heads(requests) == ["b"]
    assert requests.set_priority("fraud", "a", 9)
    assert heads(requests) == ["b"]
    assert requests.release("fraud", "a")
    assert not requests.release("fraud", "a")
    assert heads(requests) == ["a", "b"]


def test_held_and_blocked_is_in_line_only_after_both(requests: Requests) -> None:
    requests.add([entry("child", after=["parent"])])
    requests.hold("fraud", "child")
    assert requests.unblock("fraud", "child")
    assert heads(requests) == []
    assert requests.release("fraud", "child")
    assert heads(requests) == ["child"]


def test_documents_are_kept(documents: Documents) -> None:
    assert documents.get("x") is None
    documents.put("x", "{}")
    assert documents.get("x") == "{}"


def test_entries_are_got_together(requests: Requests) -> None:
    requests.add([entry("a"), entry("b")])
    found = requests.get_all([("fraud", "a"), ("fraud", "b"), ("fraud", "c"), ("fraud", "a")])
    assert set(found) == {("fraud", "a"), ("fraud", "b")}


def test_an_entry_rebuilt_from_its_tuning_job_answers_for_its_id_whatever_is_sent(
    requests: Requests,
) -> None:
    rebuilt = replace(
        entry("a"), status=Status.COMPLETED, request_json="", tuning_job_name="j", ended_at=NOON
    )
    requests.add([rebuilt])
    assert requests.add([entry("a")]) == [Added.REPEATED]
    assert state(requests, "a") == rebuilt


@pytest.mark.parametrize("held", [True, False], ids=["held", "blocked"])
def test_what_is_not_in_line_does_not_start_whatever_a_cycle_remembers(
    requests: Requests, leases: Leases, held: bool
) -> None:
    remembered = entry("a", **({} if held else {"after": ["parent"]}))
    requests.add([remembered])
    if held:
        assert requests.hold("fraud", "a")
    assert started(requests, leases, remembered) == []
    assert state(requests, "a").status is Status.QUEUED
    assert requests.running() == []


def making_room(of: Entry, already_stopped: int = 0) -> Preemption:
    return Preemption(
        team=of.team, request_id=of.request_id, tuning_job_name=of.job_name,
        preempted_for=("vision", "v"), already_stopped=already_stopped,
    )  # fmt: skip


def going_on(of: Entry) -> Ending:
    """Its tuning job was stopped after three of five."""
    earlier = EarlierJob(
        tuning_job_name=of.job_name, counters={"Completed": 3}, interrupted=2, seconds=60,
        instance_seconds=300, found=True,
    )  # fmt: skip
    queued = replace(
        of, status=Status.QUEUED, earlier=(earlier,), counters={"Completed": 3}, max_parallel=2,
        instances={"ml.m5.large": 2}, reason="goes on", resume_blocker="",
    )  # fmt: skip
    spent = Spent(team=of.team, month="2026-11", instance_seconds=300)
    return ending(of, status=Status.QUEUED, preempted=True, resumes_as=queued, spent=spent)


def test_what_makes_room_is_said_before_it_is_stopped_and_may_be_said_again(
    requests: Requests,
    leases: Leases,
) -> None:
    requests.add([replace(entry("a", priority=4), resume_blocker=""), entry("b")])
    started(requests, leases, state(requests, "a"))
    assert list(requests.preempt([making_room(entry("a")), making_room(entry("b"))], "me")) == [
        ("fraud", "a")
    ], "b does not run"
    (job,) = requests.running()
    assert (job.status, job.preempted_for, job.priority) == (Status.STOPPING, ("vision", "v"), 4)
    assert list(requests.preempt([making_room(entry("a"), already_stopped=2)], "me")) == [
        ("fraud", "a")
    ]
    assert (requests.running()[0].already_stopped, state(requests, "a").already_stopped) == (
        2,
        2,
    )
    assert state(requests, "a").preempted_for == ("vision", "v")


def test_nothing_makes_room_without_the_lease_nor_once_it_was_cancelled(
    requests: Requests, leases: Leases
) -> None:
    requests.add([entry("a")])
    started(requests, leases, entry("a"))
    with pytest.raises(LeaseLost):
        requests.preempt([making_room(entry("a"))], "other")
    assert state(requests, "a").status is Status.IN_PROGRESS
    assert requests.stop(state(requests, "a"))
    assert list(requests.preempt([making_room(entry("a"))], "me")) == []


def test_a_request_that_made_room_goes_on_in_its_place_with_what_is_left(
    requests: Requests, leases: Leases
) -> None:
    requests.add([entry("a", 0), entry("b", 1)])
    started(requests, leases, entry("a"))
    on = going_on(entry("a"))
    assert list(requests.finish([on])) == [], "it runs"
    requests.preempt([making_room(entry("a"))], "me")
    assert list(requests.finish([on])) == [("fraud", "a")]
    assert list(requests.finish([on])) == [], "once only"

    assert heads(requests) == ["a", "b"]
    assert requests.running() == []
    assert requests.spent("2026-11") == {"fraud": 300}
    assert state(requests, "a") == on.resumes_as
    first = state(requests, "a").earlier[0].tuning_job_name
    assert started(requests, leases, state(requests, "a")) == [("fraud", "a")]
    (job,) = requests.running()
    assert job.tuning_job_name != first
    assert (job.resumed, dict(job.instances), job.preempted_for) == (True, {"ml.m5.large": 2}, None)


def test_an_end_seen_before_it_was_to_make_room_is_not_its_requests_end(
    requests: Requests, leases: Leases
) -> None:
    requests.add([entry("a")])
    started(requests, leases, entry("a"))
    requests.preempt([making_room(entry("a"))], "me")
    stale = ending(entry("a"), status=Status.STOPPED)
    assert list(requests.finish([stale])) == []
    requests.finish([going_on(entry("a"))])
    started(requests, leases, state(requests, "a"))
    late = ending(entry("a"), status=Status.STOPPED)
    assert list(requests.finish([late])) == [], "it has gone on with another tuning job"
    assert not requests.requeue(entry("a"), "of its first tuning job")
    assert state(requests, "a").status is Status.IN_PROGRESS


def test_a_cancel_of_what_makes_room_is_final(requests: Requests, leases: Leases) -> None:
    requests.add([entry("a")])
    started(requests, leases, entry("a"))
    requests.preempt([making_room(entry("a"))], "me")
    assert requests.stop(state(requests, "a"))
    assert not requests.stop(state(requests, "a"))
    assert (requests.running()[0].preempted_for, state(requests, "a").preempted_for) == (
        None,
        None,
    )
    assert list(requests.finish([going_on(entry("a"))])) == []
    assert list(requests.finish([ending(entry("a"), status=Status.STOPPED)])) == [("fraud", "a")]
