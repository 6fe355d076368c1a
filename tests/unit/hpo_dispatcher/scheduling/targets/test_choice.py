"""Plans over several targets: which target a request takes, and what holds over all of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.plan import Plan, plan
from hpo_dispatcher.scheduling.snapshot import (
    Capacity,
    Head,
    ReservationTimer,
    RunningJob,
    Snapshot,
)
from tests.support.scheduling_scene import G5, M5, NOON, ago, queued, reason, running

HOME, RESEARCH, EU = "home", "research", "eu"
ALL = (HOME, RESEARCH, EU)


def on(*targets: str, head: Head) -> Head:
    return replace(head, targets=targets)


def jobs(team: str | None, count: int, target: str, **fields: Any) -> list[RunningJob]:
    return [
        replace(job, tuning_job_name=f"{target}-{job.tuning_job_name}", target=target)
        for job in running(team, count, **fields)
    ]


def capacity(
    slots: int = 10,
    *,
    instances: dict[str, dict[str, int]] | None = None,
    preferences: dict[str, float] | None = None,
    teams: dict[str, tuple[str, ...]] | None = None,
) -> Capacity:
    def of(name: str) -> Capacity:
        return Capacity(
            tuning_jobs=slots,
            instances=(instances or {}).get(name, {}),
            preference=(preferences or {}).get(name, 1.0),
            teams=(teams or {}).get(name, ()),
        )

    return replace(of(HOME), targets={name: of(name) for name in (RESEARCH, EU)})


def decide(
    *heads: Head,
    of: Capacity | None = None,
    busy: list[RunningJob] | None = None,
    timers: dict[tuple[str, str], ReservationTimer] | None = None,
    promised: dict[tuple[str, str], str] | None = None,
    **teams: dict[str, Any],
) -> Plan:
    queues: dict[str, list[Head]] = {}
    for head in heads:
        queues.setdefault(head.team, []).append(head)
    snapshot = Snapshot(
        now=NOON,
        running_jobs=busy or [],
        queues=queues,
        reservation_timers=timers or {},
        promised=frozenset(promised or {}),
        freed_on=promised or {},
    )
    known = {team: TeamSettings(**fields) for team, fields in teams.items()}
    return plan(snapshot, of or capacity(), known)


def places(decided: Plan) -> dict[str, str]:
    return {head.request_id: head.target for head in decided.starts}


@pytest.mark.parametrize(
    ("targets", "busy", "preferences", "chosen"),
    [
        pytest.param(ALL, {}, {}, HOME, id="all idle: as the request names them"),
        pytest.param((EU, HOME), {}, {}, EU, id="the order of the request decides a tie"),
        pytest.param(ALL, {HOME: 1}, {}, RESEARCH, id="the lowest load"),
        pytest.param(ALL, {HOME: 2, RESEARCH: 3, EU: 1}, {}, EU, id="the lowest load of three"),
        pytest.param(ALL, {EU: 9}, {EU: 2.0}, EU, id="preference before load"),
        pytest.param(ALL, {EU: 10}, {EU: 2.0}, HOME, id="fits now before preference"),
        pytest.param((HOME,), {HOME: 9}, {EU: 2.0}, HOME, id="only where it may run"),
        pytest.param((RESEARCH,), {}, {}, RESEARCH, id="only elsewhere"),
    ],
)
def test_the_choice_of_a_target(
    targets: tuple[str, ...],
    busy: dict[str, int],
    preferences: dict[str, float],
    chosen: str,
) -> None:
    head = on(*targets, head=queued("a"))
    jobs_there = [job for name, n in busy.items() for job in jobs("b", n, name)]
    decided = decide(head, of=capacity(preferences=preferences), busy=jobs_there)
    assert places(decided) == {"r": chosen}


def test_instances_count_on_the_target_only() -> None:
    head = on(HOME, RESEARCH, head=queued("a", instances={M5: 4}))
    of = capacity(instances={HOME: {M5: 3}, RESEARCH: {M5: 4}})
    assert places(decide(head, of=of)) == {"r": RESEARCH}


def test_requests_spread_over_equal_targets() -> None:
    heads = [on(*ALL, head=queued("a", f"r{n}", minutes_ago=100 - n)) for n in range(30)]
    decided = decide(*heads)
    assert Counter(places(decided).values()) == dict.fromkeys(ALL, 10)


def test_a_full_target_delays_only_what_must_run_there() -> None:
    heads = [
        on(RESEARCH, head=queued("a", "must", minutes_ago=9)),
        on(RESEARCH, EU, head=queued("a", "may", minutes_ago=8)),
        on(HOME, head=queued("a", "elsewhere", minutes_ago=7)),
    ]
    decided = decide(*heads, busy=jobs("b", 10, RESEARCH))
    assert places(decided) == {"may": EU, "elsewhere": HOME}
    assert reason(decided, "must") == "research/tuning jobs 10/10 in use, 1 needed; used by: b 10"


def test_a_waiting_request_names_each_of_its_targets() -> None:
    head = on(HOME, EU, head=queued("a"))
    decided = decide(head, busy=[*jobs("b", 10, HOME), *jobs("b", 10, EU)])
    assert reason(decided, "r") == (
        "tuning jobs 10/10 in use, 1 needed; used by: b 10; "
        "eu/tuning jobs 10/10 in use, 1 needed; used by: b 10"
    )


def test_a_request_never_fits_if_it_fits_no_target() -> None:
    of = capacity(instances={HOME: {M5: 2}, EU: {M5: 3}})
    head = on(HOME, EU, head=queued("a", instances={M5: 4}))
    behind = on(HOME, EU, head=queued("a", "behind", instances={M5: 1}))
    decided = decide(head, behind, of=of)
    assert "never fits" in reason(decided, "r")
    assert places(decided) == {"behind": HOME}


def test_the_turn_counts_what_teams_use_of_all_targets() -> None:
    """Team a uses 5 of 30 slots, all on one target; b uses 6, two on each. One slot is free."""
    busy = jobs("a", 5, HOME) + [job for each in ALL for job in jobs("b", 2, each)]
    busy += jobs("c", 3, HOME) + jobs("c", 8, RESEARCH) + jobs("c", 7, EU)
    heads = [on(*ALL, head=queued(team, team, minutes_ago=at)) for team, at in (("b", 9), ("a", 1))]
    assert places(decide(*heads, busy=busy)) == {"a": EU}


def test_a_ceiling_holds_on_each_target() -> None:
    heads = [on(*ALL, head=queued("a", f"r{n}", minutes_ago=100 - n)) for n in range(30)]
    decided = decide(*heads, a={"ceiling": 0.3})
    assert Counter(places(decided).values()) == dict.fromkeys(ALL, 3)


def test_a_guarantee_holds_on_each_target() -> None:
    """Team b has filled all targets but its own idle slots; a's guarantee is kept on each."""
    borrowed = [on(*ALL, head=queued("b", f"b{n}", minutes_ago=100 - n)) for n in range(40)]
    decided = decide(*borrowed, a={"guaranteed_share": 0.4, "lend": 0.0}, b={})
    assert Counter(places(decided).values()) == dict.fromkeys(ALL, 6)


