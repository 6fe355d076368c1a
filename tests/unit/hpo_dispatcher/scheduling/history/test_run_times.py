"""What is remembered of how long tuning jobs ran."""

from __future__ import annotations

import pytest

from hpo_dispatcher.scheduling.history.run_times import (
    ENOUGH_TO_BORROW,
    KINDS,
    MOST_SAMPLES,
    OUTLASTED,
    RATIOS,
    SAMPLES,
    RunTimes,
    Work,
    alike,
)

CPU = Work(team="fraud", template="cpu")


def remembered(*seconds: float, work: Work = CPU) -> RunTimes:
    times = RunTimes()
    for each in seconds:
        times.record(work, each)
    return times


def test_nothing_is_expected_before_anything_has_ended() -> None:
    assert RunTimes().of(CPU) == []


def test_a_kind_is_known_by_its_own_run_times() -> None:
    times = remembered(100, 200, 300)
    for each in (7, 8, 9):
        times.record(Work(team="vision", template="gpu"), each)
    assert times.of(CPU) == [100, 200, 300]


def test_a_request_of_twice_the_rounds_is_expected_to_run_twice_as_long() -> None:
    times = remembered(100, 200, 300, work=Work(team="fraud", template="cpu", rounds=2))
    assert times.of(Work(team="fraud", template="cpu", rounds=4)) == [200, 400, 600]


def test_a_new_kind_borrows_from_its_template_then_its_team_then_all() -> None:
    times = remembered(100, 200, 300)
    assert times.of(Work(team="vision", template="cpu")) == [100, 200, 300]
    assert times.of(Work(team="fraud", template="gpu")) == [100, 200, 300]
    assert times.of(Work(team="vision", template="gpu")) == [100, 200, 300]


@pytest.mark.parametrize(("seconds", "kept"), [(100, 100), (0.5, 0.5), (0, 0), (-5, 0)])
def test_one_run_time_is_better_than_none_and_none_is_below_zero(
    seconds: float, kept: float
) -> None:
    assert remembered(seconds).of(CPU) == [kept]


def test_only_the_newest_are_kept() -> None:
    times = remembered(*range(100))
    assert times.of(CPU) == list(range(100 - SAMPLES, 100))


def test_the_kind_not_seen_for_longest_is_forgotten() -> None:
    times = RunTimes()
    for number in range(KINDS):
        times.record(Work(team="fraud", template=f"t{number}"), 1)
    times.record(Work(team="fraud", template="t0"), 1)
    times.record(Work(team="fraud", template="new"), 1)
    kinds = {template for _, template in times.kinds}
    assert len(kinds) == KINDS
    assert "t0" in kinds
    assert "t1" not in kinds


def test_the_document_holds_all_of_it() -> None:
    times = remembered(100, 200)
    times.record(Work(team="vision", template="gpu"), 50, stated=100)
    times.record(Work(team="vision", template="gpu"), 50, most=3600)
    assert RunTimes.from_published(times.published()) == times


def test_maximum_run_times_are_remembered_with_the_run_times() -> None:
    gpu, other = Work(team="vision", template="gpu", rounds=2), Work(team="fraud", template="gpu")
    times = RunTimes({("vision", "gpu"): [10.0]})  # of a version that did not remember them
    times.record(gpu, 200, most=7200)
    times.record(gpu, 9000, most=2 * 86_400)
    times.record(other, 300, most=3600)
    assert times.by_team("gpu", 3600) == {"vision": [100], "fraud": [300]}
    assert times.by_team("gpu", 86_400) == {"vision": [4500], "fraud": []}
    assert times.by_team("gpu", 0) == {"vision": [10], "fraud": []}
    for _ in range(SAMPLES):
        times.record(gpu, 60, most=600)
    assert times.by_team("gpu", 300) == {"vision": [30] * SAMPLES, "fraud": []}


def test_a_queued_job_may_borrow_for_as_long_as_the_longest_of_many_recent_ones_took() -> None:
    many = [*range(100, 100 + ENOUGH_TO_BORROW - 1), 9000]
    assert remembered(*many).expected(CPU) == 9000
    assert remembered(*many[1:]).expected(CPU) is None, "the next one is too likely to be longer"


