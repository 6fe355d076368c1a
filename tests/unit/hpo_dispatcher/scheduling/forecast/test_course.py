"""One course of the next hours: whose run times it takes, and what starts when."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from hpo_dispatcher.contract.documents.capacity import WaitKind
from hpo_dispatcher.scheduling.forecast.course import LOOKED_AT, MOST_MOMENTS
from tests.support.course_scene import M5, at, drawn, running, times, waiting


@pytest.mark.parametrize(
    ("job", "minutes"),
    [
        (running("fraud", 4), 6),
        (running("fraud", 4, template="gpu"), 16),
        (running("fraud", 4, rounds=3), 26),
        (running("vision", 4), 36),
        (running("fraud", 10), 0),  # it should have ended by now
    ],
)
def test_a_running_job_takes_as_long_as_others_of_its_team_and_template(
    job: dict[str, Any], minutes: float
) -> None:
    run_times = [times("fraud", 10), times("fraud", 20, "gpu"), times("vision", 40)]
    found = drawn(waiting=[waiting("fraud", "f")], running=[job], run_times=run_times)
    if minutes:
        assert found.starts == {("fraud", "f"): 60.0 * minutes}
        assert found.seconds == 60.0 * minutes
    else:  # it runs longer than any of them has
        assert found.starts["fraud", "f"] > 0


@pytest.mark.parametrize(
    ("first", "minutes"),
    [({}, 16), ({"template": "gpu"}, 26), ({"rounds": 3}, 36), ({"most_seconds": 300}, 11)],
)
def test_a_queued_request_takes_as_long_as_others_of_its_template_and_at_most_its_maximum(
    first: dict[str, Any], minutes: float
) -> None:
    found = drawn(
        waiting=[waiting("fraud", "f1", **first), waiting("fraud", "f2", 2)],
        running=[running("fraud", 4)],
        run_times=[times("fraud", 10), times("fraud", 20, "gpu")],
    )
    assert found.starts == {("fraud", "f1"): 360.0, ("fraud", "f2"): 60.0 * minutes}


def test_a_job_of_another_user_never_ends_and_one_of_ours_takes_as_long_as_the_usual_ones() -> None:
    found = drawn(
        2,
        waiting=[waiting("fraud", "f")],
        running=[running(None, None), running(None, 4)],
        run_times=[times("fraud", 10), times("", 30)],
    )
    assert found.starts == {("fraud", "f"): 60.0 * 26}
    assert drawn(waiting=[waiting("fraud", "f")], running=[running(None, None)]).starts == {}


def test_requests_of_higher_priority_that_keep_arriving_start_first() -> None:
    """One arrives every five minutes and takes ten: the queue never gets to the listed request."""
    arrivals = [
        {"team": "fraud", "at": at(5 * n), "template": "cpu", "priority": 9}
        for n in range(12, 0, -1)
    ]
    asked: dict[str, Any] = {
        "waiting": [waiting("fraud", "f1"), waiting("fraud", "f2", 2)],
        "running": [running("fraud", 4)],
        "run_times": [times("fraud", 10)],
    }
    found = drawn(**asked, arrivals=arrivals)
    assert found.starts.get(("fraud", "f2"), found.seconds) > 10 * 3600
    low = [each | {"priority": -1} for each in arrivals]
    assert drawn(**asked, arrivals=low).starts == {
        ("fraud", "f1"): 360.0, ("fraud", "f2"): 960.0
    }  # fmt: skip


@pytest.mark.parametrize(("minutes", "passes"), [(50, True), (70, False)])
def test_what_ends_before_a_reservation_can_be_met_passes_it_in_a_course_as_well(
    minutes: float, passes: bool
) -> None:
    """The big request needs all 20 instances, of which a job uses 15 for an hour."""
    found = drawn(
        100,
        instances={M5: {"limit": 20}},
        quotas={M5: 20},
        waiting=[
            waiting("audio", "big", instances={M5: 20}, template="big",
                    first_since=at(99), passed_at=at(31)),
            waiting("vision", "small", instances={M5: 5}),
        ],
        running=[running("fraud", 0.0, instances={M5: 15})],
        run_times=[times("fraud", 60), times("vision", minutes), times("audio", 30, "big")],
    )  # fmt: skip
    assert found.starts["audio", "big"] == 3600.0
    assert found.starts["vision", "small"] == (0.0 if passes else 60.0 * 90)


def test_a_course_ends_with_its_last_start_or_when_nothing_more_can_come() -> None:
    asked: dict[str, Any] = {"run_times": [times("fraud", 10)], "running": [running("fraud", 4)]}
    never = waiting("fraud", "f", instances={M5: 9})
    found = drawn(**asked, waiting=[never], instances={M5: {"limit": 4}}, quotas={M5: 4})
    assert (found.starts, found.seconds) == ({}, 360.0)
    one = drawn(**asked, waiting=[waiting("fraud", "f")])
    assert (one.starts, one.seconds, one.plans) == ({("fraud", "f"): 360.0}, 360.0, 2)
    many = [waiting("fraud", f"f{n}", n) for n in range(1, MOST_MOMENTS + 20)]
    assert len(drawn(**asked, waiting=many).starts) == MOST_MOMENTS - 1


def test_teams_on_hold_and_requests_that_no_end_lets_start_take_no_place() -> None:
    held, stuck = waiting("vision", "v"), waiting("fraud", "f1", reason_kind=WaitKind.TEAM_BUDGET)
    found = drawn(
        waiting=[held, stuck, waiting("fraud", "f2", 2)],
        running=[running("fraud", 4)], run_times=[times("fraud", 10)],
        teams_on_hold=["vision"],
    )  # fmt: skip
    assert found.starts == {("fraud", "f2"): 360.0}


def test_of_one_shape_as_many_start_at_once_as_a_plan_looks_at_and_the_others_at_the_next_end() -> (
    None
):
    plain = [waiting("fraud", f"f{n:02}", n) for n in range(1, LOOKED_AT + 4)]
    other = [waiting("fraud", f"m{n}", 99 + n, instances={M5: 1}) for n in range(2)]
    found = drawn(
        100, waiting=[*plain, *other], run_times=[times("fraud", 10)],
        instances={M5: {"limit": 9}}, quotas={M5: 9},
    )  # fmt: skip
    assert Counter(found.starts.values()) == {0.0: LOOKED_AT + 2, 600.0: 3}
    assert found.starts["fraud", f"f{LOOKED_AT:02}"] == 0.0


@pytest.mark.parametrize(
    ("arriving", "plans"),
    [
        ({}, 2),  # at the beginning, and when the running job ends
        ({"priority": -1}, 3),  # the first of them could start, the others could not either
        ({"team": "vision"}, 3),
        ({"instances": {M5: 1}}, 3),
        ({"expected_seconds": 60}, 3),
    ],
)
def test_a_request_that_arrives_behind_another_of_its_sort_needs_no_plan(
    arriving: dict[str, Any], plans: int
) -> None:
    every_five_minutes = [
        {"team": "fraud", "at": at(5 * n), "template": "cpu", **arriving} for n in range(12, 0, -1)
    ]
    found = drawn(
        waiting=[waiting("fraud", "f")], running=[running("fraud", 0)],
        run_times=[times("fraud", 120)], arrivals=every_five_minutes, usage={"vision": 99.0},
    )  # fmt: skip
    assert found.starts == {("fraud", "f"): 7200.0}
    assert found.plans == plans


def test_of_requests_that_arrive_together_one_of_a_new_sort_is_enough_for_a_plan() -> None:
    both: list[dict[str, Any]] = [
        {"priority": -1, "template": "cpu", "team": "fraud"},
        {"template": "cpu", "team": "fraud"},
    ]
    arrivals = [each | {"at": at(5 * n)} for n in range(12, 0, -1) for each in both]
    found = drawn(
        waiting=[waiting("fraud", "f")], running=[running("fraud", 0)],
        run_times=[times("fraud", 120)], arrivals=arrivals,
    )  # fmt: skip
    assert found.plans == 3


def test_once_a_request_has_started_the_next_of_its_sort_needs_a_plan() -> None:
    """The second slot is free most of the time: each request that arrives starts in it at once."""
    arrivals = [{"team": "fraud", "at": at(5 * n), "template": "cpu"} for n in range(12, 0, -1)]
    found = drawn(
        2, waiting=[waiting("fraud", "f"), waiting("vision", "v", instances={M5: 1})],
        running=[running("vision", 0, instances={M5: 1})], arrivals=arrivals,
        run_times=[times("fraud", 1), times("vision", 120)],
        instances={M5: {"limit": 1}}, quotas={M5: 1},
    )  # fmt: skip
    assert found.starts == {("fraud", "f"): 0.0, ("vision", "v"): 7200.0}
    assert found.plans > 20


def test_what_a_team_uses_in_a_course_delays_its_next_turn() -> None:
    """vision's job runs for an hour: then both requests of fraud start before its older one."""
    asked: dict[str, Any] = {
        "waiting": [
            waiting("vision", "v", 1),
            waiting("fraud", "f1", 2),
            waiting("fraud", "f2", 3),
        ],
        "running": [running("vision", 0)],
        "run_times": [times("fraud", 10), times("vision", 60)],
    }
    assert drawn(**asked).starts == {
        ("fraud", "f1"): 3600.0, ("fraud", "f2"): 4200.0, ("vision", "v"): 4800.0
    }  # fmt: skip
    used_before = drawn(**asked, usage={"fraud": 3.0})
    assert used_before.starts["vision", "v"] == 3600.0