def test_a_guarantee_is_not_kept_where_its_team_may_not_run() -> None:
    borrowed = [on(EU, head=queued("b", f"b{n}", minutes_ago=100 - n)) for n in range(40)]
    of = capacity(teams={EU: ("b",)})
    decided = decide(*borrowed, of=of, a={"guaranteed_share": 0.4, "lend": 0.0}, b={})
    assert len(decided.starts) == 10


def test_a_reservation_stays_on_its_target() -> None:
    """Its request needs 4; research has less free than home by now, but it was promised there."""
    big = on(HOME, RESEARCH, head=queued("a", "big", minutes_ago=90, instances={M5: 4}))
    small = [on(HOME, head=queued("b", f"s{n}", instances={M5: 1})) for n in range(3)]
    small += [on(RESEARCH, head=queued("c", f"t{n}", instances={M5: 1})) for n in range(3)]
    of = capacity(instances={HOME: {M5: 4}, RESEARCH: {M5: 4}})
    busy = [
        *jobs("b", 2, HOME, instances={M5: 1}, started_at=ago(10)),
        *jobs("c", 3, RESEARCH, instances={M5: 1}, started_at=ago(10)),
    ]
    timer = ReservationTimer(
        since=ago(90), passed_at=ago(60), reserved_at=ago(20), target=RESEARCH
    )  # fmt: skip
    decided = decide(big, *small, of=of, busy=busy, timers={big.key: timer})
    assert places(decided) == {"s0": HOME, "s1": HOME}, "research is kept for the big one"
    assert decided.reservation_timers[big.key].target == RESEARCH


