"""The rules of admission, each as a sentence."""

from __future__ import annotations

import gc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_dispatcher.contract.aws_limits import (
    ALL_INSTANCES,
    ALL_SPOT_INSTANCES,
    instances_resource,
)
from hpo_dispatcher.contract.documents.capacity import WaitKind
from hpo_dispatcher.scheduling.plan import RESERVE_AFTER, plan
from hpo_dispatcher.scheduling.snapshot import SLOTS, Capacity, Head, RunningJob, Snapshot
from tests.support.scheduling_scene import (
    G5,
    M5,
    NOON,
    decide,
    heads_of,
    queued,
    reason,
    running,
    running_jobs_of,
    started,
)


def test_all_start_while_there_is_room() -> None:
    assert len(decide(*(queued("fraud", f"r{n}") for n in range(5))).starts) == 5


@pytest.mark.parametrize("enabled", [True, False])
def test_a_plan_leaves_the_garbage_collector_as_it_was(enabled: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        decide(queued("a"))
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_never_more_than_the_slots_whoever_holds_them() -> None:
    heads = [queued("fraud", f"r{n}") for n in range(5)]
    decided = decide(*heads, running=running(None, 7), slots=10)
    assert len(decided.starts) == 3
    assert reason(decided, "r4") == (
        "tuning jobs 10/10 in use, 1 needed; used by: others 7, fraud 3"
    )


def test_a_team_holding_less_goes_before_an_older_request() -> None:
    old, young = queued("vision", "old", 9), queued("speech", "young", 0)
    decided = decide(old, young, running=running("vision", 5), slots=6)
    assert started(decided) == [("speech", "young")]


def test_among_equals_the_older_request_goes_first() -> None:
    decided = decide(queued("vision", "young", 1), queued("speech", "old", 2), slots=1)
    assert started(decided) == [("speech", "old")]


def test_a_line_is_served_in_its_order() -> None:
    heads = [queued("fraud", "first"), queued("fraud", "second")]
    assert started(decide(*heads, slots=1)) == [("fraud", "first")]


def test_what_counts_is_the_dominant_share_not_the_number_of_jobs() -> None:
    running_jobs = running("big", 1, {M5: 15}) + running("small", 3, {M5: 1})
    decided = decide(
        queued("big", "b", 5, {M5: 1}), queued("small", "s", 0, {M5: 1}),
        running=running_jobs, slots=100, instances={M5: 19},
    )  # fmt: skip
    assert started(decided) == [("small", "s")]


def test_a_team_of_twice_the_weight_gets_twice_as_much_under_contention() -> None:
    heads = [queued(team, f"{team}{n}") for team in ("fraud", "vision") for n in range(30)]
    decided = decide(*heads, slots=30, fraud={"weight": 2.0}, vision={})
    assert Counter(team for team, _ in started(decided)) == {"fraud": 20, "vision": 10}


def test_weights_do_not_matter_without_contention() -> None:
    heads = [queued("vision", f"v{n}") for n in range(10)]
    assert len(decide(*heads, slots=30, fraud={"weight": 9.0}).starts) == 10


def test_a_team_below_its_guarantee_goes_first() -> None:
    heads = [queued("fraud", "f", 60), queued("vision", "v", 0)]
    decided = decide(
        *heads, running=running("fraud", 1) + running("vision", 2), slots=4,
        vision={"guaranteed_share": 0.75},
    )  # fmt: skip
    assert started(decided) == [("vision", "v")]


def test_no_team_exceeds_its_ceiling_and_the_wait_reason_says_so() -> None:
    heads = [queued("fraud", f"r{n}") for n in range(10)]
    decided = decide(*heads, slots=10, fraud={"ceiling": 0.3})
    assert len(decided.starts) == 3
    assert reason(decided, "r9") == "team fraud is at its ceiling of 30%"


def test_instances_bind_before_slots_and_the_reason_says_who_holds_them() -> None:
    running_jobs = running("fraud", 3, {M5: 5}) + running(None, 1, {M5: 5})
    decided = decide(queued("vision", "v", 0, {M5: 5}), running=running_jobs, instances={M5: 20})
    assert reason(decided, "v") == (
        "ml.m5.xlarge 20/20 in use, 5 needed; used by: fraud 15, others 5"
    )


def test_an_instance_type_without_a_quota_does_not_bind() -> None:
    assert decide(queued("fraud", "r", 0, {"ml.g5.xlarge": 500})).starts


def test_all_instances_bind_whatever_their_types_and_whoever_uses_them() -> None:
    """A new account may use 4 training instances, of all types together."""
    account = {ALL_INSTANCES: 4, M5: 15, G5: 15}
    decided = decide(
        queued("fraud", "fits", 5, {M5: 1}), queued("vision", "waits", 4, {G5: 2}),
        running=running(None, 1, {G5: 2}), instances=account,
    )  # fmt: skip
    assert started(decided) == [("fraud", "fits")]
    assert reason(decided, "waits") == (
        "all training instances 3/4 in use, 2 needed; used by: others 2, fraud 1"
    )
    never = decide(queued("fraud", "r", 0, {M5: 3, G5: 2}), instances=account)
    assert reason(never, "r") == "needs 5 of all training instances, the limit is 4: never fits"


def test_a_job_that_may_use_any_of_several_types_needs_no_more_than_it_runs_at_once() -> None:
    """Two definitions, two training jobs in parallel: 2 instances of either type, 2 in all."""
    account = {ALL_INSTANCES: 4, M5: 15, G5: 15}
    either = {M5: 2, G5: 2, ALL_INSTANCES: 2}
    decided = decide(
        queued("fraud", "a", 5, either), queued("fraud", "b", 4, either),
        queued("fraud", "c", 3, {M5: 1}), instances=account,
    )  # fmt: skip
    assert started(decided) == [("fraud", "a"), ("fraud", "b")]
    assert reason(decided, "c") == ("all training instances 4/4 in use, 1 needed; used by: fraud 4")


def test_spot_instances_have_quotas_of_their_own() -> None:
    spot = instances_resource(M5, spot=True)
    account = {ALL_INSTANCES: 4, ALL_SPOT_INSTANCES: 3, M5: 4, spot: 2}
    heads = [queued("fraud", "spot", 5, {spot: 2}), queued("fraud", "on-demand", 4, {M5: 4}),
             queued("fraud", "more", 3, {spot: 1})]  # fmt: skip
    decided = decide(*heads, instances=account)
    assert started(decided) == [("fraud", "spot"), ("fraud", "on-demand")]
    assert reason(decided, "more") == ("ml.m5.xlarge (spot) 2/2 in use, 1 needed; used by: fraud 2")
    other_type = decide(
        queued("fraud", "g5", 0, {instances_resource(G5, spot=True): 2}),
        running=running(None, 1, {spot: 2}), instances=account,
    )  # fmt: skip
    assert reason(other_type, "g5") == (
        "all spot training instances 2/3 in use, 2 needed; used by: others 2"
    )


@pytest.mark.parametrize(
    ("in_use", "slots", "kind"),
    [
        ({M5: 20}, 9, WaitKind.INSTANCES),
        ({}, 1, WaitKind.TUNING_JOBS),
        ({M5: 20}, 1, WaitKind.TUNING_JOBS),  # of several, the one that is named first
    ],
)
def test_the_kind_of_a_wait_says_what_is_lacking(
    in_use: dict[str, int], slots: int, kind: WaitKind
) -> None:
    decided = decide(
        queued("fraud", "r", 0, {M5: 1}), running=running("vision", 1, in_use), slots=slots,
        instances={M5: 20},
    )  # fmt: skip
    assert [wait.reason.kind for wait in decided.waits] == [kind]


def test_a_request_that_does_not_fit_lets_a_smaller_one_pass() -> None:
    heads = [queued("fraud", "big", 5, {M5: 10}), queued("fraud", "small", 4, {M5: 1})]
    decided = decide(*heads, running=running("vision", 1, {M5: 15}), instances={M5: 20})
    assert started(decided) == [("fraud", "small")]


def test_what_can_never_fit_keeps_nothing_and_says_so() -> None:
    heads = [queued("fraud", "huge", 999, {M5: 30}), queued("vision", "small", 0, {M5: 1})]
    decided = decide(*heads, instances={M5: 20})
    assert started(decided) == [("vision", "small")]
    assert reason(decided, "huge") == "needs 30 ml.m5.xlarge, the limit is 20: never fits"


@given(heads_of, running_jobs_of, st.integers(0, 30), st.integers(0, 30))
def test_whatever_waits_no_limit_is_passed_and_every_head_is_accounted_for(
    heads: list[Head], running_jobs: list[RunningJob], slots: int, instances: int
) -> None:
    decided = decide(*heads, running=running_jobs, slots=slots, instances={M5: instances})
    before = Counter({SLOTS: len(running_jobs)})
    for job in running_jobs:
        before.update(job.instances)
    after = before.copy()
    for head in decided.starts:
        after.update(head.needs)
    for resource, limit in ((SLOTS, slots), (M5, instances)):
        assert after[resource] <= max(limit, before[resource])
    accounted = [*decided.starts, *(wait.head for wait in decided.waits)]
    assert Counter(h.request_id for h in accounted) == Counter(h.request_id for h in heads)
    assert all(wait.reason.text for wait in decided.waits)


@given(heads_of, st.integers(1, 30))
def test_no_slot_stays_empty_while_a_request_fits(heads: list[Head], slots: int) -> None:
    young = [h for h in heads if NOON - h.accepted_at < RESERVE_AFTER]
    decided = decide(*young, slots=slots)
    assert len(decided.starts) == min(slots, len(young))


def test_a_plan_of_starts_only_has_neither_waits_nor_stops() -> None:
    heads = [queued("fraud", f"r{n}", 9 - n) for n in range(3)]
    snapshot = Snapshot(now=NOON, running_jobs=[], queues={"fraud": heads})
    capacity = Capacity(tuning_jobs=2)
    whole, starts = plan(snapshot, capacity, {}), plan(snapshot, capacity, {}, starts_only=True)
    assert [wait.head for wait in whole.waits] == heads[2:]
    assert (starts.waits, starts.stops) == ((), ())
    assert (starts.starts, starts.reservation_timers) == (whole.starts, whole.reservation_timers)
