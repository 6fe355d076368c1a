"""The warm start of a request in API form, by whom it names and whether it resumes."""

from __future__ import annotations

from typing import Any

import pytest

from hpo_dispatcher.tuning_job.api.form import tags_of, warm_start_of
from hpo_dispatcher.tuning_job.parents import Parent, Resumption

RESUMED = Resumption(number=1, training_jobs=3, seconds=60, parents=())


def parent(name: str) -> Parent:
    return Parent(tuning_job_name=name, template="", training_jobs=1)


def named(*names: str, kind: str = "IdenticalDataAndAlgorithm") -> dict[str, Any]:
    parents = [{"HyperParameterTuningJobName": name} for name in names]
    return {
        "WarmStartConfig": {"ParentHyperParameterTuningJobs": parents, "WarmStartType": kind},
    }


@pytest.mark.parametrize(
    ("asked", "requests", "parents", "resumption", "expected"),
    [
        ({}, [], [], None, {}),
        (named("other"), [], [], None, {}),  # as it is
        (named("other"), [], [], RESUMED, {}),
        ({}, ["a"], ["fraud-a"], None, named("fraud-a", kind="TransferLearning")),
        (named("other"), ["a"], ["fraud-a"], None, named("other", "fraud-a")),
        (named("a", "other", kind="TransferLearning"), ["a"], ["fraud-a"], None,
         named("other", "fraud-a", kind="TransferLearning")),
        (named("other", kind="TransferLearning"), ["a"], ["fraud-a", "fraud-r-1"], RESUMED,
         named("fraud-a", "fraud-r-1")),
    ],
)  # fmt: skip
def test_parents_of_the_message_join_those_of_the_request_and_a_resumption_replaces_them(
    asked: dict[str, Any],
    requests: list[str],
    parents: list[str],
    resumption: Resumption | None,
    expected: dict[str, Any],
) -> None:
    assert warm_start_of(asked, requests, [*map(parent, parents)], resumption) == expected


def test_tags_are_a_dictionary_and_a_request_may_have_none() -> None:
    assert tags_of({"Tags": [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": ""}]}) == {
        "a": "b", "c": ""
    }  # fmt: skip
    assert tags_of({}) == {}
