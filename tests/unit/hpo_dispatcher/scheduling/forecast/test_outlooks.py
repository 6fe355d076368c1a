"""Place, reason and estimate, on an account whose next hours can be worked out by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hpo_dispatcher.contract.documents.capacity import CapacityDocument, QueueLength, WaitKind
from hpo_dispatcher.contract.entry import EarlierJob, Entry, Status, timestamp
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling import wording
from hpo_dispatcher.scheduling.forecast.course import Course, DrawnCourse
from hpo_dispatcher.scheduling.forecast.outlooks import (
    ENOUGH_PLANS,
    LEAST_DRAWS,
    MOST_DRAWS,
    Forecast,
    Outlook,
    Spread,
    drawn_spreads,
)
from hpoq import presentation
from hpoq.simulation.simulate import START, Simulation
from hpoq.simulation.workload import Arrival, Workload
from hpoq.wait_reasons import why

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TEAMS = {"fraud": TeamSettings(), "vision": TeamSettings()}


def waiting(
    team: str, request_id: str, position: int, kind: WaitKind = WaitKind.NEXT_IN_QUEUE
) -> Any:
    accepted_at = timestamp(NOON - timedelta(minutes=30 - position))
    return {
        "team": team, "request_id": request_id, "position": position, "reason": f"text of {kind}",
        "reason_kind": kind,
        "priority": 0, "accepted_at": accepted_at, "instances": {}, "template": "cpu", "rounds": 1,
    }  # fmt: skip


def running(team: str | None, minutes: float | None, rounds: int = 1) -> Any:
    began = {} if minutes is None else {"started_at": timestamp(NOON - timedelta(minutes=minutes))}
    return {"team": team, "instances": {}, "template": "cpu", "rounds": rounds, **began}


def document(*heads: Any, runs: list[Any], slots: int, seconds: list[float], **more: Any) -> Any:
    """One slot of two is fraud's for 4 of its 10 minutes, and so on."""
    return CapacityDocument.model_validate(
        {
            "at": NOON.isoformat(),
            "tuning_jobs": {"limit": slots},
            "waiting": list(heads),
            "running": runs,
            "run_times": [{"team": "fraud", "template": "cpu", "seconds_per_round": seconds}],
            **more,
        }
    )


def outlook(of: Any, team: str, request_id: str) -> Outlook:
    return Forecast(of, TEAMS).of_listed(NOON)[team, request_id]


# Two slots; every job has taken 10 minutes. fraud's job has run for 4 minutes and vision's for 1:
# one slot is free in 6 minutes and the other in 9. In 6 minutes only vision uses a slot, so fraud's
# first request starts. In 9 minutes only fraud does, so vision's starts. fraud's second starts at
# minute 16.
STATED = document(
    waiting("fraud", "f1", 1), waiting("fraud", "f2", 2), waiting("vision", "v1", 1),
    runs=[running("fraud", 4), running("vision", 1)], slots=2, seconds=[600.0] * 5,
)  # fmt: skip


@pytest.mark.parametrize(
    ("team", "request_id", "position", "overall", "minutes"),
    [("fraud", "f1", 1, 1, 6), ("vision", "v1", 1, 2, 9), ("fraud", "f2", 2, 3, 16)],
)
def test_position_and_start_are_as_worked_out_by_hand(
    team: str, request_id: str, position: int, overall: int, minutes: int
) -> None:
    found = outlook(STATED, team, request_id)
    assert (found.position, found.overall) == (position, overall)
    assert (found.earliest, found.starts_in, found.latest) == (minutes * 60,) * 3
    assert found.run_times == 5


@pytest.mark.parametrize(("factor", "starts", "overall"), [(2.0, (120.0,), 6), (0.1, (6.0,), 1)])
def test_a_request_farther_back_starts_in_proportion(
    factor: float, starts: tuple[float, ...], overall: int
) -> None:
    found = Spread((60.0,), 3).extrapolated(factor)
    assert found == Spread(starts, overall)


def test_the_outlook_of_one_listed_request_is_that_of_the_list() -> None:
    forecast = Forecast(STATED, TEAMS)
    for key, found in forecast.of_listed(NOON).items():
        entry = Entry(team=key[0], request_id=key[1], status=Status.QUEUED, accepted_at=NOON)
        assert forecast.of(entry, NOON) == found


def test_the_estimate_counts_from_now_not_from_the_last_cycle() -> None:
    later = Forecast(STATED, TEAMS).of_listed(NOON + timedelta(minutes=2))
    assert later["fraud", "f1"].starts_in == 4 * 60
    past = Forecast(STATED, TEAMS).of_listed(NOON + timedelta(hours=2))
    assert past["fraud", "f1"].starts_in == 0


