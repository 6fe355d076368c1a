"""What is remembered of how long tuning jobs ran."""

from __future__ import annotations

import random

from hpo_dispatcher.scheduling.history.run_times import KINDS, SAMPLES, RunTimes, Work

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


def test_one_run_time_is_better_than_none() -> None:
    assert remembered(100).of(CPU) == [100]


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
    assert RunTimes.from_published(times.published()) == times


def test_a_queued_job_is_expected_to_run_as_long_as_half_of_the_recent_ones() -> None:
    assert remembered(100, 200, 300, 400, 9000).expected(CPU) == 300


def test_a_running_job_is_expected_to_run_at_most_as_long_as_nine_of_ten_that_outlasted_it() -> (
    None
):
    times = remembered(*range(100, 1200, 100))  # 100 to 1,100 seconds
    assert times.expected_after(CPU, 0) == 1000
    assert times.expected_after(CPU, 550) == 1000
    assert times.expected_after(CPU, 1050) == 1100


def test_a_resample_has_as_many_run_times_of_each_kind_and_leaves_the_others_as_they_are() -> None:
    times = remembered(*range(100, 120))
    found = times.resampled(random.Random(1)).of(CPU)
    assert len(found) == len(times.of(CPU))
    assert set(found) < set(times.of(CPU)), "some are drawn twice, and others not at all"
    assert times == remembered(*range(100, 120))
