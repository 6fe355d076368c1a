"""Which reservations are made: what cannot be met keeps nothing from others."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_dispatcher.contract.documents.capacity import WaitKind
from hpo_dispatcher.scheduling.reservations import Reservations
from hpo_dispatcher.scheduling.snapshot import SLOTS, Head, ReservationTimer, RunningJob
from tests.support.scheduling_scene import (
    G5,
    M5,
    ago,
    decide,
    heads_of,
    queued,
    reason,
    running,
    running_jobs_of,
    started,
)

OVERDUE = ReservationTimer(since=ago(10_080), passed_at=ago(31))


def test_a_reservation_that_a_foreign_job_prevents_keeps_nothing() -> None:
    big, small = queued("a", "big", 9, {M5: 20}), queued("b", "small", 0, {M5: 1})
    decided = decide(
        big, small, running=running(None, 1, {M5: 1}), instances={M5: 20},
        timers={big.key: OVERDUE}, a={}, b={},
    )  # fmt: skip
    assert started(decided) == [small.key]
    assert decided.reservation_timers[big.key].passed_at == OVERDUE.passed_at


def test_the_reservation_stands_once_the_foreign_job_has_ended() -> None:
    big, small = queued("a", "big", 9, {M5: 20}), queued("b", "small", 0, {M5: 1})
    decided = decide(
        big, small, running=running("b", 1, {M5: 1}), instances={M5: 20},
        timers={big.key: OVERDUE}, a={}, b={},
    )  # fmt: skip
    assert started(decided) == []
    assert reason(decided, "small").endswith("reserved for a/big")


def test_a_team_at_its_own_ceiling_keeps_nothing_from_other_teams() -> None:
    big, small = queued("a", "big", 9, {M5: 10}), queued("b", "small", 0, {M5: 1})
    decided = decide(
        big, small, running=running("a", 1, {M5: 10}), instances={M5: 20},
        timers={big.key: OVERDUE}, a={"ceiling": 0.5}, b={},
    )  # fmt: skip
    assert started(decided) == [small.key]


def test_every_overdue_request_of_several_teams_has_a_reservation() -> None:
    gpu, cpu = queued("a", "gpu", 9, {G5: 4}), queued("b", "cpu", 9, {M5: 20})
    small = [queued("c", "g", 5, {G5: 1}), queued("c", "m", 4, {M5: 1})]
    decided = decide(
        gpu, cpu, *small, running=running("d", 1, {G5: 1, M5: 1}), instances={G5: 4, M5: 20},
        timers={gpu.key: OVERDUE, cpu.key: OVERDUE},
    )  # fmt: skip
    assert started(decided) == []
    assert reason(decided, "g").endswith("reserved for a/gpu")
    assert reason(decided, "m").endswith("reserved for b/cpu")


def test_a_request_that_never_fits_takes_neither_the_place_nor_the_reservation_of_the_next() -> (
    None
):
    never, big = queued("a", "never", 99, {M5: 99}), queued("a", "big", 9, {M5: 8})
    small = queued("b", "small", 0, {M5: 1})
    decided = decide(
        never, big, small, running=running("b", 1, {M5: 3}), instances={M5: 10},
        timers={big.key: OVERDUE}, a={}, b={},
    )  # fmt: skip
    assert started(decided) == []
    assert reason(decided, "small").endswith("reserved for a/big")
    kinds = {wait.head.request_id: wait.reason.kind for wait in decided.waits}
    assert kinds["never"] is WaitKind.NEVER_FITS
    assert never.key not in decided.reservation_timers


def test_guarantees_that_cannot_all_be_met_are_met_in_proportion() -> None:
    for shares, expected in (((0.5, 0.5), (25, 25)), ((0.6, 0.3), (33, 17))):
        heads = [queued(team, f"{team}{n}") for team in "ab" for n in range(60)]
        decided = decide(
            *heads, running=running(None, 50),
            a={"guaranteed_share": shares[0]}, b={"guaranteed_share": shares[1]},
        )  # fmt: skip
        by_team = Counter(team for team, _ in started(decided))
        assert (by_team["a"], by_team["b"]) == expected


@pytest.mark.parametrize(("a", "b", "first"), [(5, 30, "b"), (5, 60, "a"), (2, 30, "a")])
@pytest.mark.parametrize("of_a", [1, 99])
def test_the_team_that_has_the_smaller_part_of_its_guarantee_comes_first(
    a: int, b: int, first: str, of_a: float
) -> None:
    """Of ten G5 and of a hundred M5 instances half are guaranteed; the weights do not matter.

    An instance type without a limit does not count.
    """
    jobs = [
        *running("a", 1, {G5: a, "unlimited": 999}), *running("b", 1, {M5: b}),
        *running("c", 7),
    ]  # fmt: skip
    decided = decide(
        queued("a", "a", 1), queued("b", "b", 2), running=jobs, slots=10,
        instances={G5: 10, M5: 100}, a={"guaranteed_share": 0.5, "weight": of_a},
        b={"guaranteed_share": 0.5},
    )  # fmt: skip
    assert started(decided) == [(first, first)]


def test_a_guarantee_does_not_let_a_low_priority_pass_a_higher_one_of_the_team() -> None:
    high = queued("a", "high", 0, {M5: 6}, priority=9)
    low = [queued("a", f"low{n}", 5, {M5: 1}) for n in range(5)]
    decided = decide(high, *low, instances={M5: 10}, a={"guaranteed_share": 0.5})
    assert started(decided)[0] == high.key


def test_a_guarantee_for_a_full_type_idles_no_slots() -> None:
    gpus = [queued("a", f"g{n}", 9, {G5: 1}) for n in range(50)]
    cpus = [queued("b", f"m{n}", 0, {M5: 1}) for n in range(100)]
    for user in (None, "c"):  # whether their ends are known or not
        decided = decide(
            *gpus, *cpus, running=running(user, 1, {G5: 100}), instances={G5: 100, M5: 100},
            slots=101, a={"guaranteed_share": 0.5}, b={},
        )  # fmt: skip
        assert Counter(team for team, _ in started(decided)) == {"b": 100}


def test_a_guarantee_does_not_favor_a_request_that_is_larger_than_it() -> None:
    large, small = queued("a", "large", 0, {M5: 15}), queued("b", "small", 5, {M5: 10})
    decided = decide(large, small, instances={M5: 20}, a={"guaranteed_share": 0.1}, b={})
    assert started(decided) == [small.key]


@given(heads_of, running_jobs_of, st.integers(0, 30), st.integers(0, 30))
def test_a_request_that_fits_starts_if_nothing_is_reserved_and_no_ceiling_is_reached(
    heads: list[Head], running_jobs: list[RunningJob], slots: int, instances: int
) -> None:
    limits = {SLOTS: slots, M5: instances, G5: 9}
    decided = decide(
        *heads, running=running_jobs, slots=slots, instances={M5: instances, G5: 9},
        a={}, b={}, c={},
    )  # fmt: skip
    used = Counter[str]()
    for each in (*running_jobs, *decided.starts):
        used.update(each.needs)
    for wait in decided.waits:
        needs = {r: n for r, n in wait.head.needs.items() if r in limits}
        assert any(used[r] + n > limits[r] for r, n in needs.items())


@given(heads_of, running_jobs_of, st.integers(0, 30), st.integers(0, 30))
def test_of_equal_requests_of_a_team_the_first_in_its_queue_starts_first(
    heads: list[Head], running_jobs: list[RunningJob], slots: int, instances: int
) -> None:
    timers = {head.key: ReservationTimer(since=ago(2_000)) for head in heads}
    decided = decide(
        *heads, running=running_jobs, slots=slots, instances={M5: instances, G5: 9},
        timers=timers, a={"guaranteed_share": 0.3}, b={"guaranteed_share": 0.2}, c={},
    )  # fmt: skip
    begun = {head.key for head in decided.starts}
    waiting: set[tuple[str, object]] = set()
    for head in heads:
        if head.key not in begun:
            waiting.add((head.team, head.shape))
        else:
            assert (head.team, head.shape) not in waiting


def kept(reservations: Reservations, head: Head) -> tuple[dict[str, int], dict[str, int]]:
    """Return what is reserved before a head: in all, and by its team."""
    before, of_team = reservations.before(head), reservations.of_team_before(head)
    return {k: n for k, n in before.items() if n}, {k: n for k, n in of_team.items() if n}


def three() -> tuple[Reservations, Head, Head, Head]:
    """Return the reservations of a/1, b/2 and a/3."""
    first, second = queued("a", "1", 9, {M5: 1}), queued("b", "2", 8, {M5: 2})
    third, reservations = queued("a", "3", 7, {M5: 4}), Reservations()
    for head in (first, second, third):
        reservations.add(head, head.instances, head.instances)
    return reservations, first, second, third


def test_a_reservation_comes_after_those_before_it_and_before_everything_else() -> None:
    reservations, first, second, third = three()
    assert kept(reservations, first) == ({}, {})
    assert kept(reservations, second) == ({M5: 1}, {})
    assert kept(reservations, third) == ({M5: 3}, {M5: 1})
    assert kept(reservations, queued("a", "other")) == ({M5: 7}, {M5: 5})
    assert reservations.of_resource(M5, third) == [first.key, second.key]
    assert reservations.of_resource(G5, third) == []
    assert reservations.kept_for("a") == {M5: 5}


def test_a_reservation_that_ends_is_before_no_other_any_more() -> None:
    reservations, first, second, third = three()
    reservations.end(first.key)
    assert kept(reservations, second) == ({}, {})
    assert kept(reservations, third) == ({M5: 2}, {})
    assert kept(reservations, queued("a", "other")) == ({M5: 6}, {M5: 4})
    assert (len(reservations), first in reservations) == (2, False)
    assert reservations.kept_for("a") == {M5: 4}


def test_a_request_has_one_reservation() -> None:
    reservations, first, _, _ = three()
    reservations.add(first, {M5: 9}, {M5: 9})
    assert (len(reservations), reservations.total) == (3, {M5: 7})


def test_a_wider_reservation_keeps_its_place_and_the_larger_of_both_amounts() -> None:
    reservations, first, second, third = three()
    reservations.widen(second, {M5: 5, G5: 1})
    assert kept(reservations, first) == ({}, {})
    assert kept(reservations, second) == ({M5: 1}, {})
    assert kept(reservations, third)[0] == {M5: 6, G5: 1}
    assert reservations.total == {M5: 10, G5: 1}
    assert reservations.kept_for("b") == {M5: 5, G5: 1}
    reservations.widen(second, {M5: 1})
    assert reservations.total == {M5: 10, G5: 1}
    reservations.end(second.key)  # all of it is given up
    assert kept(reservations, third)[0] == {M5: 1}
    assert +reservations.total == {M5: 5}
