"""Where each guardrail begins to reject, and what its rejection says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hpo_dispatcher.contract.errors import NotAllowed
from hpo_dispatcher.contract.settings import Guardrails
from hpo_dispatcher.tuning_job.guardrails import check_guardrails
from tests.support.tuning_requests import definition, job

M5_LARGE = {"InstanceType": "ml.m5.large", "InstanceCount": 1}


@pytest.mark.parametrize(
    ("allowed", "fix"),
    [(("ml.c5.*",), "Use ml.c5.*"), (("ml.c5.*", "ml.m6i.*"), "Use one of ml.c5.*, ml.m6i.*")],
)
def test_a_rejection_names_what_is_allowed(allowed: tuple[str, ...], fix: str) -> None:
    with pytest.raises(NotAllowed) as refused:
        job(Guardrails(instance_types=allowed), **definition(ResourceConfig=M5_LARGE))
    assert refused.value.field == "TrainingJobDefinition.ResourceConfig.InstanceType"
    assert refused.value.problem == "ml.m5.large is not allowed"
    assert refused.value.fix == fix


# For each limit, the most that is allowed and one more, by the field that has it.
@pytest.mark.parametrize("beyond", [False, True])
@pytest.mark.parametrize(
    ("guardrail", "most", "fields"),
    [
        ("max_instance_count", 2, lambda n: {"ResourceConfig": M5_LARGE | {"InstanceCount": n}}),
        ("max_volume_gb", 60, lambda n: {"ResourceConfig": M5_LARGE | {"VolumeSizeInGB": n}}),
        (
            "max_keep_alive_seconds", 600,
            lambda n: {"ResourceConfig": M5_LARGE | {"KeepAlivePeriodInSeconds": n}},
        ),
        ("max_run_seconds", 900, lambda n: {"StoppingCondition": {"MaxRuntimeInSeconds": n}}),
    ],
)  # fmt: skip
def test_a_limit_itself_is_allowed_and_one_more_is_not(
    guardrail: str, most: int, fields: Callable[[int], dict[str, Any]], beyond: bool
) -> None:
    asked = definition(**fields(most + beyond))
    limits = Guardrails(**{guardrail: most})
    if not beyond:
        job(limits, **asked)
        return
    with pytest.raises(NotAllowed) as refused:
        job(limits, **asked)
    assert refused.value.problem == f"{most + 1}, but the deployment allows at most {most}"
    assert refused.value.fix == f"Set it to at most {most}"


def test_a_request_without_a_time_limit_exceeds_every_limit() -> None:
    unlimited = {
        "HyperParameterTuningJobConfig": {"Strategy": "Random", "ResourceLimits": {}},
        "TrainingJobDefinition": {"AlgorithmSpecification": {}, "StoppingCondition": {}},
    }
    check_guardrails(unlimited, Guardrails())
    with pytest.raises(NotAllowed) as refused:
        check_guardrails(unlimited, Guardrails(max_run_seconds=900))
    assert refused.value.field == "TrainingJobDefinition.StoppingCondition.MaxRuntimeInSeconds"
    assert refused.value.problem == "no limit, but the deployment allows at most 900"


RESOURCES, TUNING = "ResourceConfig", "HyperParameterTuningResourceConfig"
# Where a training job definition names instances: the field, and what is around the resource.
PLACES: list[tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = [
    (RESOURCES, lambda each: each),
    (RESOURCES, lambda each: {"InstanceGroups": [{}, each]}),
    (RESOURCES, lambda each: {"InstancePreferences": [{}, each]}),
    (TUNING, lambda each: each),
    (TUNING, lambda each: {"InstanceConfigs": [{}, each]}),
]
NUMBERS = {
    "InstanceCount": "max_instance_count",
    "SelectedInstanceCount": "max_instance_count",
    "VolumeSizeInGB": "max_volume_gb",
    "KeepAlivePeriodInSeconds": "max_keep_alive_seconds",
}


def asking(**fields: Any) -> dict[str, Any]:
    """Return a request of two definitions, of which the second has these fields."""
    plain: dict[str, Any] = {"AlgorithmSpecification": {}, "StoppingCondition": {}}
    return {
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 9, "MaxParallelTrainingJobs": 3},
        },
        "TrainingJobDefinitions": [plain, plain | fields],
    }


def refusal(asked: dict[str, Any], **limits: Any) -> tuple[str, str] | None:
    """Return the field and the problem of what these guardrails refuse."""
    try:
        check_guardrails(asked, Guardrails(**limits))
    except NotAllowed as refused:
        return refused.field, refused.problem
    return None


@pytest.mark.parametrize(("place", "around"), PLACES)
@pytest.mark.parametrize("name", ["InstanceType", "SelectedInstanceType"])
def test_instance_types_are_limited_wherever_a_request_names_them(
    place: str, around: Callable[[dict[str, Any]], dict[str, Any]], name: str
) -> None:
    asked = asking(**{place: around({name: "ml.p4d.24xlarge"})})
    assert refusal(asked) is None
    assert refusal(asked, instance_types=("ml.p4d.*",)) is None
    assert refusal(asked, instance_types=("ml.m5.*", "ml.P4d.*")) == (
        f"TrainingJobDefinition.{place}.{name}", "ml.p4d.24xlarge is not allowed"
    )  # fmt: skip


@pytest.mark.parametrize(("place", "around"), PLACES)
@pytest.mark.parametrize(("name", "guardrail"), NUMBERS.items())
def test_instances_volumes_and_warm_pools_are_limited_wherever_a_request_names_them(
    place: str, around: Callable[[dict[str, Any]], dict[str, Any]], name: str, guardrail: str
) -> None:
    asked = asking(**{place: around({name: 7})})
    assert refusal(asked, **{guardrail: 7}) is None
    assert refusal(asked, **{guardrail: 6}) == (
        f"TrainingJobDefinition.{place}.{name}", "7, but the deployment allows at most 6"
    )  # fmt: skip
    others = {each: 0 for each in NUMBERS.values() if each != guardrail and each.endswith("ds")}
    assert refusal(asked, **others) is None, "the limits of other resources do not apply"


@pytest.mark.parametrize("name", ["TrainingImage", "AlgorithmName"])
def test_images_and_algorithms_are_limited(name: str) -> None:
    asked = asking(AlgorithmSpecification={name: "mine/train:1"})
    assert refusal(asked, images=("ours/*", "mine/*")) is None
    assert refusal(asked, images=("ours/*",)) == (
        f"TrainingJobDefinition.AlgorithmSpecification.{name}", "mine/train:1 is not allowed"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("limits", "refused"),
    [
        ({"max_training_jobs": 9, "max_parallel_training_jobs": 3}, None),
        ({"max_training_jobs": 8}, (
            "resource_limits.max_training_jobs", "9, but the deployment allows at most 8"
        )),
        ({"max_parallel_training_jobs": 2}, (
            "resource_limits.max_parallel_training_jobs", "3, but the deployment allows at most 2"
        )),
        ({"required_tags": ["team"]}, None),
        ({"required_tags": ["team", "project"]}, (
            "tags.project", "the deployment requires this tag"
        )),
    ],
)  # fmt: skip
def test_training_jobs_and_tags_are_limited(
    limits: dict[str, Any], refused: tuple[str, str] | None
) -> None:
    tags = [{"Key": "stage", "Value": "project"}, {"Key": "team", "Value": "fraud"}]
    assert refusal(asking() | {"Tags": tags}, **limits) == refused
    if "required_tags" in limits:
        assert refusal(asking(), **limits) == ("tags.team", "the deployment requires this tag")
