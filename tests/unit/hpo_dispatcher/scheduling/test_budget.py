"""The cost guard: what a team's monthly budget holds, and what it lets pass."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_dispatcher.contract.documents.capacity import WaitKind, WaitReason
from hpo_dispatcher.contract.entry import HOUR, Entry, RunningEntry, Spent, Status
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpo_dispatcher.scheduling.budget import Budget, budgets, over_budget, spent_by
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload
from tests.support.dispatcher_account import Account, ample_time
from tests.support.killed_dispatcher import Killed, KilledAt, much_later

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TEN = {"fraud": TeamSettings(monthly_instance_hours=10), "vision": TeamSettings()}


def entry(request_id: str, hours: float) -> Entry:
    return Entry(
        team="fraud", request_id=request_id, status=Status.QUEUED, accepted_at=NOON,
        most_instance_seconds=round(hours * HOUR),
    )  # fmt: skip


def job(hours: float, started_at: datetime = NOON, instances: int = 2) -> RunningEntry:
    return RunningEntry(
        tuning_job_name="j", team="fraud", request_id="j", status=Status.IN_PROGRESS,
        instances={"ml.m5.large": instances}, started_at=started_at,
        most_instance_seconds=round(hours * HOUR),
    )  # fmt: skip


def budget(spent: float = 0, set_aside: float = 0, allowed: float = 10) -> Budget:
    return Budget(
        month="2026-11", allowed=round(allowed * HOUR), spent=round(spent * HOUR),
        set_aside=round(set_aside * HOUR),
    )  # fmt: skip


def test_what_starts_is_set_aside_beside_what_was_before() -> None:
    more = budget(spent=3, set_aside=2).with_more_set_aside(HOUR)
    assert (more.set_aside, more.left) == (3 * HOUR, 4 * HOUR)


def held(of: Budget, *hours: float) -> list[str]:
    """Of requests named by their number, those that are held."""
    line = [entry(str(number), each) for number, each in enumerate(hours)]
    return [request_id for _, request_id in over_budget(line, of)]


def test_a_job_that_may_use_any_of_two_types_has_used_no_more_than_it_ran_at_once() -> None:
    either = {"ml.m5.large": 2, "ml.c5.xlarge": 2, "all training instances": 2}
    used = spent_by(replace(job(hours=10), instances=either), NOON + timedelta(hours=3))
    assert used.instance_seconds == 2 * 3 * HOUR


def test_what_fits_exactly_is_not_held() -> None:
    assert held(budget(spent=3, set_aside=2), 5) == []


def test_what_exceeds_the_rest_is_held_and_says_what_the_rest_consists_of() -> None:
    line = [entry("a", 1), entry("b", 5)]
    assert over_budget(line, budget(spent=3, set_aside=2.5)) == {
        ("fraud", "b"): WaitReason(
            kind=WaitKind.TEAM_BUDGET,
            text="the budget of team fraud is 10 instance-hours a month: 3 spent, 2.5 set aside "
            "for running jobs, 1 for requests before it, up to 5 needed; renewed on 2026-12-01",
        )
    }


def test_a_smaller_request_passes_one_that_is_held_but_takes_nothing_from_one_before_it() -> None:
    assert held(budget(spent=4), 8, 4, 3, 2) == ["0", "2"]


def test_what_no_month_can_give_says_so() -> None:
    (reason,) = over_budget([entry("a", 11)], budget()).values()
    assert reason.kind is WaitKind.NEVER_FITS
    assert reason.text == (
        "needs up to 11 instance-hours, the budget of team fraud is 10 a month: never fits"
    )


def test_a_budget_that_was_lowered_below_what_is_spent_holds_everything() -> None:
    assert held(budget(spent=20), 0.1, 1) == ["0", "1"]


def test_a_team_without_a_budget_has_none_and_a_budget_of_zero_is_one() -> None:
    none = {"fraud": TeamSettings(monthly_instance_hours=0), "vision": TeamSettings()}
    (only,) = budgets(none, {}, [], [], NOON).items()
    assert (only[0], only[1].left) == ("fraud", 0)


def test_what_runs_sets_aside_what_it_can_use_and_what_ended_what_it_used() -> None:
    ended = Spent(team="fraud", month="2026-11", instance_seconds=HOUR)
    of = budgets(TEN, {"fraud": 2 * HOUR}, [job(4)], [ended], NOON)["fraud"]
    assert (of.spent, of.set_aside, of.left) == (3 * HOUR, 4 * HOUR, 3 * HOUR)


def test_a_month_begins_with_nothing_spent_and_what_runs_over_counts_for_the_old_one() -> None:
    first = datetime(2026, 12, 1, tzinfo=UTC)
    ended = Spent(team="fraud", month="2026-11", instance_seconds=HOUR)
    of = budgets(TEN, {}, [job(4), job(2, started_at=first)], [ended], first)["fraud"]
    assert (of.month, of.spent, of.set_aside) == ("2026-12", 0, 2 * HOUR)


def test_a_year_ends_like_a_month() -> None:
    (reason,) = over_budget([entry("a", 1)], replace(budget(spent=10), month="2026-12")).values()
    assert reason.text.endswith("renewed on 2027-01-01")


@pytest.mark.parametrize(
    ("minutes", "used"), [(30, 1.0), (60, 2.0), (600, 3.0), (-1, 0.0)],
)  # fmt: skip
def test_used_are_the_instances_for_as_long_as_it_ran_but_no_more_than_it_can_use(
    minutes: float, used: float
) -> None:
    spent = spent_by(job(3), NOON + timedelta(minutes=minutes))
    assert spent == Spent(team="fraud", month="2026-11", instance_seconds=round(used * HOUR))


@given(
    left=st.integers(-5, 50),
    wanted=st.lists(st.integers(0, 20), max_size=12),
)
def test_what_is_not_held_never_exceeds_the_rest_together(left: int, wanted: list[int]) -> None:
    of = Budget(month="2026-11", allowed=100, spent=100 - left, set_aside=0)
    line = [entry(str(n), each / HOUR) for n, each in enumerate(wanted)]
    reasons = over_budget(line, of)
    going = [each for each in line if each.key not in reasons]
    assert sum(each.most_instance_seconds for each in going) <= max(0, left)
    first = next((each for each in line if each.key in reasons), None)
    before = line[: line.index(first)] if first else line
    if first:
        taken = sum(each.most_instance_seconds for each in before)
        assert first.most_instance_seconds > left - taken, "held only if it does not fit"


# In the cycle


def world(**fraud: Any) -> Simulation:
    """Requests of an hour each that run half of it; a slot for all of them."""
    arrivals = [
        Arrival(at=0, team=team, request_id=f"r{n}", seconds=HOUR / 2)
        for team in ("fraud", "vision")
        for n in range(6)
    ]
    return Simulation(Workload(name="w", arrivals=arrivals, teams={"fraud": fraud, "vision": {}}))


def sent(of: Simulation) -> Dispatcher:
    for arrival in of.workload.arrivals:
        of.send(arrival)
    return of.dispatcher


def running(of: Simulation, team: str) -> int:
    return sum(each.key[0] == team for each in of.sagemaker.running.values())


def reasons(of: Simulation) -> dict[str, str]:
    document = json.loads(of.documents.get("capacity") or "{}")
    return {each["request_id"]: each["reason"] for each in document["waiting"]}


def test_a_team_over_its_budget_waits_and_no_other_does() -> None:
    account = world(monthly_instance_hours=4)
    sent(account).run(ample_time())
    assert (running(account, "fraud"), running(account, "vision")) == (4, 6)
    assert set(reasons(account)) == {"r4", "r5"}
    assert "4 set aside for running jobs" not in reasons(account)["r4"]
    account.dispatcher.run(ample_time())
    assert "0 spent, 4 set aside for running jobs, up to 1 needed" in reasons(account)["r4"]
    document = json.loads(account.documents.get("capacity") or "{}")
    assert document["budgets"] == {
        "fraud": {"month": "2026-01", "instance_hours": 4.0, "spent": 0.0, "set_aside": 4.0}
    }


def test_what_a_job_did_not_use_is_free_again_and_the_next_month_is_a_new_one() -> None:
    account = world(monthly_instance_hours=4)
    sent(account).run(ample_time())
    account.clock.now += timedelta(minutes=30)
    account.sagemaker.end_due()
    account.dispatcher.run(ample_time())
    assert account.requests.spent("2026-01") == {"fraud": 2 * HOUR, "vision": 3 * HOUR}
    assert running(account, "fraud") == 2, "2 of 4 hours are left"
    account.clock.now += timedelta(minutes=30)
    account.sagemaker.end_due()
    account.clock.now = datetime(2026, 2, 1, tzinfo=UTC)
    account.dispatcher.run(ample_time())
    assert account.requests.spent("2026-01")["fraud"] == 3 * HOUR, "in the month it started in"
    assert account.requests.spent("2026-02") == {}
    assert reasons(account) == {}


def test_a_budget_keeps_no_capacity_from_others() -> None:
    """A held request that is overdue reserves nothing: it could not use it."""
    hog = Arrival(at=0, team="fraud", request_id="hog", seconds=HOUR, parallel=8)
    small = [
        Arrival(at=0, team="vision", request_id=f"v{n}", seconds=HOUR / 2, parallel=2)
        for n in range(8)
    ]
    account = Simulation(
        Workload(
            name="w", arrivals=[hog, *small], instances={"ml.m5.large": 8},
            teams={"fraud": {"monthly_instance_hours": 1}, "vision": {}},
        )
    )  # fmt: skip
    sent(account).run(ample_time())
    account.clock.now += timedelta(hours=1)
    account.sagemaker.end_due()
    account.dispatcher.run(ample_time())
    assert running(account, "vision") == 4
    assert "never fits" in reasons(account)["hog"]


def test_small_requests_far_behind_held_ones_still_start() -> None:
    big = [
        Arrival(at=0, team="fraud", request_id=f"big{n}", seconds=HOUR, parallel=9)
        for n in range(150)
    ]
    small = Arrival(at=0, team="fraud", request_id="z-small", seconds=HOUR)
    account = Simulation(
        Workload(
            name="w", arrivals=[*big, small], teams={"fraud": {"monthly_instance_hours": 1}}
        )
    )  # fmt: skip
    sent(account).run(ample_time())
    assert [each.key for each in account.sagemaker.running.values()] == [("fraud", "z-small")]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_cycle_killed_while_it_writes_an_end_counts_it_once(
    account: Account, after: bool
) -> None:
    account.configure(teams={"fraud": {"monthly_instance_hours": 100}, "vision": {}})
    account.request("fraud", "a")
    account.cycle()
    (active,) = account.dispatcher().requests.running()
    assert active.most_instance_seconds == 20 * HOUR / 2
    dying: Any = KilledAt(account.dispatcher().requests, "finish", after=after)
    with pytest.raises(Killed):
        replace(account.dispatcher(), requests=dying).run(ample_time())

    much_later(account.dispatcher())
    much_later(account.dispatcher())

    requests = account.dispatcher().requests
    ended = requests.get("fraud", "a")
    assert ended is not None and ended.started_at and ended.ended_at
    month = f"{ended.started_at:%Y-%m}"
    expected = spent_by(active, ended.ended_at).instance_seconds
    assert requests.spent(month).get("fraud", 0) == expected


def test_a_budget_is_shown_in_hours_to_the_thousandth() -> None:
    shown = Budget(month="2026-01", allowed=36_000, spent=5_000, set_aside=1_000).in_hours()
    assert (shown.instance_hours, shown.spent, shown.set_aside) == (10.0, 1.389, 0.278)