def test_a_queued_job_may_borrow_for_its_maximum_run_time_which_sagemaker_enforces() -> None:
    assert RunTimes().expected(CPU, most=3600) == 3600
    long = remembered(*[9000] * ENOUGH_TO_BORROW)
    assert long.expected(CPU, most=3600) == 3600
    assert long.expected(CPU, most=86_400) == 9000
    assert long.expected(CPU, stated=600, most=3600) == 600


def test_the_more_jobs_run_the_later_the_last_of_them_is_expected_to_end() -> None:
    times = remembered(*range(100, 1200, 100))  # 100 to 1,100 seconds
    assert [times.expected_after(CPU, 0, among=n) for n in (1, 7, 50)] == [600, 1000, 1000]
    assert times.expected_after(CPU, 550) == 800, "of those that are longer"
    assert times.expected_after(CPU, 1050) == 1100


def test_a_job_that_has_outlasted_all_others_is_expected_to_run_half_as_long_again() -> None:
    assert remembered(100, 200, 300).expected_after(CPU, 400) == 600
    assert remembered(100, 200, 300).expected_after(CPU, 400, most=500) == 500
    assert RunTimes().expected_after(CPU, 400) is None


def test_a_stated_run_time_is_corrected_as_recent_statements_were_wrong() -> None:
    times = RunTimes()
    for part in (0.5, 0.4, 0.9):
        times.record(CPU, part * 1000, stated=1000)
    assert times.expected_after(CPU, 0, stated=2000) == 1000, "half of them took half as long"
    assert times.expected_after(CPU, 1100, stated=2000) == 1800, "the others have ended by then"
    assert times.expected_after(CPU, 1900, stated=2000) == 2000
    assert times.expected(CPU, stated=2000) == 2000, "what borrows is not trusted to be shorter"
    other = Work(team="vision", template="cpu")
    assert times.expected_after(other, 0, stated=2000) == 2000


