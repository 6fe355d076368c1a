"""What a restored ledger needs, case by case."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.names import tuning_job_name
from hpoq.repair.decision import Facts, Kind, Letter, Repair, TaggedJob, decide, stopped

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = ("fraud", "a")
NAME = tuning_job_name(*KEY)
ENDED = [Status.STOPPED, Status.COMPLETED, Status.FAILED]
ALL_OF_A_JOB = [Status.IN_PROGRESS, Status.STOPPING, *ENDED]


def entry(status: Status, **fields: Any) -> Entry:
    started = status not in (Status.QUEUED, Status.CANCELLED, Status.REJECTED)
    defaults: dict[str, Any] = {
        "team": KEY[0],
        "request_id": KEY[1],
        "status": status,
        "accepted_at": NOON - timedelta(hours=2),
        "instances": {"ml.m5.large": 5},
        "tuning_job_name": NAME if started else "",
        "started_at": NOON - timedelta(hours=1) if started else None,
        "ended_at": NOON if status.ended else None,
        "template": "smoke",
    }
    return Entry(**(defaults | fields))


def job(status: Status) -> TaggedJob:
    return TaggedJob(
        name=NAME,
        team=KEY[0],
        request_id=KEY[1],
        status=status,
        created_at=NOON - timedelta(minutes=30),
        ended_at=NOON if status.ended else None,
        failure_reason="no luck" if status is Status.FAILED else "",
        counters={"Completed": 3},
        best=None,
        instances={"ml.m5.large": 5},
        max_training_jobs=20,
        max_parallel=5,
    )


def facts(
    was: Entry | None = None,
    there: TaggedJob | None = None,
    letter: Letter | None = None,
    **more: Any,
) -> Facts:
    """Consistent rows, unless said otherwise."""
    rows: dict[str, Any] = {
        "running": {NAME: was.target} if was and was.status.active else {},
        "blocked": {KEY} if was and was.blocked else set(),
        "unreadable": set(),
    }
    return Facts(
        now=NOON,
        entries={KEY: was} if was else {},
        jobs={KEY: there} if there else {},
        letters={KEY: letter} if letter else {},
        **(rows | more),
    )


def only(repairs: list[Repair]) -> Repair:
    (repair,) = repairs
    return repair


@pytest.mark.parametrize("status", ALL_OF_A_JOB)
def test_a_tuning_job_without_an_entry_gets_one(status: Status) -> None:
    repair = only(decide(facts(None, job(status))))

    assert (repair.kind, repair.was) == (Kind.RESTORE, None)
    became = repair.entry
    assert became is not None
    assert (became.key, became.status, became.tuning_job_name) == (KEY, status, NAME)
    assert became.instances == {"ml.m5.large": 5}
    assert (became.ended_at is not None) == status.ended
    assert (became.counters == {"Completed": 3}) == status.ended


@pytest.mark.parametrize("days", [-1, 1])
def test_a_request_that_has_left_the_ledger_is_not_brought_back(days: int) -> None:
    ended = job(Status.COMPLETED)
    assert ended.ended_at is not None
    expired_before = ended.ended_at + timedelta(days=days)
    repairs = decide(facts(None, ended, expired_before=expired_before))
    assert [repair.kind for repair in repairs] == ([] if days > 0 else [Kind.RESTORE])
    running = decide(facts(None, job(Status.IN_PROGRESS), expired_before=expired_before))
    assert [repair.kind for repair in running] == [Kind.RESTORE]


@pytest.mark.parametrize("status", ALL_OF_A_JOB)
@pytest.mark.parametrize(
    "marks", [{}, {"blocked": True}, {"on_hold": True}], ids=["in line", "blocked", "held"]
)
def test_a_queued_entry_whose_tuning_job_exists_takes_its_state(
    status: Status, marks: dict[str, bool]
) -> None:
    repair = only(decide(facts(entry(Status.QUEUED, **marks), job(status))))

    assert (repair.kind, repair.was) == (Kind.CORRECT, Status.QUEUED)
    assert repair.entry is not None
    assert repair.entry.status is status
    assert repair.entry.template == "smoke", "what the ledger alone knows stays"
    assert not (repair.entry.blocked or repair.entry.on_hold)


@pytest.mark.parametrize("was", [Status.CANCELLED, Status.REJECTED])
def test_an_entry_that_ended_unstarted_then_and_was_sent_again_takes_its_jobs_state(
    was: Status,
) -> None:
    repair = only(decide(facts(entry(was), job(Status.IN_PROGRESS))))
    assert repair.entry is not None
    assert repair.entry.status is Status.IN_PROGRESS
    assert repair.entry.ended_at is None


@pytest.mark.parametrize("was", [Status.IN_PROGRESS, Status.STOPPING])
@pytest.mark.parametrize("status", ENDED)
def test_an_active_entry_whose_job_has_ended_ends(was: Status, status: Status) -> None:
    repair = only(decide(facts(entry(was), job(status))))
    assert repair.entry is not None
    assert (repair.entry.status, repair.entry.ended_at) == (status, NOON)


@pytest.mark.parametrize("was", [Status.IN_PROGRESS, Status.STOPPING])
@pytest.mark.parametrize("status", [Status.IN_PROGRESS, Status.STOPPING])
def test_what_runs_is_left_to_the_next_cycle_a_cancel_included(was: Status, status: Status) -> None:
    assert decide(facts(entry(was), job(status))) == []


@pytest.mark.parametrize("status", ENDED)
def test_what_ended_alike_is_right(status: Status) -> None:
    assert decide(facts(entry(status), job(status))) == []


def test_a_promise_that_no_tuning_job_came_of_waits_for_its_turn_again() -> None:
    repair = only(decide(facts(entry(Status.IN_PROGRESS))))
    assert repair.kind is Kind.REQUEUE
    became = repair.entry
    assert became is not None
    assert (became.status, became.tuning_job_name, became.started_at) == (Status.QUEUED, "", None)


def test_a_cancelled_promise_that_no_tuning_job_came_of_is_cancelled() -> None:
    repair = only(decide(facts(entry(Status.STOPPING))))
    assert repair.entry is not None
    assert repair.entry.status is Status.CANCELLED


@pytest.mark.parametrize(
    "was", [Status.QUEUED, Status.CANCELLED, Status.REJECTED, Status.COMPLETED]
)
def test_an_entry_that_needs_no_tuning_job_is_right_without_one(was: Status) -> None:
    assert decide(facts(entry(was))) == []


def test_a_dead_letter_without_an_entry_is_a_rejected_request_again() -> None:
    repair = only(decide(facts(letter=Letter(team="fraud", request_id="a", reason="lr: no"))))
    assert repair.entry is not None
    assert (repair.entry.status, repair.entry.reason) == (Status.REJECTED, "lr: no")


def test_a_dead_letter_says_nothing_about_a_request_that_is_there() -> None:
    old = Letter(team="fraud", request_id="a", reason="mended and sent again since")
    assert decide(facts(entry(Status.QUEUED), letter=old)) == []


def test_missing_rows_of_capacity_and_of_dependencies_are_put_back() -> None:
    running = facts(entry(Status.IN_PROGRESS), job(Status.IN_PROGRESS), running={})
    assert only(decide(running)).kind is Kind.ROWS
    waiting = facts(entry(Status.QUEUED, blocked=True), blocked=set())
    assert only(decide(waiting)).kind is Kind.ROWS


def test_rows_that_belong_to_no_entry_go() -> None:
    stray = facts(
        entry(Status.COMPLETED), job(Status.COMPLETED), running={NAME: "home"}, blocked={KEY}
    )
    assert [each.key for each in decide(stray)] == [("#active", NAME), ("#blocked", "fraud/a")]
    assert all(each.entry is None for each in decide(stray))


def test_what_this_version_cannot_read_is_left_alone_with_its_rows() -> None:
    untouched = facts(
        None, job(Status.COMPLETED), running={NAME: "home"}, blocked={KEY}, unreadable={KEY}
    )
    assert decide(untouched) == []


# Whatever was restored: the repaired ledger is right, and needs no second repair.

entries = st.sampled_from([None, *Status]).flatmap(
    lambda status: (
        st.none()
        if status is None
        else st.builds(
            entry,
            st.just(status),
            blocked=st.booleans() if status is Status.QUEUED else st.just(False),
        )
    )
)


@given(
    was=entries,
    there=st.sampled_from([None, *ALL_OF_A_JOB]),
    letter=st.booleans(),
    active=st.booleans(),
    blocked=st.booleans(),
)
def test_one_repair_is_enough_and_agrees_with_sagemaker(
    was: Entry | None, there: Status | None, letter: bool, active: bool, blocked: bool
) -> None:
    before = facts(
        was,
        job(there) if there else None,
        Letter(team="fraud", request_id="a", reason="no") if letter else None,
        running={NAME: "home"} if active else {},
        blocked={KEY} if blocked else set(),
    )
    after = repaired(before)

    assert decide(after) == []
    became = after.entries.get(KEY)
    if there:
        assert became is not None
        assert became.status is there or (became.status.active and there.active)
    else:
        assert became is None or not became.status.active
    assert (NAME in after.running) == bool(became and became.status.active)


def repaired(before: Facts) -> Facts:
    """What the table holds afterwards, by what a repair promises of its rows."""
    entries, active, blocked = dict(before.entries), dict(before.running), set(before.blocked)
    for repair in decide(before):
        if repair.entry is None:
            active.pop(repair.key[1], None)
            blocked.discard(tuple(repair.key[1].split("/")))
            continue
        entries[repair.key] = repair.entry
        name = tuning_job_name(*repair.key)
        active.pop(name, None)
        if repair.entry.status.active:
            active[name] = repair.entry.target
        waits = repair.entry.status is Status.QUEUED and repair.entry.blocked
        blocked = blocked | {repair.key} if waits else blocked - {repair.key}
    return replace(before, entries=entries, running=active, blocked=blocked)


# A request whose tuning job made room has several


def second(status: Status, **fields: Any) -> TaggedJob:
    """Goes on from the first, of whose twenty training jobs seven had ended."""
    first = replace(job(Status.STOPPED), counters={"Completed": 6, "Stopped": 4})
    on = replace(
        job(status), name=tuning_job_name(*KEY, 1), number=1, max_training_jobs=13, **fields
    )
    return replace(on, before=[stopped(first, on)])


def gone_on(status: Status) -> Entry:
    (earlier,) = second(Status.IN_PROGRESS).before
    name = "" if status is Status.QUEUED else tuning_job_name(*KEY, 1)
    return entry(status, earlier=(earlier,), tuning_job_name=name, max_training_jobs=20)


def test_what_had_ended_of_an_earlier_tuning_job_follows_from_what_the_next_one_runs() -> None:
    (earlier,) = second(Status.IN_PROGRESS).before
    assert (earlier.tuning_job_name, earlier.ended, earlier.interrupted) == (NAME, 7, 3)
    assert dict(earlier.counters) == {"Completed": 6, "Stopped": 1}


@pytest.mark.parametrize("was", [Status.QUEUED, Status.IN_PROGRESS, Status.STOPPING])
@pytest.mark.parametrize("is_", ALL_OF_A_JOB)
def test_an_entry_from_before_the_stop_takes_the_state_of_the_tuning_job_it_went_on_with(
    was: Status, is_: Status
) -> None:
    repaired, *orphan = decide(facts(entry(was, max_training_jobs=20), second(is_)))
    assert repaired.kind is Kind.CORRECT
    assert repaired.entry
    assert (repaired.entry.status, repaired.entry.job_name) == (is_, tuning_job_name(*KEY, 1))
    assert repaired.entry.training_jobs_left == 13
    removed = [(each.kind, each.key) for each in orphan]
    expected = [(Kind.REMOVE, ("#active", NAME))] if was.active else []
    assert removed == expected, "the row of capacity of the first one"


def test_a_lost_entry_of_several_tuning_jobs_is_made_of_all_of_them() -> None:
    restored = only(decide(facts(None, second(Status.COMPLETED, counters={"Completed": 13}))))
    assert restored.entry
    assert restored.entry.max_training_jobs == 20
    assert dict(restored.entry.counters) == {"Completed": 19, "Stopped": 1}


def test_a_request_that_waits_to_go_on_is_not_ended_by_its_stopped_tuning_job() -> None:
    assert decide(facts(gone_on(Status.QUEUED), job(Status.STOPPED))) == []


def test_one_that_was_to_go_on_and_was_not_created_waits_again() -> None:
    active = {tuning_job_name(*KEY, 1): "home"}
    was = gone_on(Status.IN_PROGRESS)
    repaired = only(decide(facts(was, job(Status.STOPPED), running=active)))
    assert repaired.kind is Kind.REQUEUE
    assert repaired.entry
    assert repaired.entry.earlier == was.earlier
    assert dict(repaired.entry.counters) == {"Completed": 6, "Stopped": 1}


def test_what_makes_room_is_left_to_the_next_cycle_however_its_tuning_job_stands() -> None:
    was = entry(Status.STOPPING, preempted_for=("vision", "v"))
    for status in ALL_OF_A_JOB:
        assert decide(facts(was, job(status))) == []


# Targets


def test_an_entry_takes_the_target_of_its_tuning_job() -> None:
    west = replace(job(Status.IN_PROGRESS), target="west")
    for was in (
        entry(Status.QUEUED, targets=("home", "west")),
        entry(Status.IN_PROGRESS, targets=("home", "west")),
    ):
        repair = only(decide(facts(was, west)))
        assert repair.kind is Kind.CORRECT
        assert repair.entry
        assert (repair.entry.target, repair.entry.targets) == ("west", ("home", "west"))
    assert only(decide(facts(None, west))).entry == replace(
        only(decide(facts(None, job(Status.IN_PROGRESS)))).entry or was,
        target="west",
        targets=("west",),
    )


def test_a_cancel_is_kept_when_the_tuning_job_is_found_on_another_target() -> None:
    was = entry(Status.STOPPING, targets=("home", "west"))
    repair = only(decide(facts(was, replace(job(Status.IN_PROGRESS), target="west"))))
    assert repair.entry
    assert (repair.entry.status, repair.entry.target) == (Status.STOPPING, "west")


def test_capacity_that_is_counted_on_the_wrong_target_is_counted_again() -> None:
    was = entry(Status.IN_PROGRESS, target="west", targets=("west",))
    there = replace(job(Status.IN_PROGRESS), target="west")
    assert decide(facts(was, there)) == []
    assert only(decide(facts(was, there, running={NAME: "home"}))).kind is Kind.ROWS


@pytest.mark.parametrize("status", [Status.QUEUED, Status.IN_PROGRESS, Status.STOPPING])
def test_nothing_is_decided_about_what_may_run_on_a_target_that_was_not_read(
    status: Status,
) -> None:
    unread = {"west"}
    was = entry(status, targets=("home", "west"))
    assert decide(facts(was, running={NAME: "west"}, unread=unread)) == []
    letter = Letter(team="fraud", request_id="a", reason="lr: no")
    assert decide(facts(letter=letter, unread=unread)) == []
    stray = facts(running={NAME: "west", "other-ab12cd34": "home"}, unread=unread)
    assert [each.key for each in decide(stray)] == [("#active", "other-ab12cd34")]


def test_what_was_read_is_repaired_while_a_target_is_not() -> None:
    was = entry(Status.IN_PROGRESS, targets=("home", "west"))
    for repaired in (
        decide(facts(was, job(Status.COMPLETED), unread={"west"})),
        decide(facts(entry(Status.IN_PROGRESS), unread={"west"})),
    ):
        assert only(repaired).entry
