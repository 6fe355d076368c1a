"""What is stopped to make room, for whom, and what never is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.plan import Plan
from hpo_dispatcher.scheduling.preemption import RUNS_FOR
from hpo_dispatcher.scheduling.snapshot import ReservationTimer
from tests.support.preemption_scene import BORROWER, OWNER, decide, job, jobs, stopped
from tests.support.scheduling_scene import G5, M5, ago, queued, reason, started

# Borrowed capacity is given back


def test_what_a_guarantee_covers_is_taken_back_from_the_youngest_borrower() -> None:
    decided = decide(
        queued("vision", "v"), running=jobs("fraud", 4), slots=4, vision=OWNER, fraud=BORROWER
    )
    assert stopped(decided) == [("f3", "v")]
    assert reason(decided, "v").endswith("; stopping fraud/f3 for it")


def test_the_claims_of_one_team_do_not_count_toward_those_of_another() -> None:
    quarter = {"guaranteed_share": 0.25}
    decided = decide(
        queued("vision", "v", 2), queued("audio", "a", 1), running=jobs("fraud", 4), slots=4,
        vision=quarter, audio=quarter, fraud=BORROWER,
    )  # fmt: skip
    assert stopped(decided) == [("f3", "v"), ("f2", "a")]


def test_nobody_is_stopped_unless_the_team_is_preemptible() -> None:
    decided = decide(
        queued("vision", "v"), running=jobs("fraud", 4), slots=4, vision=OWNER, fraud={}
    )
    assert decided.stops == ()
    assert TeamSettings().preemptible is False


def test_nobody_is_stopped_for_what_the_guarantee_does_not_cover() -> None:
    running_jobs = [*jobs("vision", 2), *jobs("fraud", 2)]
    decided = decide(
        queued("vision", "v"), running=running_jobs, slots=4, vision=OWNER, fraud=BORROWER
    )
    assert decided.stops == ()


def test_what_is_within_its_own_teams_guarantee_is_never_stopped() -> None:
    """fraud holds 4 of 4: the two oldest are its own, the two youngest are borrowed."""
    heads = [queued("vision", f"v{n}", minutes_ago=9 - n) for n in range(3)]
    decided = decide(
        *heads, running=jobs("fraud", 4), slots=4,
        vision=OWNER, fraud={**BORROWER, "guaranteed_share": 0.5},
    )  # fmt: skip
    assert stopped(decided) == [("f3", "v0"), ("f2", "v1")]


def test_a_job_within_its_own_teams_guarantee_is_not_stopped_however_low_its_priority() -> None:
    running_jobs = [job("fraud", "own", 50, priority=-1), job("fraud", "borrowed", 1)]
    decided = decide(
        queued("vision", "v"), running=running_jobs, slots=2,
        vision=OWNER, fraud={**BORROWER, "guaranteed_share": 0.5},
    )  # fmt: skip
    assert stopped(decided) == [("borrowed", "v")]


def test_what_a_team_starts_beside_its_guarantee_counts_toward_its_claims() -> None:
    """Of 3 guaranteed slots, 2 are taken by requests that start: one claim is left, not two."""
    waiting = [queued("vision", f"gpu-{n}", 9 - n, {G5: 1}) for n in range(2)]
    starting = [queued("vision", f"cpu-{n}", 5 - n, {M5: 1}) for n in range(2)]
    decided = decide(
        *waiting, *starting, running=jobs("fraud", 8, instances={G5: 1}), slots=12,
        instances={G5: 8}, vision={"guaranteed_share": 0.25}, fraud=BORROWER,
    )  # fmt: skip
    assert started(decided) == [("vision", "cpu-0"), ("vision", "cpu-1")]
    assert stopped(decided) == [("f7", "gpu-0")]


def test_each_of_two_requests_of_higher_priority_gets_a_job_of_its_own_stopped() -> None:
    urgent = [queued("fraud", f"urgent-{n}", 9 - n, priority=5) for n in range(2)]
    decided = decide(*urgent, running=jobs("fraud", 2), slots=2, fraud=BORROWER)
    assert stopped(decided) == [("f1", "urgent-0"), ("f0", "urgent-1")]


def test_a_job_that_is_being_stopped_is_not_stopped_for_another_request() -> None:
    running_jobs = jobs("fraud", 3)
    stopping = replace(running_jobs[2], stopping=True, preempted_for=("vision", "v0"))
    decided = decide(
        *(queued("vision", f"v{n}", 9 - n) for n in range(2)),
        running=[*running_jobs[:2], stopping], slots=3,
        promised=frozenset({("vision", "v0")}), vision={"guaranteed_share": 0.7}, fraud=BORROWER,
    )  # fmt: skip
    assert stopped(decided) == [("f1", "v1")]


def test_what_was_freed_for_a_request_that_is_gone_is_kept_for_no_other_of_its_team() -> None:
    decided = decide(
        queued("vision", "other", 0, {M5: 5}), queued("fraud", "f", 0),
        running=[job("fraud", "f0", instances={M5: 4})], slots=2, instances={M5: 5},
        promised=frozenset({("vision", "gone")}),
    )  # fmt: skip
    assert started(decided) == [("fraud", "f")]


def test_the_lowest_priority_goes_first_and_then_the_youngest() -> None:
    running_jobs = [
        job("fraud", "low-old", 50, priority=-1),
        job("fraud", "low-young", 20, priority=-1),
        job("fraud", "youngest", 1),
    ]
    decided = decide(
        *(queued("vision", f"v{n}", minutes_ago=9 - n) for n in range(3)),
        running=[*running_jobs, job(None, "foreign")], slots=4,
        vision={"guaranteed_share": 0.75}, fraud=BORROWER,
    )  # fmt: skip
    assert stopped(decided) == [("low-young", "v0"), ("low-old", "v1"), ("youngest", "v2")]


def test_the_team_that_borrows_most_for_its_weight_gives_back_first() -> None:
    running_jobs = [*jobs("fraud", 3), job("speech", "s0", 1)]
    decided = decide(
        queued("vision", "v"), running=running_jobs, slots=4,
        vision=OWNER, fraud=BORROWER, speech=BORROWER,
    )  # fmt: skip
    assert stopped(decided) == [("f2", "v")]
    weighted = decide(
        queued("vision", "v"), running=running_jobs, slots=4,
        vision=OWNER, fraud={**BORROWER, "weight": 4}, speech=BORROWER,
    )  # fmt: skip
    assert stopped(weighted) == [("s0", "v")]


def test_only_as_many_are_stopped_as_it_takes_and_only_what_it_lacks() -> None:
    running_jobs = [
        job("fraud", "gpu", 1, {G5: 4}),
        job("fraud", "small", 2, {M5: 2}),
        job("fraud", "large", 3, {M5: 8}),
        job("fraud", "larger", 4, {M5: 10}),
    ]
    decided = decide(
        queued("vision", "v", instances={M5: 8}), running=running_jobs,
        instances={M5: 20, G5: 4}, vision=OWNER, fraud=BORROWER,
    )  # fmt: skip
    assert stopped(decided) == [("large", "v")], "small alone is too little, and not needed then"


def test_nothing_is_stopped_if_all_of_it_would_not_be_enough() -> None:
    running_jobs = [job(None, "foreign", instances={M5: 15}), job("fraud", "f", 1, {M5: 5})]
    decided = decide(
        queued("vision", "v", instances={M5: 8}), running=running_jobs,
        instances={M5: 20}, vision=OWNER, fraud=BORROWER,
    )  # fmt: skip
    assert decided.stops == ()


def test_a_job_that_cannot_resume_is_not_stopped_and_the_wait_reason_says_so() -> None:
    running_jobs = [
        job("fraud", "grid", 1, resume_blocker="Grid cannot be continued"),
        job("fraud", "f", 9),
    ]
    decided = decide(
        queued("vision", "v"), running=running_jobs, slots=2, vision=OWNER, fraud=BORROWER
    )
    assert stopped(decided) == [("f", "v")]
    alone = decide(
        queued("vision", "v"), running=[running_jobs[0]], slots=1,
        vision={"guaranteed_share": 1}, fraud=BORROWER,
    )  # fmt: skip
    assert alone.stops == ()
    assert reason(alone, "v").endswith("; fraud/grid is not stopped: Grid cannot be continued")


def test_what_went_on_after_a_stop_is_left_alone_for_an_hour() -> None:
    def told(minutes: float) -> Plan:
        running_job = job("fraud", "f", minutes, resumed=True)
        return decide(
            queued("vision", "v"), running=[running_job], slots=1,
            vision={"guaranteed_share": 1}, fraud=BORROWER,
        )  # fmt: skip

    hour = RUNS_FOR / timedelta(minutes=1)
    assert stopped(told(hour)) == [("f", "v")]
    young = told(hour - 1)
    assert young.stops == ()
    assert reason(young, "v").endswith("stopped before and runs until at least 12:01 UTC")


# A higher priority takes the place of a lower one


def test_a_higher_priority_takes_the_place_of_its_own_teams_youngest_lower_one() -> None:
    running_jobs = [
        job("fraud", "old", 9),
        job("fraud", "young", 5),
        job("fraud", "urgent", 1, priority=5),
    ]
    decided = decide(
        queued("fraud", "now", priority=5), running=running_jobs, slots=3, fraud=BORROWER
    )
    assert stopped(decided) == [("young", "now")]


def test_what_others_have_borrowed_goes_before_ones_own_requests_of_lower_priority() -> None:
    decided = decide(
        queued("vision", "now", priority=5),
        running=[job("vision", "own", 1), *jobs("fraud", 3)], slots=4,
        vision={**OWNER, **BORROWER}, fraud=BORROWER,
    )  # fmt: skip
    assert stopped(decided) == [("f2", "now")]


def test_ones_own_requests_of_lower_priority_go_if_others_have_borrowed_nothing_that_fits() -> None:
    mine = job("vision", "own", 1, {G5: 2})
    decided = decide(
        queued("vision", "now", instances={G5: 2}, priority=5),
        running=[mine, job("fraud", "f0", 5, {M5: 1})],
        instances={G5: 2, M5: 1}, vision={"guaranteed_share": 1.0, **BORROWER}, fraud=BORROWER,
    )  # fmt: skip
    assert stopped(decided) == [("own", "now")]


def test_jobs_outside_the_queue_take_nothing_from_what_a_guarantee_covers() -> None:
    """The oldest job is of nobody's team; the two of fraud after it are within its guarantee."""
    decided = decide(
        queued("vision", "v"),
        running=[job(None, "foreign", 30), *jobs("fraud", 2), job("speech", "s0", 9)], slots=4,
        vision=OWNER, fraud={**OWNER, **BORROWER}, speech=BORROWER,
    )  # fmt: skip
    assert stopped(decided) == [("s0", "v")]