def test_a_reserved_request_may_start_on_another_target() -> None:
    big = on(HOME, RESEARCH, head=queued("a", "big", minutes_ago=90, instances={M5: 4}))
    of = capacity(instances={HOME: {M5: 4}, RESEARCH: {M5: 4}})
    timer = ReservationTimer(
        since=ago(90), passed_at=ago(60), reserved_at=ago(20), target=RESEARCH
    )  # fmt: skip
    busy = jobs("c", 3, RESEARCH, instances={M5: 1})
    assert places(decide(big, of=of, busy=busy, timers={big.key: timer})) == {"big": HOME}


def test_a_job_is_preempted_on_a_target_of_the_request_that_needs_it() -> None:
    busy = [
        replace(job, request_id=job.tuning_job_name, started_at=ago(90), resume_blocker="")
        for each in ALL
        for job in jobs("b", 10, each)
    ]
    head = on(RESEARCH, head=queued("a"))
    decided = decide(head, busy=busy, a={"guaranteed_share": 0.3}, b={"preemptible": True})
    assert [stop.job.target for stop in decided.stops] == [RESEARCH]


STOPS = {"preemptible": True}


def test_a_job_is_preempted_on_another_target_if_none_of_the_first_can_be_resumed() -> None:
    busy = [
        replace(job, request_id=job.tuning_job_name, started_at=ago(90), resume_blocker=blocker)
        for target, blocker in ((HOME, "it searches by itself"), (EU, ""))
        for job in jobs("b", 10, target)
    ]
    head = on(HOME, EU, head=queued("b", priority=1))
    assert [stop.job.target for stop in decide(head, busy=busy, b=STOPS).stops] == [EU]


def lent(blocked: str, *targets: str) -> list[RunningJob]:
    """Return jobs of team b that fill targets; those on one of them cannot be resumed."""
    return [
        replace(
            job,
            request_id=job.tuning_job_name,
            started_at=ago(90),
            resume_blocker="it searches by itself" if target == blocked else "",
        )
        for target in targets
        for job in jobs("b", 10, target)
    ]


def test_a_guarantee_takes_back_what_is_lent_on_any_target_of_the_request() -> None:
    head = on(HOME, EU, head=queued("a"))
    decided = decide(head, busy=lent(HOME, HOME, EU), a={"guaranteed_share": 0.3}, b=STOPS)
    assert [stop.job.target for stop in decided.stops] == [EU]


def test_a_guarantee_takes_back_no_more_on_all_targets_than_it_covers_there() -> None:
    heads = [on(HOME, EU, head=queued("a", f"r{n}", minutes_ago=9 - n)) for n in range(9)]
    decided = decide(*heads, busy=lent("", HOME, EU), a={"guaranteed_share": 0.3}, b=STOPS)
    taken = Counter(stop.job.target for stop in decided.stops)
    assert taken == {HOME: 3, EU: 3}, "three of ten are guaranteed on each"
    assert len({stop.head.key for stop in decided.stops}) == 6


def test_what_a_preempted_job_frees_is_kept_on_its_target() -> None:
    head = on(HOME, EU, head=queued("a", "promised", minutes_ago=1, instances={M5: 2}))
    other = on(EU, head=queued("b", "other", minutes_ago=50, instances={M5: 1}))
    of = capacity(instances={HOME: {M5: 2}, EU: {M5: 2}})
    busy = [*jobs("c", 1, HOME, instances={M5: 1}), *jobs("c", 1, EU, instances={M5: 1})]
    decided = decide(head, other, of=of, busy=busy, promised={head.key: EU})
    assert places(decided) == {}, "the slot on eu is kept for the promised request"


