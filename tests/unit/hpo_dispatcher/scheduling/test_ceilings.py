"""A ceiling bounds the resources that a request asks for, and no others."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_dispatcher.contract.documents.capacity import (
    CapacityDocument,
    ResourceUse,
    WaitKind,
    WaitReason,
)
from hpo_dispatcher.scheduling.snapshot import SLOTS, Capacity, Head, ReservationTimer, RunningJob
from tests.support.scheduling_scene import (
    G5,
    M5,
    NOON,
    ago,
    decide,
    heads_of,
    queued,
    reason,
    running,
    running_jobs_of,
    started,
)


def test_a_full_instance_type_does_not_block_the_other_types_of_the_team() -> None:
    gpu, cpu = queued("a", "gpu", 9, {G5: 1}), queued("a", "cpu", 8, {M5: 1})
    overdue = ReservationTimer(since=ago(10_080), passed_at=ago(31))
    decided = decide(
        gpu, cpu, running=running("a", 1, {G5: 1}), instances={G5: 1, M5: 20},
        timers={gpu.key: overdue}, a={},
    )  # fmt: skip
    assert started(decided) == [cpu.key]
    (wait,) = decided.waits
    assert wait.reason.kind is WaitKind.INSTANCES
    assert reason(decided, "gpu") == "ml.g5.xlarge 1/1 in use, 1 needed; used by: a 1"


def test_a_limit_below_use_does_not_block_the_other_types_of_the_team() -> None:
    gpu = queued("a", "gpu", 0, {G5: 1})
    decided = decide(gpu, running=running("a", 1, {M5: 10}), instances={M5: 5, G5: 8}, a={})
    assert started(decided) == [gpu.key]


@pytest.mark.parametrize("ceiling", [0.5, 0.25])
def test_a_team_at_its_ceiling_of_one_type_starts_requests_for_another(ceiling: float) -> None:
    gpu, cpu = queued("a", "gpu", 9, {G5: 2}), queued("a", "cpu", 8, {M5: 1})
    decided = decide(
        gpu, cpu, running=running("a", 1, {G5: int(8 * ceiling)}), instances={G5: 8, M5: 20},
        a={"ceiling": ceiling},
    )  # fmt: skip
    assert started(decided) == [cpu.key]
    assert reason(decided, "gpu") == f"team a is at its ceiling of {ceiling:.0%}"


@given(heads_of, running_jobs_of, st.integers(1, 30), st.integers(0, 30), st.integers(1, 9))
def test_a_wait_at_the_ceiling_names_a_ceiling_that_the_request_would_pass(
    heads: list[Head], running_jobs: list[RunningJob], slots: int, instances: int, tenths: int
) -> None:
    teams: dict[str, Any] = {team: {"ceiling": tenths / 10} for team in "abc"}
    limits = {SLOTS: slots, M5: instances, G5: 9}
    decided = decide(
        *heads, running=running_jobs, slots=slots, instances={M5: instances, G5: 9}, **teams
    )
    used: dict[str | None, Counter[str]] = {team: Counter() for team in ("a", "b", "c", None)}
    for each in (*running_jobs, *decided.starts):
        used[each.team].update(each.needs)
    for wait in decided.waits:
        would_pass = [
            resource
            for resource, amount in wait.head.needs.items()
            if resource in limits
            and used[wait.head.team][resource] + amount > tenths / 10 * limits[resource] + 1e-9
        ]
        if wait.reason.kind is WaitKind.TEAM_CEILING:
            assert would_pass


def test_a_wait_at_the_ceiling_is_of_that_kind() -> None:
    decided = decide(queued("a", "r", 0), running=running("a", 2), slots=10, a={"ceiling": 0.2})
    (wait,) = decided.waits
    assert wait.reason == WaitReason(
        kind=WaitKind.TEAM_CEILING, text="team a is at its ceiling of 20%"
    )


def test_without_a_limit_in_the_document_nothing_may_start() -> None:
    """A document of an account whose limit is not known, which no version has written."""
    unknown = CapacityDocument(at=NOON, tuning_jobs=ResourceUse(limit=None), quotas={M5: 3})
    assert Capacity.of(unknown) == Capacity(tuning_jobs=0, instances={M5: 3})
    known = CapacityDocument(at=NOON, tuning_jobs=ResourceUse(limit=7))
    assert Capacity.of(known).limits == {SLOTS: 7}
