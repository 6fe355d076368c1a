"""What can go on after a stop, from which parents, and under which name."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import BestTrainingJob
from hpo_dispatcher.contract.names import NAME_ENDING, tuning_job_name
from hpo_dispatcher.contract.settings import Guardrails, Limits
from hpo_dispatcher.contract.templates import Template
from hpo_dispatcher.tuning_job.build import build
from hpo_dispatcher.tuning_job.parents import Parent, Resumption
from hpo_dispatcher.tuning_job.resumption import better, earlier_job, resume_blocker
from tests.support.tuning_requests import DEFAULT_LIMITS, ENVIRONMENT, IMAGE, TEMPLATE, request

PLAIN = Template(description="d", image="i")


def asked(strategy: str = "Bayesian", total: int | None = 20, **more: Any) -> dict[str, Any]:
    limits: dict[str, Any] = {"MaxParallelTrainingJobs": 5}
    limits |= {"MaxNumberOfTrainingJobs": total} if total else {}
    return {
        "HyperParameterTuningJobConfig": {"Strategy": strategy, "ResourceLimits": limits}
    } | more


def earlier(number: int, launched: int = 10) -> Any:
    return earlier_job(
        f"job-{number}", {"Completed": launched}, 0, seconds=1, instance_seconds=1, found=True
    )


@pytest.mark.parametrize(
    ("api_request", "template", "before", "said"),
    [
        (asked(), PLAIN, 0, ""),
        (asked("Random", 745), PLAIN, 0, ""),
        (asked("Random", 746), PLAIN, 0,
         "with interrupted training jobs run again, it could exceed 750 training jobs"),
        (asked("Grid"), PLAIN, 0, "a Grid search would start over"),
        (asked("Hyperband"), PLAIN, 0, "a Hyperband search would start over"),
        (asked(total=None), PLAIN, 0, "its number of training jobs is not limited"),
        (asked(TrainingJobDefinitions=[]), PLAIN, 0, "it has several training job definitions"),
        (asked(Autotune={"Mode": "Enabled"}), PLAIN, 0, "SageMaker chooses its hyperparameters"),
        (asked(), PLAIN.model_copy(update={"ranges_parameter": "ranges"}), 0,
         "its script searches and would start over"),
        (asked(total=745), PLAIN, 0, ""),
        (asked(total=746), PLAIN, 0,
         "with interrupted training jobs run again, it could exceed 750 training jobs"),
        (asked(total=740), PLAIN, 1,
         "with interrupted training jobs run again, it could exceed 750 training jobs"),
        (asked(), PLAIN, 4, ""),
        (asked(), PLAIN, 5, "it was preempted 5 times, and a warm start has at most 5 parents"),
    ],
)  # fmt: skip
def test_what_cannot_go_on_says_why(
    api_request: dict[str, Any], template: Template, before: int, said: str
) -> None:
    jobs = [earlier(n) for n in range(before)]
    assert resume_blocker(api_request, template, DEFAULT_LIMITS, jobs) == said


def test_more_training_jobs_can_be_resumed_where_aws_has_raised_the_quota() -> None:
    raised = Limits(random_training_jobs=10_000)
    assert resume_blocker(asked("Random", 9000), PLAIN, raised) == ""
    assert "750" in resume_blocker(asked("Bayesian", 9000), PLAIN, raised)


def test_each_tuning_job_of_a_request_has_a_name_of_its_own_that_is_ours() -> None:
    long = "a-very-long-request-id-that-must-be-cut-to-fit"
    names = [tuning_job_name("fraud", long, before) for before in range(6)]
    assert len(set(names)) == 6
    assert all(len(name) <= 32 and re.search(NAME_ENDING, name) for name in names)
    assert "-2-" in names[1]
    assert tuning_job_name("fraud", "a", 1) != tuning_job_name("fraud", "a-2")


def test_stopped_early_counts_as_ended_and_interrupted_does_not() -> None:
    counters = {"Completed": 4, "NonRetryableError": 1, "Stopped": 5, "InProgress": 0}
    job = earlier_job("j", counters, 2, seconds=1, instance_seconds=1, found=True)
    assert (job.ended, job.interrupted, job.launched) == (7, 3, 10)


@pytest.mark.parametrize(("minimize", "name"), [(False, "high"), (True, "low")])
def test_the_better_of_two_is_by_the_objective(minimize: bool, name: str) -> None:
    low, high = (
        BestTrainingJob(name=n, objective=value, metric="m", hyperparameters={})
        for n, value in (("low", 0.1), ("high", 0.9))
    )
    for pair in ((low, high), (high, low)):
        found = better(*pair, minimize=minimize)
        assert found
        assert found.name == name
    assert better(None, low, minimize=minimize) is low
    assert better(low, None, minimize=minimize) is low


def parent(name: str, training_jobs: int = 10, **fields: Any) -> Parent:
    alike = {"template": "credit-default-cpu"}
    return Parent(tuning_job_name=name, training_jobs=training_jobs, **(alike | fields))


def built(
    *parents: Parent, own: tuple[Parent, ...] | None = None, left: int = 20, **fields: Any
) -> dict[str, Any]:
    """The next tuning job after those of ``own``; the first one where there are none."""
    goes_on = None
    if own is not None:
        goes_on = Resumption(number=len(own), training_jobs=left, seconds=1000, parents=own)
    return build(
        request(template="credit-default-cpu", **fields), "fraud", TEMPLATE, Guardrails(),
        ENVIRONMENT, image=IMAGE, limits=DEFAULT_LIMITS, parents=parents, resumption=goes_on,
    )  # fmt: skip


def parents_of(made: dict[str, Any]) -> list[str]:
    config = made.get("WarmStartConfig", {"ParentHyperParameterTuningJobs": []})
    found = config["ParentHyperParameterTuningJobs"]
    return [each["HyperParameterTuningJobName"] for each in found]


def test_own_earlier_tuning_jobs_come_first_and_the_last_of_the_others_are_left_out() -> None:
    own = (parent("own1"), parent("own2"), parent("own3"))
    named = [parent("p1"), parent("p2"), parent("p3")]
    assert parents_of(built(*named, own=own)) == ["own1", "own2", "own3", "p1", "p2"]


def test_parents_that_would_exceed_the_training_jobs_of_a_tuning_job_are_left_out() -> None:
    own = (parent("own", 300),)
    named = [parent("big", 440), parent("small", 400)]
    assert parents_of(built(*named, own=own, left=50)) == ["own", "small"]


def test_a_child_takes_the_last_tuning_job_of_each_parent_then_earlier_ones_that_fit() -> None:
    named = [
        parent("a3"), parent("a2", earlier=True), parent("a1", 730, earlier=True),
        parent("b2"), parent("b1", earlier=True),
    ]  # fmt: skip
    limits = {"max_training_jobs": 20, "max_parallel_training_jobs": 5}
    assert parents_of(built(*named, resource_limits=limits)) == ["a3", "b2", "a2", "b1"]


@pytest.mark.parametrize(("asked_for", "left"), [(4000, 3000), (1050, 120), (500, 120)])
def test_the_time_its_tuning_jobs_have_run_counts(asked_for: int, left: int) -> None:
    limits = {
        "max_training_jobs": 20,
        "max_parallel_training_jobs": 5,
        "max_runtime_in_seconds": asked_for,
    }
    made = built(own=(parent("own"),), left=3, resource_limits=limits)
    assert made["HyperParameterTuningJobConfig"]["ResourceLimits"] == {
        "MaxNumberOfTrainingJobs": 3,
        "MaxParallelTrainingJobs": 3,
        "MaxRuntimeInSeconds": left,
    }


@pytest.mark.parametrize(("seed", "of_resumed"), [(7, 8), (2**30, 2**30 + 1), (2**31 - 1, 0)])
def test_a_resumed_search_has_the_next_seed_that_the_api_takes(seed: int, of_resumed: int) -> None:
    """RandomSeed is less than 2**31 (HyperParameterTuningJobConfig in the API reference)."""
    seeded = {"HyperParameterTuningJobConfig": {"RandomSeed": seed}}
    made = built(own=(parent("own"),), left=3, overrides=seeded)
    assert made["HyperParameterTuningJobConfig"]["RandomSeed"] == of_resumed