drawn_heads = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(0, 120),
        st.dictionaries(st.sampled_from([M5]), st.integers(1, 6), max_size=1),
        st.lists(st.sampled_from(ALL), min_size=1, max_size=3, unique=True),
    ),
    max_size=40,
)
drawn_jobs = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(ALL), st.integers(1, 4)),
    max_size=8,
)


@given(drawn_heads, drawn_jobs, st.sampled_from([0.3, 0.7, 1.0]), st.sampled_from([0.0, 0.25]))
@settings(max_examples=60, deadline=None)
def test_no_plan_exceeds_a_limit_or_leaves_idle_what_fits(
    drawn: list[tuple[str, int, dict[str, int], list[str]]],
    busy: list[tuple[str | None, str, int]],
    ceiling: float,
    guaranteed: float,
) -> None:
    heads = [
        on(*targets, head=queued(team, f"r{n}", minutes, instances))
        for n, (team, minutes, instances, targets) in enumerate(drawn)
    ]
    there = [
        RunningJob(tuning_job_name=f"j{n}", team=team, instances={M5: amount}, target=target)
        for n, (team, target, amount) in enumerate(busy)
    ]
    of = capacity(6, instances={name: {M5: 8} for name in ALL})
    teams = {team: {"ceiling": ceiling, "guaranteed_share": guaranteed} for team in "abc"}
    decided = decide(*heads, of=of, busy=there, **teams)
    slots = Counter(job.target for job in there)
    used = Counter[str]()
    of_team = Counter[tuple[str | None, str]]()
    for job in there:
        used[job.target] += job.instances[M5]
        of_team[job.team, job.target] += 1
    before = slots.copy(), used.copy()
    for head in decided.starts:
        slots[head.target] += 1
        used[head.target] += head.instances.get(M5, 0)
        of_team[head.team, head.target] += 1
        allowed = next(each for each in heads if each.key == head.key).targets
        assert head.target in allowed
        assert of_team[head.team, head.target] <= 6 * ceiling + 1e-9
    for name in ALL:
        assert slots[name] <= max(6, before[0][name])
        assert used[name] <= max(8, before[1][name])
    assert len({head.key for head in decided.starts}) == len(decided.starts)
    if ceiling == 1.0 and not guaranteed:  # nothing is reserved: no timer is due
        for wait in decided.waits:
            for name in wait.head.targets:
                amount = wait.head.instances.get(M5, 0)
                assert slots[name] >= 6 or used[name] + amount > 8


@given(drawn_heads)
@settings(max_examples=30, deadline=None)
def test_one_target_is_planned_as_before_there_were_targets(
    drawn: list[tuple[str, int, dict[str, int], list[str]]],
) -> None:
    """All on one other target gives the plan of home, but for the name."""
    heads = [queued(team, f"r{n}", at, needs) for n, (team, at, needs, _) in enumerate(drawn)]
    of = capacity(6, instances={name: {M5: 8} for name in ALL})
    at_home = decide(*heads, of=of, a={"weight": 2.0}, b={"ceiling": 0.5})
    there = [on(EU, head=head) for head in heads]
    elsewhere = decide(*there, of=of, a={"weight": 2.0}, b={"ceiling": 0.5})
    assert [head.key for head in at_home.starts] == [head.key for head in elsewhere.starts]
    assert {head.target for head in elsewhere.starts} <= {EU}


def test_nothing_is_reserved_for_a_request_while_foreign_jobs_prevent_it_on_each_target() -> None:
    head = on(*ALL, head=queued("a", "big", 90, {M5: 4}))
    busy = [job for name in ALL for job in jobs(None, 1, name, instances={M5: 1})]
    small = queued("b", "small", instances={M5: 1})
    overdue = {head.key: ReservationTimer(since=ago(90), passed_at=ago(60))}
    of = capacity(instances={name: {M5: 4} for name in ALL})
    decided = decide(head, small, of=of, busy=busy, timers=overdue)
    assert places(decided) == {"small": HOME}