def test_a_job_of_twice_the_rounds_is_waited_for_twice_as_long() -> None:
    of = document(
        waiting("fraud", "f", 1), runs=[running("fraud", 4, rounds=2)], slots=1, seconds=[600.0] * 5
    )
    assert outlook(of, "fraud", "f").starts_in == 16 * 60


def test_run_times_that_differ_make_the_error() -> None:
    draw = random.Random(1)
    seconds = [draw.uniform(300, 900) for _ in range(20)]
    of = document(waiting("fraud", "f", 1), runs=[running("fraud", 0)], slots=1, seconds=seconds)
    found = outlook(of, "fraud", "f")
    assert found.earliest is not None and found.starts_in is not None and found.latest is not None
    assert 0 <= found.earliest < found.starts_in < found.latest
    assert 300 <= found.starts_in <= 900


def test_the_range_holds_at_least_four_of_five_starts_even_if_nothing_else_comes() -> None:
    """The real run time is one more draw: it is between the extremes of nine in 8 of 10 cases."""
    run_times = [60.0 * minute for minute in range(1, 21)]
    of = document(waiting("fraud", "f", 1), runs=[running("fraud", 0)], slots=1, seconds=run_times)
    held = []
    for seed in range(100):
        found = Forecast(of, TEAMS, seed=seed).of_listed(NOON)["fraud", "f"]
        assert found.earliest is not None and found.latest is not None
        held += [found.earliest <= each <= found.latest for each in run_times]
    assert sum(held) / len(held) >= 0.8


def test_nothing_is_estimated_before_anything_has_ended() -> None:
    of = document(waiting("fraud", "f", 1), runs=[running("fraud", 0)], slots=1, seconds=[])
    assert outlook(of, "fraud", "f") == Outlook(position=1, of_team=1)


@pytest.mark.parametrize("kind", [WaitKind.NEVER_FITS, WaitKind.TEAM_BUDGET])
def test_what_no_end_lets_start_has_no_estimate(kind: WaitKind) -> None:
    """An estimate of the request behind it says nothing about it."""
    of = document(
        waiting("fraud", "f", 1, kind), waiting("fraud", "next", 2),
        runs=[running("vision", 1)], slots=1, seconds=[600.0] * 5,
    )  # fmt: skip
    assert outlook(of, "fraud", "f") == Outlook(position=1, of_team=1)
    assert outlook(of, "fraud", "next").starts_in == 9 * 60


def test_what_others_started_past_the_queue_is_not_expected_to_end() -> None:
    of = document(waiting("fraud", "f", 1), runs=[running(None, None)], slots=1, seconds=[600.0])
    assert outlook(of, "fraud", "f").starts_in is None


def test_farther_back_than_a_cycle_looks_it_is_reckoned_on() -> None:
    queue = QueueLength(queued=40, complete=True, marks=(("0000", 40),))
    of = STATED.model_copy(update={"queues": {"fraud": queue}})
    deep = Entry(team="fraud", request_id="f39", status=Status.QUEUED, accepted_at=NOON)
    found = Forecast(of, TEAMS).of(deep, NOON)
    assert (found.position, found.exact, found.of_team) == (21, False, 40)
    assert found.starts_in == 16 * 60 * 21 / 2
    assert presentation.queue_position(found) == "about 21 of 40, 32 of all teams'"


def test_one_read_makes_the_position_of_one_request_exact() -> None:
    marks = (("0000", 12), ("1000#2026-11-23T11", 28))
    queue = QueueLength(queued=40, complete=True, marks=marks)
    of = STATED.model_copy(update={"queues": {"fraud": queue}})
    deep = Entry(team="fraud", request_id="f39", status=Status.QUEUED, accepted_at=NOON)
    asked: list[tuple[str, str, str]] = []

    def nine(*of_what: str) -> int:
        asked.append((of_what[0], of_what[1], of_what[2]))
        return 9

    found = Forecast(of, TEAMS).of(deep, NOON, nine)
    assert (found.position, found.exact, found.of_team) == (21, True, 40)
    assert asked == [("fraud", "1000#2026-11-23T11", deep.queue_sort_key)]
    unread = Forecast(of, TEAMS).of(deep, NOON, lambda *_: None)
    assert (unread.position, unread.exact) == (27, False)


def test_who_is_held_or_blocked_has_no_position_but_a_reason() -> None:
    entry = Entry(
        team="fraud", request_id="f1", status=Status.QUEUED, accepted_at=NOON, on_hold=True
    )
    assert Forecast(STATED, TEAMS).of(entry, NOON) == Outlook()
    assert why(entry, STATED).startswith("on hold by its team")
    ready = Entry(team="fraud", request_id="f1", status=Status.QUEUED, accepted_at=NOON)
    assert why(ready, STATED) == "text of next in queue"
    assert why(ready, STATED.model_copy(update={"teams_on_hold": ("fraud",)})).startswith(
        "team fraud is on hold"
    )
    assert why(ready, None) == wording.not_examined()