def test_with_many_kinds_the_document_holds_fewer_run_times_of_each() -> None:
    times = RunTimes()
    for number in range(KINDS):
        for seconds in range(SAMPLES):
            times.record(Work(team="fraud", template=f"t{number}"), seconds)
    published = [len(kind.seconds_per_round) for kind in times.published()]
    assert published == [MOST_SAMPLES // KINDS] * KINDS


@pytest.mark.parametrize(
    ("ratios", "elapsed", "expected"),
    [
        ((2.0, 2.0), 0, 100),  # two are too few to correct a statement
        ((2.0, 2.0, 2.0), 0, 200),
        ((1.0, 2.0, 3.0), 0, 200),  # the median
        ((1.0, 2.0, 3.0), 150, 200),
        ((1.0, 2.0, 3.0), 250, 300),
        ((1.0, 2.0, 3.0), 300, None),  # it has outlasted all of them, and its statement
        ((0.5, 0.5, 0.5), 60, 100),  # it has outlasted them, and not its statement
    ],
)
def test_what_a_request_states_is_corrected_by_three_statements_or_more(
    ratios: tuple[float, ...], elapsed: float, expected: float | None
) -> None:
    work = Work(team="a", template="t")
    run_times = RunTimes(of_stated={("a", "t"): [*ratios]})
    assert run_times.expected_after(work, elapsed, stated=100) == expected


@pytest.mark.parametrize(
    ("seconds", "rounds", "kept"),
    [(100.26, 1, 100.3), (100.24, 1, 100.2), (100, 3, 33.3), (100, 0, 100), (100, 1, 100)],
)
def test_run_times_are_kept_by_round_to_a_tenth_of_a_second(
    seconds: float, rounds: int, kept: float
) -> None:
    work = Work(team="fraud", template="cpu", rounds=rounds)
    times = remembered(seconds, work=work)
    assert times.kinds == {("fraud", "cpu"): [kept]}
    assert times.of(work) == [kept * max(1, rounds)]


@pytest.mark.parametrize(
    ("seconds", "stated", "ratios"),
    [
        (30, 0, []),  # it did not say
        (30, 1, [30.0]),
        (0.25, 0.5, [0.5]),
        (100, 300, [0.333]),
        (-5, 300, [0.0]),
    ],
)
def test_statements_are_compared_with_run_times_to_a_thousandth(
    seconds: float, stated: float, ratios: list[float]
) -> None:
    times = RunTimes()
    times.record(CPU, seconds, stated=stated)
    assert times.ratios(CPU) == ratios
    assert times.ratios(Work(team="vision", template="cpu")) == []


def test_of_the_statements_only_the_newest_are_compared() -> None:
    times = RunTimes()
    for number in range(RATIOS + 5):
        times.record(CPU, number, stated=1)
    assert times.ratios(CPU) == list(range(5, RATIOS + 5))


def test_with_a_kind_its_maximum_run_times_and_statements_are_forgotten() -> None:
    times = RunTimes()
    for number in range(KINDS + 1):
        times.record(Work(team="fraud", template=f"t{number}"), 60, stated=60, most=600)
    left = {("fraud", f"t{number}") for number in range(1, KINDS + 1)}
    for remembered_kinds in (times.kinds, times.mosts, times.of_stated):
        assert {*remembered_kinds} == left


def test_a_run_time_without_a_maximum_is_remembered_as_one_of_an_unknown_maximum() -> None:
    times = RunTimes()
    times.record(CPU, 60)
    assert times.mosts == {}
    times.record(CPU, 60, most=601)
    times.record(Work(team="fraud", template="cpu", rounds=2), 60)
    times.record(Work(team="fraud", template="cpu", rounds=2), 60, most=600)
    assert times.mosts == {("fraud", "cpu"): [0, 601, 0, 300]}
    assert times.by_team("cpu", 300) == {"fraud": [30]}
    assert times.by_team("cpu", 301) == {"fraud": [60, 30]}, "601 is less than twice as long"
    assert times.by_team("gpu", 300) == {}


@pytest.mark.parametrize(("shorter", "alike_"), [(299, False), (300, True), (600, True)])
def test_maximum_run_times_are_alike_up_to_twice_as_long(shorter: float, alike_: bool) -> None:
    assert alike(shorter, 600) is alike_
    assert alike(600, shorter) is alike_


def test_the_document_holds_of_each_kind_the_newest() -> None:
    times = RunTimes()
    kept = MOST_SAMPLES // KINDS
    for number in range(KINDS):
        work = Work(team="fraud", template=f"t{number}")
        for seconds in range(kept + 3):
            times.record(work, seconds, stated=1, most=10 * seconds + 600)
    first = times.published()[0]
    newest = range(3, kept + 3)
    assert (first.team, first.template) == ("fraud", "t0")
    assert first.seconds_per_round == tuple(newest)
    assert first.most_per_round == tuple(10 * each + 600 for each in newest)
    assert len(first.of_stated) == min(RATIOS, kept + 3)


@pytest.mark.parametrize(
    ("elapsed", "most", "expected"),
    [
        (0, 0, 200),
        (0, 150, 150),  # SageMaker stops it then
        (0, 3600, 200),
        (250, 200, 300),  # SageMaker should have stopped it: its maximum says nothing
        (300, 0, 300 * OUTLASTED),
        (300, 301, 301),
        (300, 300, 300 * OUTLASTED),
    ],
)
def test_a_running_job_ends_like_others_that_ran_as_long_or_at_its_maximum(
    elapsed: float, most: float, expected: float
) -> None:
    assert remembered(100, 200, 300).expected_after(CPU, elapsed, most=most) == expected


def test_a_job_of_a_kind_with_few_run_times_is_expected_to_end_at_its_maximum() -> None:
    assert remembered(100, 200).expected_after(CPU, 0) is None
    assert remembered(100, 200).expected_after(CPU, 0, most=600) == 600


def test_a_run_time_is_expected_for_as_many_rounds_as_a_job_has() -> None:
    times = remembered(*[100] * ENOUGH_TO_BORROW)
    three = Work(team="fraud", template="cpu", rounds=3)
    assert (times.expected(three), times.expected_after(three, 0)) == (300, 300)
    none = Work(team="fraud", template="cpu", rounds=0)
    assert (times.expected(none), times.expected_after(none, 0, among=0)) == (100, 100)