def test_nothing_starts_on_targets_without_slots() -> None:
    decided = decide(on(*ALL, head=queued("a")), of=capacity(slots=0))
    assert places(decided) == {}


def test_a_head_is_placed_only_on_targets_where_it_may_run() -> None:
    head = on(HOME, EU, head=queued("a"))
    assert (head.on(EU).target, head.on(RESEARCH)) == (EU, head)


def test_the_capacity_of_a_target_is_its_own() -> None:
    of = capacity(preferences={EU: 2.0})
    assert [of.on(HOME), of.on(EU), of.on("unknown")] == [of, of.targets[EU], None]


def test_what_a_team_does_not_lend_is_kept_on_a_target_that_it_shares_with_another() -> None:
    of = capacity(teams={RESEARCH: ("a", "b")})
    heads = [on(RESEARCH, head=queued("b", f"r{n}", minutes_ago=100 - n)) for n in range(10)]
    decided = decide(*heads, of=of, a={"guaranteed_share": 0.5, "lend": 0}, b={})
    assert len(decided.starts) == 5


def overdue(**reserved: Any) -> ReservationTimer:
    """The timer of a request that others have passed for an hour."""
    return ReservationTimer(since=ago(90), passed_at=ago(60), **reserved)


FOUR_EACH = {HOME: {M5: 4}, RESEARCH: {M5: 4}}


def test_a_new_reservation_is_made_on_the_target_that_is_chosen_now() -> None:
    big = on(HOME, RESEARCH, head=queued("a", "big", 90, {M5: 4}))
    busy = [*jobs("b", 2, HOME, instances={M5: 1}), *jobs("c", 1, RESEARCH, instances={M5: 1})]
    decided = decide(
        big, of=capacity(instances=FOUR_EACH), busy=busy, timers={big.key: overdue()}
    )  # fmt: skip
    assert decided.reservation_timers[big.key].target == RESEARCH, "research has the lower load"


def test_a_reservation_leaves_its_target_once_it_cannot_be_met_there() -> None:
    """A foreign job that may never end now uses an instance on research."""
    big = on(HOME, RESEARCH, head=queued("a", "big", 90, {M5: 4}))
    busy = [*jobs("b", 2, HOME, instances={M5: 1}), *jobs(None, 1, RESEARCH, instances={M5: 1})]
    timers = {big.key: overdue(reserved_at=ago(20), target=RESEARCH)}
    decided = decide(big, of=capacity(instances=FOUR_EACH), busy=busy, timers=timers)
    after = decided.reservation_timers[big.key]
    assert (after.target, after.reserved_at) == (HOME, ago(20))


def test_what_is_reserved_on_a_target_counts_as_its_load() -> None:
    """Of research's nine instances two are in use and three reserved, of home's three in use."""
    big = on(RESEARCH, head=queued("a", "big", 90, {M5: 3, G5: 1}))
    small = on(RESEARCH, HOME, head=queued("b", "small", 10, {M5: 1}))
    busy = [
        *jobs("c", 1, RESEARCH, instances={M5: 2, G5: 1}),
        *jobs("d", 1, HOME, instances={M5: 3}),
    ]
    of = capacity(instances={HOME: {M5: 9}, RESEARCH: {M5: 9, G5: 1}})
    assert places(decide(small, of=of, busy=busy)) == {"small": RESEARCH}
    decided = decide(big, small, of=of, busy=busy, timers={big.key: overdue()})
    assert places(decided) == {"small": HOME}


def test_a_target_without_a_quota_for_the_type_is_loaded_by_its_slots_only() -> None:
    head = on(HOME, RESEARCH, head=queued("a", instances={M5: 1}))
    busy = [*jobs("b", 1, HOME, instances={M5: 50}), *jobs("b", 2, RESEARCH)]
    assert places(decide(head, busy=busy)) == {"r": HOME}