def test_a_job_that_began_after_the_document_was_written_has_not_run_yet() -> None:
    found = drawn(
        waiting=[waiting("fraud", "f")], running=[running("fraud", -3)],
        run_times=[times("fraud", 10)],
    )  # fmt: skip
    assert found.starts == {("fraud", "f"): 600.0}


def test_a_request_of_a_kind_that_none_has_run_takes_as_long_as_similar_ones() -> None:
    """When it will end is not expected, and yet it ends."""
    found = drawn(
        waiting=[waiting("fraud", "f1"), waiting("fraud", "f2", 2)], run_times=[times("vision", 10)]
    )
    assert found.starts == {("fraud", "f1"): 0.0, ("fraud", "f2"): 600.0}


def test_an_arrival_needs_no_plan_while_another_of_its_sort_waits() -> None:
    """Of two alike, the first starts in 10 minutes. Those that arrive stand behind the second."""
    arrivals = [{"team": "fraud", "at": at(5 * n), "template": "cpu"} for n in range(12, 0, -1)]
    found = drawn(
        waiting=[waiting("fraud", "f1"), waiting("fraud", "f2", 2)],
        running=[running("vision", 0)], arrivals=arrivals,
        run_times=[times("vision", 10), times("fraud", 60)],
    )  # fmt: skip
    assert found.starts == {("fraud", "f1"): 600.0, ("fraud", "f2"): 4200.0}
    assert found.plans == 3, "at the beginning, and at each end"
