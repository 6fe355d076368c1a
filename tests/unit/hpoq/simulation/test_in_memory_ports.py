"""What every ledger promises: the one in memory and the one on DynamoDB alike."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import BestTrainingJob, EarlierJob, Entry, Spent, Status
from hpo_dispatcher.contract.names import tuning_job_name
from hpo_dispatcher.contract.request import TuningRequest, parse_message
from hpo_dispatcher.ports import Added, Backlog, Ending, LeaseLost, Ledger, MakesRoom
from hpoq.simulation.in_memory_ports import MemoryLedger
from tests.support.dispatcher_account import RANGES, Account, account, session

__all__ = ["account", "session"]

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(params=["memory", "dynamodb"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    if request.param == "memory":
        return MemoryLedger(lambda: NOON)
    account: Account = request.getfixturevalue("account")
    return account.dispatcher().ledger


def entry(request_id: str, minute: int = 0, team: str = "fraud", **fields: Any) -> Entry:
    body = {"request_id": request_id, "hyperparameter_ranges": RANGES, **fields}
    request = parse_message(json.dumps(body), "m")
    assert isinstance(request, TuningRequest)
    return Entry(
        team=team,
        request_id=request_id,
        status=Status.QUEUED,
        accepted_at=NOON + timedelta(minutes=minute),
        request=request,
        priority=request.priority,
        instances={"ml.m5.large": 5},
        blocked=bool(request.after),
    )


def started(ledger: Ledger, *entries: Entry) -> list[tuple[str, str]]:
    assert ledger.acquire_lease("me", NOON, NOON + timedelta(minutes=15))
    return list(ledger.start(entries, "me", NOON))


def heads(ledger: Ledger, count: int = 9) -> list[str]:
    return [each.request_id for each in ledger.heads("fraud", count)]


def test_a_teams_backlog_is_counted_and_its_oldest_told_whatever_the_priorities(
    ledger: Ledger,
) -> None:
    assert ledger.backlog("fraud") == Backlog(count=0, oldest=None)
    ledger.add(
        [
            entry("urgent", minute=9, priority=5),
            entry("old", minute=3),
            entry("new", minute=7),
            entry("blocked", minute=1, after=["old"]),
            entry("newer", minute=8),
            entry("other", minute=0, team="vision"),
        ]
    )
    started(ledger, entry("new", minute=7))

    assert ledger.backlog("fraud") == Backlog(count=3, oldest=NOON + timedelta(minutes=3))


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


def state(ledger: Ledger, request_id: str) -> Entry:
    found = ledger.get("fraud", request_id)
    assert found is not None
    return found


def test_an_entry_comes_back_as_it_was_put(ledger: Ledger) -> None:
    put = entry("a", priority=3)
    assert ledger.add([put]) == [Added.NEW]
    assert ledger.get("fraud", "a") == put
    assert ledger.get("vision", "a") is None


def test_repeated_taken_and_cancelled_ids_are_told_apart_within_one_batch(ledger: Ledger) -> None:
    tombstone = replace(entry("c"), status=Status.CANCELLED, request=None, ended_at=NOON)
    assert ledger.add([tombstone]) == [Added.NEW]
    outcomes = ledger.add([entry("a"), entry("a"), entry("a", priority=1), entry("c")])
    assert outcomes == [Added.NEW, Added.REPEATED, Added.TAKEN, Added.CANCELLED]


def test_a_rejected_entry_may_be_replaced(ledger: Ledger) -> None:
    rejected = replace(entry("a"), status=Status.REJECTED, request=None, reason="no")
    ledger.add([rejected])
    assert ledger.add([entry("a")]) == [Added.NEW]
    assert heads(ledger) == ["a"]


def test_a_line_is_sorted_by_priority_then_age(ledger: Ledger) -> None:
    ledger.add([entry("young", 2), entry("old", 1), entry("urgent", 3, priority=1)])
    ledger.add([entry("other", 0, team="vision")])
    assert heads(ledger) == ["urgent", "old", "young"]
    assert heads(ledger, 2) == ["urgent", "old"]


def test_a_start_takes_the_entry_out_of_line_and_holds_its_capacity(ledger: Ledger) -> None:
    ledger.add([entry("a"), entry("b")])
    assert started(ledger, entry("a")) == [("fraud", "a")]
    assert heads(ledger) == ["b"]
    (active,) = ledger.active()
    assert (active.request_id, dict(active.instances)) == ("a", {"ml.m5.large": 5})
    assert state(ledger, "a").tuning_job_name == active.tuning_job_name
    assert started(ledger, entry("a")) == [], "once only"


def test_nothing_starts_without_the_lease(ledger: Ledger) -> None:
    ledger.add([entry("a")])
    ledger.acquire_lease("other", NOON, NOON + timedelta(minutes=15))
    with pytest.raises(LeaseLost):
        ledger.start([entry("a")], "me", NOON)
    assert state(ledger, "a").status is Status.QUEUED


def test_the_lease_is_one_dispatchers_until_it_expires_or_is_released(ledger: Ledger) -> None:
    until = NOON + timedelta(minutes=15)
    assert ledger.acquire_lease("me", NOON, until)
    assert ledger.acquire_lease("other", NOON, until) is None
    assert ledger.acquire_lease("other", until + timedelta(seconds=1), until + timedelta(hours=1))
    assert ledger.release_lease("me", NOON) is False, "it is no longer mine"
    assert ledger.release_lease("other", NOON) is False
    lease = ledger.acquire_lease("me", NOON, until)
    assert lease is not None
    assert lease.last_cycle == NOON


def test_who_asks_during_a_cycle_gets_another(ledger: Ledger) -> None:
    ledger.acquire_lease("me", NOON, NOON + timedelta(minutes=15))
    ledger.ask_for_cycle(NOON + timedelta(seconds=1))
    assert ledger.release_lease("me", NOON) is True
    ledger.acquire_lease("me", NOON, NOON + timedelta(minutes=15))
    assert ledger.release_lease("me", NOON + timedelta(seconds=2)) is False


def test_a_requeued_entry_is_where_it_was(ledger: Ledger) -> None:
    ledger.add([entry("a", 0), entry("b", 1)])
    started(ledger, entry("a"))
    assert ledger.requeue(entry("a"), "no room")
    assert heads(ledger) == ["a", "b"]
    assert ledger.active() == []
    assert state(ledger, "a").reason == "no room"
    assert not ledger.requeue(entry("a"), "again")


def test_an_end_is_written_once(ledger: Ledger) -> None:
    ledger.add([entry("a")])
    started(ledger, entry("a"))
    best = BestTrainingJob(name="j", objective=0.5, metric="auc", hyperparameters={"lr": "0.1"})
    done = ending(entry("a"), counters={"Completed": 3}, best=best)
    assert list(ledger.finish([done])) == [("fraud", "a")]
    assert list(ledger.finish([ending(entry("a"), status=Status.FAILED)])) == []
    found = state(ledger, "a")
    assert (found.status, found.best, dict(found.counters)) == (
        Status.COMPLETED, best, {"Completed": 3}
    )  # fmt: skip
    assert ledger.active() == []


def test_what_was_spent_is_counted_with_each_end_and_once_only(ledger: Ledger) -> None:
    fraud = [entry(name) for name in "abcd"]
    ledger.add([*fraud, entry("v", team="vision")])
    started(ledger, *fraud[:3], entry("v", team="vision"))

    def end(of: Entry, month: str, seconds: int) -> Ending:
        spent = Spent(team=of.team, month=month, instance_seconds=seconds)
        return ending(of, spent=spent)

    a, b, c, d = fraud
    assert list(ledger.finish([end(a, "2026-11", 5)])) == [a.key]
    late = [
        end(a, "2026-11", 100),
        end(b, "2026-11", 7),
        end(c, "2026-12", 11),
        end(d, "2026-11", 100),
        end(entry("v", team="vision"), "2026-11", 13),
    ]
    assert set(ledger.finish(late)) == {b.key, c.key, ("vision", "v")}
    ledger.finish(late)
    assert ledger.spent("2026-11") == {"fraud": 12, "vision": 13}
    assert ledger.spent("2026-12") == {"fraud": 11}
    assert ledger.spent("2027-01") == {}


def test_what_it_can_use_is_set_aside_with_the_start(ledger: Ledger) -> None:
    ledger.add([replace(entry("a"), most_instance_seconds=7)])
    assert state(ledger, "a").most_instance_seconds == 7
    started(ledger, state(ledger, "a"))
    assert [job.most_instance_seconds for job in ledger.active()] == [7]


def test_stopping_is_seen_by_the_next_cycle(ledger: Ledger) -> None:
    ledger.add([entry("a")])
    assert not ledger.stopping(state(ledger, "a"))
    started(ledger, entry("a"))
    assert ledger.stopping(state(ledger, "a"))
    assert [job.status for job in ledger.active()] == [Status.STOPPING]
    assert not ledger.requeue(entry("a"), "too late")


def test_a_blocked_entry_is_not_in_line_until_it_is_unblocked(ledger: Ledger) -> None:
    ledger.add([entry("child", after=["parent"])])
    assert heads(ledger) == []
    (blocked,) = ledger.blocked()
    assert blocked.parents == ("parent",)
    assert ledger.unblock("fraud", "child")
    assert not ledger.unblock("fraud", "child")
    assert heads(ledger) == ["child"]
    assert ledger.blocked() == []


def test_a_cancelled_blocked_entry_leaves_nothing_behind(ledger: Ledger) -> None:
    child = entry("child", after=["parent"])
    ledger.add([child])
    cancelled = ending(child, was=(Status.QUEUED,), status=Status.CANCELLED, tuning_job_name="")
    assert ledger.finish([cancelled])
    assert ledger.blocked() == []
    assert not ledger.unblock("fraud", "child")


def test_a_held_entry_is_not_in_line_until_it_is_released(ledger: Ledger) -> None:
    ledger.add([entry("a"), entry("b", 1)])
    assert ledger.hold("fraud", "a")
    assert heads(ledger) == ["b"]
    assert ledger.set_priority("fraud", "a", 9)
    assert heads(ledger) == ["b"]
    assert ledger.release("fraud", "a")
    assert not ledger.release("fraud", "a")
    assert heads(ledger) == ["a", "b"]


def test_held_and_blocked_is_in_line_only_after_both(ledger: Ledger) -> None:
    ledger.add([entry("child", after=["parent"])])
    ledger.hold("fraud", "child")
    assert ledger.unblock("fraud", "child")
    assert heads(ledger) == []
    assert ledger.release("fraud", "child")
    assert heads(ledger) == ["child"]


def test_documents_are_kept(ledger: Ledger) -> None:
    assert ledger.document("x") is None
    ledger.put_document("x", "{}")
    assert ledger.document("x") == "{}"


def test_entries_are_got_together(ledger: Ledger) -> None:
    ledger.add([entry("a"), entry("b")])
    found = ledger.get_all([("fraud", "a"), ("fraud", "b"), ("fraud", "c"), ("fraud", "a")])
    assert set(found) == {("fraud", "a"), ("fraud", "b")}


def test_an_entry_rebuilt_from_its_tuning_job_answers_for_its_id_whatever_is_sent(
    ledger: Ledger,
) -> None:
    rebuilt = replace(
        entry("a"), status=Status.COMPLETED, request=None, tuning_job_name="j", ended_at=NOON
    )
    ledger.add([rebuilt])
    assert ledger.add([entry("a")]) == [Added.REPEATED]
    assert state(ledger, "a") == rebuilt


@pytest.mark.parametrize("held", [True, False], ids=["held", "blocked"])
def test_what_is_not_in_line_does_not_start_whatever_a_cycle_remembers(
    ledger: Ledger, held: bool
) -> None:
    remembered = entry("a", **({} if held else {"after": ["parent"]}))
    ledger.add([remembered])
    if held:
        assert ledger.hold("fraud", "a")
    assert started(ledger, remembered) == []
    assert state(ledger, "a").status is Status.QUEUED
    assert ledger.active() == []


def making_room(of: Entry, stopped: int = 0) -> MakesRoom:
    return MakesRoom(
        team=of.team, request_id=of.request_id, tuning_job_name=of.job_name,
        room_for=("vision", "v"), stopped=stopped,
    )  # fmt: skip


def going_on(of: Entry) -> Ending:
    """Its tuning job was stopped after three of five."""
    earlier = EarlierJob(
        tuning_job_name=of.job_name, counters={"Completed": 3}, interrupted=2, seconds=60,
        instance_seconds=300, found=True,
    )  # fmt: skip
    queued = replace(
        of, status=Status.QUEUED, earlier=(earlier,), counters={"Completed": 3}, max_parallel=2,
        instances={"ml.m5.large": 2}, reason="goes on", obstacle="",
    )  # fmt: skip
    spent = Spent(team=of.team, month="2026-11", instance_seconds=300)
    return ending(of, status=Status.QUEUED, made_room=True, goes_on=queued, spent=spent)


def test_what_makes_room_is_said_before_it_is_stopped_and_may_be_said_again(
    ledger: Ledger,
) -> None:
    ledger.add([replace(entry("a", priority=4), obstacle=""), entry("b")])
    started(ledger, state(ledger, "a"))
    assert list(ledger.make_room([making_room(entry("a")), making_room(entry("b"))], "me")) == [
        ("fraud", "a")
    ], "b does not run"
    (job,) = ledger.active()
    assert (job.status, job.stopped_for, job.priority) == (Status.STOPPING, ("vision", "v"), 4)
    assert list(ledger.make_room([making_room(entry("a"), stopped=2)], "me")) == [("fraud", "a")]
    assert (ledger.active()[0].stopped_before, state(ledger, "a").stopped_before) == (2, 2)
    assert state(ledger, "a").stopped_for == ("vision", "v")


def test_nothing_makes_room_without_the_lease_nor_once_it_was_cancelled(ledger: Ledger) -> None:
    ledger.add([entry("a")])
    started(ledger, entry("a"))
    with pytest.raises(LeaseLost):
        ledger.make_room([making_room(entry("a"))], "other")
    assert state(ledger, "a").status is Status.IN_PROGRESS
    assert ledger.stopping(state(ledger, "a"))
    assert list(ledger.make_room([making_room(entry("a"))], "me")) == []


def test_a_request_that_made_room_goes_on_in_its_place_with_what_is_left(ledger: Ledger) -> None:
    ledger.add([entry("a", 0), entry("b", 1)])
    started(ledger, entry("a"))
    on = going_on(entry("a"))
    assert list(ledger.finish([on])) == [], "it runs"
    ledger.make_room([making_room(entry("a"))], "me")
    assert list(ledger.finish([on])) == [("fraud", "a")]
    assert list(ledger.finish([on])) == [], "once only"

    assert heads(ledger) == ["a", "b"]
    assert ledger.active() == []
    assert ledger.spent("2026-11") == {"fraud": 300}
    assert state(ledger, "a") == on.goes_on
    first = state(ledger, "a").earlier[0].tuning_job_name
    assert started(ledger, state(ledger, "a")) == [("fraud", "a")]
    (job,) = ledger.active()
    assert job.tuning_job_name != first
    assert (job.resumed, dict(job.instances), job.stopped_for) == (True, {"ml.m5.large": 2}, None)


def test_an_end_seen_before_it_was_to_make_room_is_not_its_requests_end(ledger: Ledger) -> None:
    ledger.add([entry("a")])
    started(ledger, entry("a"))
    ledger.make_room([making_room(entry("a"))], "me")
    stale = ending(entry("a"), status=Status.STOPPED)
    assert list(ledger.finish([stale])) == []
    ledger.finish([going_on(entry("a"))])
    started(ledger, state(ledger, "a"))
    late = ending(entry("a"), status=Status.STOPPED)
    assert list(ledger.finish([late])) == [], "it has gone on with another tuning job"
    assert not ledger.requeue(entry("a"), "of its first tuning job")
    assert state(ledger, "a").status is Status.IN_PROGRESS


def test_a_cancel_of_what_makes_room_is_final(ledger: Ledger) -> None:
    ledger.add([entry("a")])
    started(ledger, entry("a"))
    ledger.make_room([making_room(entry("a"))], "me")
    assert ledger.stopping(state(ledger, "a"))
    assert not ledger.stopping(state(ledger, "a"))
    assert (ledger.active()[0].stopped_for, state(ledger, "a").stopped_for) == (None, None)
    assert list(ledger.finish([going_on(entry("a"))])) == []
    assert list(ledger.finish([ending(entry("a"), status=Status.STOPPED)])) == [("fraud", "a")]