@pytest.mark.parametrize("priority", [0, -1], ids=["equal", "lower"])
def test_an_equal_or_lower_priority_waits(priority: int) -> None:
    decided = decide(
        queued("fraud", "now", priority=priority),
        running=jobs("fraud", 3),
        slots=3,
        fraud=BORROWER,
    )
    assert decided.stops == ()


def test_no_priority_stops_another_teams_requests() -> None:
    decided = decide(
        queued("vision", "now", priority=1000), running=jobs("fraud", 3), slots=3,
        fraud=BORROWER, vision=BORROWER,
    )  # fmt: skip
    assert decided.stops == ()


def test_a_team_at_its_ceiling_makes_room_for_its_own_higher_priority() -> None:
    decided = decide(
        queued("fraud", "now", priority=1), running=jobs("fraud", 2), slots=4,
        fraud={**BORROWER, "ceiling": 0.5},
    )  # fmt: skip
    assert stopped(decided) == [("f1", "now")]


def test_nothing_is_stopped_for_what_starts_anyway_or_never_fits() -> None:
    heads = [
        queued("fraud", "now", priority=1),
        queued("fraud", "huge", instances={M5: 21}, priority=9),
    ]
    decided = decide(*heads, running=jobs("fraud", 2), slots=3, instances={M5: 20}, fraud=BORROWER)
    assert started(decided) == [("fraud", "now")]
    assert decided.stops == ()