def test_a_refused_request_has_no_expected_start_but_a_next_attempt() -> None:
    entry = Entry(
        team="fraud", request_id="f1", status=Status.QUEUED, accepted_at=NOON, reason="no data"
    )
    found = Forecast(STATED, TEAMS).of(entry, NOON)  # the document is older than the refusal
    assert (found.position, found.starts_in) == (1, None)
    assert why(entry, STATED) == "no data"
    delayed = waiting("fraud", "f1", 1, WaitKind.ACCOUNT_FAULT)
    delayed["reason"] = "no data; tried again at 12:10 UTC"
    next_cycle = document(delayed, runs=[], slots=2, seconds=[600.0] * 5)
    assert why(entry, next_cycle) == "no data; tried again at 12:10 UTC"
    assert Forecast(next_cycle, TEAMS).of(entry, NOON).starts_in is None


def test_the_estimate_is_said_with_its_error() -> None:
    said = Outlook(
        position=3, of_team=12, overall=9, starts_in=1500, earliest=900, latest=2400, run_times=14
    )
    assert presentation.queue_position(said) == "3 of 12, 9 of all teams'"
    assert presentation.expected(said) == "in about 25 min (15 min to 40 min, by 14 run times)"
    soon = replace(said, starts_in=1121, earliest=0, latest=3733)
    assert presentation.expected(soon) == "in about 19 min (0 min to 1 h 02 min, by 14 run times)"


def test_most_requests_start_within_the_error_that_was_stated() -> None:
    """Compare the forecasts of one cycle, three hours into a simulation, with what happens then."""
    draw = random.Random(7)
    arrivals = [
        Arrival(
            at=0, team=("fraud", "vision")[n % 2], request_id=f"r{n}",
            seconds=draw.uniform(20, 40) * 60,
        )
        for n in range(100)
    ]  # fmt: skip
    queue = Simulation(
        Workload(name="forecasts", arrivals=arrivals, teams={"fraud": {}, "vision": {}}, slots=5)
    )
    forecasts: dict[tuple[str, str], Outlook] = {}
    moment = START + timedelta(hours=3)

    def listen(*_: Any) -> None:
        if not forecasts and queue.clock.now >= moment:
            seen = CapacityDocument.parse(queue.documents.get(CAPACITY_DOCUMENT))
            forecasts.update(Forecast(seen, TEAMS).of_listed(queue.clock.now))
            forecasts.update({("at", ""): Outlook(starts_in=queue.clock.now.timestamp())})

    queue.dispatcher = replace(queue.dispatcher, watch=listen)
    report = queue.run()
    at = forecasts.pop(("at", "")).starts_in or 0.0
    began = {(team, id_): START.timestamp() + start for start, team, id_ in report.starts}
    within = [
        each.earliest - 60 <= began[key] - at <= each.latest + 60
        for key, each in forecasts.items()
        if each.earliest is not None and each.latest is not None
    ]
    assert len(within) >= 20
    assert sum(within) >= 0.6 * len(within)


def test_a_preempted_request_says_what_it_waits_for_and_why_it_was_stopped() -> None:
    job = EarlierJob(
        tuning_job_name="j", counters={}, interrupted=1, seconds=1, instance_seconds=1, found=False
    )
    entry = Entry(
        team="fraud", request_id="f1", status=Status.QUEUED, accepted_at=NOON,
        reason="stopped to make room for vision/v", earlier=(job,),
    )  # fmt: skip
    assert why(entry, STATED) == "text of next in queue; stopped to make room for vision/v"
    assert why(replace(entry, request_id="new"), STATED) == "stopped to make room for vision/v"


def queued_entry(request_id: str, **fields: Any) -> Entry:
    given: dict[str, Any] = {"status": Status.QUEUED, "accepted_at": NOON, "team": "fraud"}
    return Entry(request_id=request_id, **(given | fields))


@pytest.mark.parametrize(("counted", "of_team"), [(9, 9), (0, 2)])
def test_a_request_refused_since_has_a_position_and_no_start(counted: int, of_team: int) -> None:
    queue = QueueLength(queued=counted, complete=True, marks=(("0000", counted),))
    of = STATED.model_copy(update={"queues": {"fraud": queue} if counted else {}})
    refused = queued_entry("f2", reason="no role")
    assert Forecast(of, TEAMS).of(refused, NOON) == Outlook(position=2, of_team=of_team)


@pytest.mark.parametrize(
    "entry",
    [
        queued_entry("f1", status=Status.IN_PROGRESS),
        queued_entry("f1", on_hold=True),
        queued_entry("f1", blocked=True),
        queued_entry("f1", team="removed"),
        queued_entry("unknown", team="vision"),  # its queue was never counted
    ],
)
def test_a_request_that_is_in_no_queue_has_no_outlook(entry: Entry) -> None:
    assert Forecast(STATED, TEAMS).of(entry, NOON) == Outlook()


