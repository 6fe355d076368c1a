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