def test_what_is_kept_for_the_overdue_is_not_taken_by_a_higher_priority() -> None:
    """The big request has waited beyond its bound: what fraud gave up would be its."""
    heads = [queued("vision", "big", 99, {M5: 20}), queued("fraud", "now", 0, {M5: 5}, priority=9)]
    decided = decide(
        *heads, running=[job("fraud", "f", 1, {M5: 5})], instances={M5: 20}, fraud=BORROWER,
        timers={("vision", "big"): ReservationTimer(since=ago(99), passed_at=ago(40))},
    )  # fmt: skip
    assert decided.stops == ()


# No thrash


def test_what_is_about_to_be_free_counts_and_nothing_more_is_stopped_for_it() -> None:
    running_jobs = [*jobs("fraud", 3), job("fraud", "leaving", 1, stopping=True)]
    decided = decide(
        queued("vision", "v"), running=running_jobs, slots=4, vision=OWNER, fraud=BORROWER
    )
    assert decided.stops == ()


def test_two_heads_do_not_count_on_the_same_capacity() -> None:
    running_jobs = [*jobs("fraud", 3), job("fraud", "leaving", 1, stopping=True)]
    heads = [queued("vision", f"v{n}", minutes_ago=9 - n) for n in range(2)]
    decided = decide(*heads, running=running_jobs, slots=4, vision=OWNER, fraud=BORROWER)
    assert stopped(decided) == [("f2", "v1")]