def test_before_the_first_cycle_there_is_no_outlook() -> None:
    assert Forecast(None, TEAMS).of(queued_entry("f1"), NOON) == Outlook()
    assert Forecast(None, TEAMS).of_listed(NOON) == {}


def test_older_requests_go_first_whatever_the_order_of_the_document() -> None:
    """Both teams have used nothing: the request that was accepted first starts first."""
    first, second = waiting("vision", "v", 1), waiting("fraud", "f", 1)
    first["accepted_at"] = timestamp(NOON - timedelta(hours=2))
    for heads in ([first, second], [second, first]):
        of = document(*heads, runs=[running(None, 4)], slots=1, seconds=[600.0] * 5)
        assert outlook(of, "vision", "v").starts_in == 6 * 60
        assert outlook(of, "fraud", "f").starts_in == 16 * 60


def test_a_request_runs_as_long_as_others_of_its_team() -> None:
    """vision's request starts in 6 minutes and takes 20: then fraud's starts."""
    first = waiting("vision", "v", 1) | {"accepted_at": timestamp(NOON - timedelta(hours=2))}
    of = document(
        first, waiting("fraud", "f", 1), runs=[running(None, 4)], slots=1, seconds=[],
        run_times=[
            {"team": team, "template": "cpu", "seconds_per_round": [seconds] * 5}
            for team, seconds in (("fraud", 600.0), ("vision", 1200.0), ("", 600.0))
        ],
    )  # fmt: skip
    assert outlook(of, "vision", "v").starts_in == 6 * 60
    assert outlook(of, "fraud", "f").starts_in == 26 * 60


class CourseOfPlans(Course):
    """A course that takes as many plans as it is told to."""

    plans = 1

    def draw(self, draw: random.Random) -> DrawnCourse:
        return super().draw(draw)._replace(plans=self.plans)


@pytest.mark.parametrize(
    ("plans", "draws"),
    [
        (1, MOST_DRAWS),
        (ENOUGH_PLANS // 19, 20),  # 20 of them take more plans than are enough
        (ENOUGH_PLANS // 8, LEAST_DRAWS),
        (ENOUGH_PLANS, LEAST_DRAWS),
    ],
)
def test_more_courses_are_drawn_as_long_as_they_take_few_plans(plans: int, draws: int) -> None:
    course = CourseOfPlans(STATED, TEAMS)
    course.plans = plans
    spreads = drawn_spreads(course, random.Random(1))
    assert {len(each.starts) for each in spreads.values()} == {draws}


class GivenCourses:
    """A course whose draws are given, one after another, and take many plans."""

    def __init__(self, *starts: dict[tuple[str, str], float]) -> None:
        self.drawn = iter(
            DrawnCourse(starts=each, seconds=900.0, plans=ENOUGH_PLANS) for each in starts
        )

    def draw(self, _: random.Random) -> DrawnCourse:
        return next(self.drawn)

    def position(self, key: tuple[str, str]) -> int:
        return int(key[1][1:])


def test_only_requests_that_start_in_most_draws_have_a_spread_and_start_at_the_end_of_others() -> (
    None
):
    often, rarely, always = ("fraud", "f1"), ("fraud", "f2"), ("vision", "v1")
    starts = [{always: 60.0 * n} for n in range(LEAST_DRAWS)]
    most = LEAST_DRAWS // 2 + 1
    for each in starts[:most]:
        each[often] = 30.0
    for each in starts[: most - 1]:
        each[rarely] = 10.0
    course: Any = GivenCourses(*starts)
    spreads = drawn_spreads(course, random.Random(1))
    assert spreads.keys() == {often, always}
    assert spreads[often].starts == (30.0,) * most + (900.0,) * (LEAST_DRAWS - most)
    assert [spreads[key].overall for key in (often, always)] == [1, 2]


def test_of_requests_that_start_together_the_first_in_its_queue_ranks_first() -> None:
    keys = [("vision", "v1"), ("fraud", "f2"), ("fraud", "f1"), ("audio", "a2")]
    starts = [dict.fromkeys(keys, 60.0) | {("vision", "v0"): 61.0} for _ in range(LEAST_DRAWS)]
    course: Any = GivenCourses(*starts)
    spreads = drawn_spreads(course, random.Random(1))
    assert [key[1] for key in spreads] == ["f1", "v1", "a2", "f2", "v0"]
    assert [each.overall for each in spreads.values()] == [1, 2, 3, 4, 5]


def test_without_settings_requests_of_every_team_have_an_outlook() -> None:
    assert Forecast(STATED, {}).of(queued_entry("f1"), NOON).position == 1
    assert Forecast(STATED, {}).of(queued_entry("f1"), NOON).starts_in == 6 * 60
