"""The limits of all targets, and what a request needs of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hpo_dispatcher.contract.aws_limits import (
    ALL_INSTANCES,
    ALL_SPOT_INSTANCES,
    instances_resource,
)
from hpo_dispatcher.contract.documents.capacity import CapacityDocument, ResourceUse, TargetUse
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.scheduling.snapshot import SLOTS, Capacity, needs
from tests.support.scheduling_scene import G5, M5, NOON, queued, running

SPOT = instances_resource(M5, spot=True)
EU = Capacity(tuning_jobs=3, instances={M5: 5}, preference=2.0, teams=("a",))
ALL = Capacity(
    tuning_jobs=2, instances={M5: 4, ALL_INSTANCES: 6}, preference=1.5, teams=("a", "b"),
    targets={"eu": EU, "closed": Capacity(tuning_jobs=0)},
)  # fmt: skip


def test_a_document_states_the_limits_of_every_target() -> None:
    document = CapacityDocument(
        at=NOON, tuning_jobs=ResourceUse(limit=2), quotas={M5: 4, ALL_INSTANCES: 6},
        preference=1.5, may_use=("a", "b"),
        targets={
            "eu": TargetUse(
                tuning_jobs=ResourceUse(limit=3), quotas={M5: 5}, preference=2.0, may_use=("a",)
            ),
            "closed": TargetUse(tuning_jobs=ResourceUse(limit=None)),  # its limit is not known
        },
    )  # fmt: skip
    assert Capacity.of(document) == ALL


def test_limits_are_those_of_all_targets_and_are_summed_by_resource() -> None:
    assert ALL.limits == {
        SLOTS: 2, M5: 4, ALL_INSTANCES: 6,
        "eu/tuning jobs": 3, f"eu/{M5}": 5, "closed/tuning jobs": 0,
    }  # fmt: skip
    assert ALL.over_targets == {SLOTS: 5, M5: 9, ALL_INSTANCES: 6}
    assert ALL.all_tuning_jobs == 5


def test_totals_are_counted_where_they_have_a_limit() -> None:
    assert ALL.counted({M5: 2, G5: 1, SPOT: 1}) == {M5: 2, G5: 1, SPOT: 1, ALL_INSTANCES: 3}
    assert EU.counted({M5: 2}) == {M5: 2}


def test_a_request_needs_a_slot_its_instances_and_the_totals_of_its_target() -> None:
    assert needs({}) == {SLOTS: 1}
    instances = {M5: 2, G5: 1, SPOT: 3}
    at_home = {SLOTS: 1, **instances, ALL_INSTANCES: 3, ALL_SPOT_INSTANCES: 3}
    assert needs(instances) == at_home
    assert needs(instances, "eu") == {f"eu/{name}": n for name, n in at_home.items()}
    (job,) = running("a", 1, instances, target="eu")
    assert job.needs == needs(instances, "eu")


@pytest.mark.parametrize(("team", "key"), [("a", ("a", "r1")), (None, None)])
def test_only_jobs_of_this_deployment_have_requests(
    team: str | None, key: tuple[str, str] | None
) -> None:
    (job,) = running(team, 1, request_id="r1")
    assert job.key == key


def test_requests_have_one_shape_if_they_need_the_same_on_the_same_targets() -> None:
    head = queued("a", "r", 0, {M5: 2})
    same = replace(queued("b", "other", 9, {M5: 2}, priority=4), expected_seconds=60.0)
    assert same.shape == head.shape
    others = [
        queued("a", "r", 0, {M5: 3}),
        queued("a", "r", 0, {G5: 2}),
        queued("a", "r"),
        replace(head, targets=("eu",)),
        replace(head, targets=(HOME, "eu")),
        replace(head, targets=("eu", HOME)),
    ]
    assert len({each.shape for each in (head, *others)}) == len(others) + 1


def test_a_request_is_placed_on_each_target_with_what_it_needs_there() -> None:
    head = replace(queued("a", "r", 0, {M5: 2}), targets=("eu", HOME))
    assert [each.targets for each in head.placements] == [("eu",), (HOME,)]
    assert [each.needs for each in head.placements] == [needs({M5: 2}, "eu"), needs({M5: 2})]
    assert {each.key for each in head.placements} == {head.key}
    assert (head.target, head.on(HOME).target) == ("eu", HOME)
    assert head.needs == needs({M5: 2}, "eu"), "of its first target"