def test_what_is_freed_for_a_head_whose_reservation_keeps_less_is_not_counted_for_the_next() -> (
    None
):
    """fraud is at its ceiling, so the reservation of its overdue head keeps no slot from speech."""
    heads = [
        queued("fraud", "first", 90, priority=1),
        queued("fraud", "second", 80, priority=1),
        queued("speech", "s", 60),
    ]
    timers = {
        heads[0].key: ReservationTimer(since=ago(300), passed_at=ago(60)),
        heads[2].key: ReservationTimer(since=ago(300), passed_at=ago(50)),
    }
    decided = decide(
        *heads, running=[*jobs("fraud", 2), job(None, "foreign")], slots=3, timers=timers,
        fraud={**BORROWER, "ceiling": 0.67}, speech={},
    )  # fmt: skip
    assert stopped(decided) == [("f1", "first")], "the slot of another one would be speech's"


def test_what_was_freed_for_a_head_is_kept_for_it_whoevers_turn_it_is() -> None:
    """fraud holds one of two slots; it is speech's turn, but fraud gave the other one up itself."""
    heads = [queued("fraud", "now", priority=5), queued("speech", "s", 60)]
    running_jobs = [job("fraud", "f", 9)]
    settings = {"fraud": BORROWER, "speech": {}}
    kept = decide(
        *heads, running=running_jobs, slots=2, promised=frozenset({heads[0].key}), **settings
    )
    assert started(kept) == [("fraud", "now")]
    assert started(decide(*heads, running=running_jobs, slots=2, **settings)) == [("speech", "s")]


def test_what_was_freed_for_a_head_is_not_owed_to_a_smaller_one_of_its_team() -> None:
    """Once two were stopped for it, the team is below its guarantee, which covers the small one."""
    heads = [queued("fraud", "now", 0, {M5: 8}, priority=5), queued("fraud", "small", 9, {M5: 4})]
    decided = decide(
        *heads, running=[job(None, "foreign", 9, {M5: 12})], instances={M5: 20},
        promised=frozenset({heads[0].key}), fraud={**BORROWER, "guaranteed_share": 0.25},
    )  # fmt: skip
    assert started(decided) == [("fraud", "now")]


def test_the_wait_reason_says_that_jobs_are_being_stopped_for_the_head() -> None:
    leaving = job("fraud", "f", 1, stopping=True, preempted_for=("vision", "v"))
    decided = decide(
        queued("vision", "v"), running=[leaving], slots=1,
        vision={"guaranteed_share": 1}, fraud=BORROWER,
    )  # fmt: skip
    assert reason(decided, "v").endswith("; fraud/f is being stopped for it")
