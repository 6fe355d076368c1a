"""Requests that SageMaker is known to refuse are refused at intake, each with its source."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.loaders import Loader
from sagemaker.core.common_utils import instance_supports_kms

from hpo_dispatcher.contract.aws_limits import LOCAL_STORAGE_FAMILIES, family_of
from hpo_dispatcher.contract.errors import InvalidRequest, NotAllowed
from hpo_dispatcher.contract.settings import Guardrails, Limits
from hpo_dispatcher.contract.templates import Template
from hpo_dispatcher.tuning_job.parents import Parent
from hpo_dispatcher.tuning_job.service_limits import (
    check_account_limits,
    check_documented_limits,
    check_inherited,
)
from tests.support.tuning_requests import TEMPLATE, definition, job

KEY = "arn:aws:kms:eu-central-1:123456789012:key/volume"
THREE = {"optimizer": {"type": "categorical", "values": ["adam", "sgd", "lion"]}}
SPOT = {"EnableManagedSpotTraining": True}
STOPPING = "TrainingJobDefinition.StoppingCondition.MaxWaitTimeInSeconds"


def template(**fields: Any) -> Template:
    return TEMPLATE.model_copy(update=fields)


def without_metrics(image: str, entry_point: str | None = None) -> Template:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}
    tuning_job = {"TrainingJobDefinition": {"ResourceConfig": resources}}
    return template(image=image, entry_point=entry_point, tuning_job=tuning_job)


def made_with_image(used: Template, **fields: Any) -> dict[str, Any]:
    assert isinstance(used.image, str)
    algorithm = {"TrainingImage": used.image}
    return job(template=used, **definition(AlgorithmSpecification=algorithm), **fields)


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        pytest.param(
            {"hyperparameter_ranges": THREE, "resource_limits": {"max_training_jobs": 10}},
            "resource_limits.max_training_jobs", "has 3 combinations",
            id="aws/amazon-sagemaker-operator-for-k8s issue 123",
        ),
        pytest.param(
            definition(StoppingCondition={"MaxWaitTimeInSeconds": 3600}),
            STOPPING, "only spot training",
            id="aws/amazon-sagemaker-examples issue 869, Kenza-AI/sagify issue 111",
        ),
        pytest.param(
            definition(**SPOT), STOPPING, "missing",
            id="API reference: StoppingCondition, Managed Spot Training in the developer guide",
        ),
        pytest.param(
            definition(**SPOT, StoppingCondition={"MaxWaitTimeInSeconds": 1799}),
            STOPPING, "1799 is less than MaxRuntimeInSeconds, 1800",
            id="API reference: MaxWaitTimeInSeconds must be at least MaxRuntimeInSeconds",
        ),
        pytest.param(
            definition(ResourceConfig={"InstanceType": "ml.g5.xlarge", "VolumeKmsKeyId": KEY}),
            "TrainingJobDefinition.ResourceConfig.VolumeKmsKeyId", "uses local storage",
            id="API reference: ResourceConfig.VolumeKmsKeyId",
        ),
        pytest.param(
            definition(
                HyperParameterTuningResourceConfig={
                    "InstanceConfigs": [
                        {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10}
                    ],
                    "VolumeKmsKeyId": KEY,
                },
            ),
            "TrainingJobDefinition.HyperParameterTuningResourceConfig.VolumeKmsKeyId",
            "uses local storage",
            id="API reference: HyperParameterTuningResourceConfig.VolumeKmsKeyId",
        ),
        pytest.param(
            definition(ResourceConfig={"InstanceType": "m5.large"}),
            "TrainingJobDefinition.ResourceConfig.InstanceType", "Did you mean ml.m5.large?",
            id="API reference: TrainingInstanceType",
        ),
    ],
)  # fmt: skip
def test_what_sagemaker_is_known_to_refuse_is_refused_at_intake(
    fields: dict[str, Any], field: str, problem: str
) -> None:
    with pytest.raises(InvalidRequest, match=problem.replace("?", r"\?")) as caught:
        job(**fields)
    assert caught.value.field == field


@pytest.mark.parametrize("wait", [1800, 3600])
def test_spot_training_may_wait_as_long_as_it_runs_and_longer(wait: int) -> None:
    job(**definition(**SPOT, StoppingCondition={"MaxWaitTimeInSeconds": wait}))


# Metrics: "A metric is required for this hyperparameter tuning job objective. Provide a metric in
# the metric definitions." (aws/amazon-sagemaker-examples issue 1207)


@pytest.mark.parametrize(
    ("image", "entry_point"),
    [
        ("123456789012.dkr.ecr.eu-central-1.amazonaws.com/mine:1", None),
        ("763104351884.dkr.ecr.eu-central-1.amazonaws.com/pytorch-training:2.10", "train_cpu.py"),
        ("492215442770.dkr.ecr.eu-central-1.amazonaws.com/sagemaker-xgboost:1.7-1", "boost.py"),
    ],
)
def test_a_script_needs_metric_definitions(image: str, entry_point: str | None) -> None:
    with pytest.raises(InvalidRequest, match="no metric definition finds 'validation:auc'"):
        made_with_image(without_metrics(image, entry_point))


@pytest.mark.parametrize(
    "image",
    [
        "492215442770.dkr.ecr.eu-central-1.amazonaws.com/sagemaker-xgboost:1.7-1",
        "438346466558.dkr.ecr.eu-west-1.amazonaws.com/linear-learner:1",
    ],
)
def test_a_built_in_algorithm_has_its_own_metrics(image: str) -> None:
    made_with_image(without_metrics(image))


# Quotas on one tuning job: "Resource limits for automatic model tuning" in the developer guide

PARALLEL = "Number of parallel training jobs per hyperparameter tuning job"
RANDOM = "[Random search] Number of training jobs per hyperparameter tuning job"


def asking(strategy: str, jobs: int, parallel: int) -> dict[str, Any]:
    limits = {"max_training_jobs": jobs, "max_parallel_training_jobs": parallel}
    return {"strategy": strategy, "resource_limits": limits}


@pytest.mark.parametrize(
    ("limits", "fields", "field", "quota"),
    [
        (Limits(), asking("Random", 20, 11), "max_parallel_training_jobs", PARALLEL),
        (Limits(), asking("Bayesian", 20, 11), "max_parallel_training_jobs", PARALLEL),
        (Limits(), asking("Random", 751, 2), "max_training_jobs", RANDOM),
        (Limits(parallel_training_jobs=20), asking("Random", 30, 21),
         "max_parallel_training_jobs", PARALLEL),
        (Limits(random_training_jobs=2000), asking("Random", 2001, 2), "max_training_jobs", RANDOM),
    ],
)  # fmt: skip
def test_more_than_the_account_grants_one_tuning_job_is_refused_with_the_name_of_the_quota(
    limits: Limits, fields: dict[str, Any], field: str, quota: str
) -> None:
    api_request = job(**fields)  # which SageMaker grants by request
    with pytest.raises(InvalidRequest) as caught:
        check_account_limits(api_request, limits)
    assert caught.value.field == f"resource_limits.{field}"
    assert f"'{quota}'" in caught.value.fix
    setting = "random_training_jobs" if quota == RANDOM else "parallel_training_jobs"
    assert f"set limits.{setting} to its new value" in caught.value.fix


@pytest.mark.parametrize(
    ("limits", "fields"),
    [
        (Limits(), asking("Random", 750, 10)),
        (Limits(), asking("Bayesian", 750, 10)),
        (Limits(parallel_training_jobs=100), asking("Hyperband", 200, 100)),
        (Limits(random_training_jobs=10_000), asking("Random", 10_000, 10)),
        # The quota of Random is none of theirs, and theirs cannot be raised.
        (Limits(random_training_jobs=500), asking("Bayesian", 750, 10)),
        (Limits(random_training_jobs=500), asking("Random", 500, 10)),
    ],
)
def test_as_much_as_the_account_grants_one_tuning_job_is_taken(
    limits: Limits, fields: dict[str, Any]
) -> None:
    check_account_limits(job(**fields), limits)


def test_a_search_without_a_number_of_training_jobs_is_within_every_number() -> None:
    """MaxNumberOfTrainingJobs is optional: ResourceLimits in the API reference."""
    config = {"Strategy": "Random", "ResourceLimits": {"MaxParallelTrainingJobs": 1}}
    check_account_limits({"HyperParameterTuningJobConfig": config}, Limits())


@pytest.mark.parametrize(
    ("limits", "total", "inherited", "fits"),
    [
        (Limits(), 250, 500, True),
        (Limits(), 251, 500, False),
        (Limits(random_training_jobs=2000), 1000, 1000, True),
        (Limits(random_training_jobs=2000), 1001, 1000, False),
    ],
)
def test_training_jobs_of_parents_count_toward_the_quota_of_a_random_search(
    limits: Limits, total: int, inherited: int, *, fits: bool
) -> None:
    parents = (Parent(tuning_job_name="p", template="t", training_jobs=inherited),)
    if fits:
        job(limits=limits, parents=parents, **asking("Random", total, 2))
        return
    with pytest.raises(InvalidRequest, match=f"plus {inherited} of its parents exceed") as caught:
        job(limits=limits, parents=parents, **asking("Random", total, 2))
    assert f"'{RANDOM}'" in caught.value.fix


# Local storage

WITH_KEY = Guardrails(volume_kms_key=KEY)


# Families with instance storage in all sizes that the SDK does not know yet. "Amazon EC2 G7
# instances" and "Amazon EC2 P6 instances" (aws.amazon.com) list it in their tables of sizes: 600 GB
# to 2 x 3.8 TB for G7, 8 x 3.84 TB for P6-B300, 3 x 7.5 TB for P6e-GB200.
UNKNOWN_TO_THE_SDK = {"g7", "p6-b300", "p6e-gb200"}


def test_every_family_of_training_instances_has_local_storage_where_the_sdk_says_so() -> None:
    """A new instance type of botocore's model needs a decision: the SDK is the second opinion."""
    model = Loader().load_service_model("sagemaker", "service-2")
    types = model["shapes"]["TrainingInstanceType"]["enum"]
    local = {family_of(each) for each in types if not instance_supports_kms(each)}
    assert local | UNKNOWN_TO_THE_SDK == LOCAL_STORAGE_FAMILIES
    known = {family_of(each) for each in types}
    assert known >= UNKNOWN_TO_THE_SDK
    assert not UNKNOWN_TO_THE_SDK & local, "the SDK knows the family by now"


# Families without local storage, by the tables of sizes on aws.amazon.com/ec2/instance-types.
EBS_ONLY = {
    "c4", "c5", "c5n", "c6i", "c7i", "c7i-flex", "c8i", "c8i-flex", "m4", "m5", "m6i", "m7i",
    "m7i-flex", "m8i", "m8i-flex", "p2", "p3", "r5", "r6i", "r7i", "r8i", "r8i-flex", "t3",
}  # fmt: skip


def test_a_new_family_of_training_instances_is_decided_before_it_is_used() -> None:
    """The SDK takes a family that it does not know for one without local storage."""
    model = Loader().load_service_model("sagemaker", "service-2")
    families = {family_of(each) for each in model["shapes"]["TrainingInstanceType"]["enum"]}
    assert families - LOCAL_STORAGE_FAMILIES == EBS_ONLY


@pytest.mark.parametrize(
    "instance_type",
    [
        "ml.g4dn.xlarge", "ml.g5.xlarge", "ml.g6.xlarge", "ml.g6e.xlarge", "ml.g7.2xlarge",
        "ml.p3dn.24xlarge",
        "ml.p4d.24xlarge", "ml.p4de.24xlarge", "ml.p5.48xlarge", "ml.p5e.48xlarge",
        "ml.trn1.2xlarge", "ml.trn1n.32xlarge", "ml.r5d.large",
    ],
)  # fmt: skip
def test_local_storage_gets_no_volume_key(instance_type: str) -> None:
    made = job(WITH_KEY, **definition(ResourceConfig={"InstanceType": instance_type}))
    assert "VolumeKmsKeyId" not in made["TrainingJobDefinition"]["ResourceConfig"]


@pytest.mark.parametrize("instance_type", ["ml.m5.large", "ml.c5.xlarge", "ml.p3.2xlarge"])
def test_other_volumes_get_the_key_of_the_deployment(instance_type: str) -> None:
    made = job(WITH_KEY, **definition(ResourceConfig={"InstanceType": instance_type}))
    assert made["TrainingJobDefinition"]["ResourceConfig"]["VolumeKmsKeyId"] == KEY


def test_a_mix_of_both_kinds_would_leave_a_volume_without_the_key_and_is_refused() -> None:
    configs = [
        {"InstanceType": each, "InstanceCount": 1, "VolumeSizeInGB": 10}
        for each in ("ml.m5.large", "ml.g5.xlarge")
    ]
    mixed = definition(HyperParameterTuningResourceConfig={"InstanceConfigs": configs})
    with pytest.raises(NotAllowed, match=r"required for ml\.m5\.large"):
        job(WITH_KEY, **mixed)


def plain(
    strategy: str = "Bayesian", total: int | None = 20, parallel: int = 5, **fields: Any
) -> dict[str, Any]:
    """Return a request that SageMaker takes; ``fields`` change its definition."""
    limits = {"MaxParallelTrainingJobs": parallel}
    limits |= {} if total is None else {"MaxNumberOfTrainingJobs": total}
    lr = {"Name": "lr", "MinValue": "0.1", "MaxValue": "1"}
    return {
        "HyperParameterTuningJobConfig": {
            "Strategy": strategy, "ResourceLimits": limits,
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "auc"},
            "ParameterRanges": {"ContinuousParameterRanges": [lr]},
        },
        "TrainingJobDefinition": {
            "AlgorithmSpecification": {
                "TrainingImage": "i", "MetricDefinitions": [{"Name": "auc", "Regex": "a"}]
            },
            "ResourceConfig": {"InstanceType": "ml.m5.large"},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        } | fields,
    }  # fmt: skip


def searching(*names: str) -> dict[str, Any]:
    each = [{"Name": name, "MinValue": "0", "MaxValue": "1"} for name in names]
    return {"HyperParameterRanges": {"ContinuousParameterRanges": each}}


def with_config(**fields: Any) -> dict[str, Any]:
    made = plain()
    made["HyperParameterTuningJobConfig"] |= fields
    return made


def without_ranges() -> dict[str, Any]:
    """Return a request of which SageMaker chooses the ranges."""
    made = plain()
    del made["HyperParameterTuningJobConfig"]["ParameterRanges"]
    return made | {"Autotune": {"Mode": "Enabled"}}


def with_metrics(*names: str, **fields: Any) -> dict[str, Any]:
    metrics = [{"Name": name, "Regex": "x"} for name in names]
    return plain(
        AlgorithmSpecification={"TrainingImage": "i", "MetricDefinitions": metrics}, **fields
    )


TOTAL, PARALLEL = "resource_limits.max_training_jobs", "resource_limits.max_parallel_training_jobs"
SPLIT = "Split it over several requests; `hpoq campaign plan` does"
NO_EPOCHS = (
    "overrides.HyperParameterTuningJobConfig.StrategyConfig",
    "Hyperband needs MaxResource, and no fixed hyperparameter gives a number of epochs",
    'Set it to {"HyperbandStrategyConfig": {"MaxResource": 27}}, or fix a number of epochs',
)


@pytest.mark.parametrize(
    ("request_", "inherited", "said"),
    [
        (plain(total=751), 0,
         (TOTAL, "751 training jobs exceed the limit of 750 for strategy Bayesian", SPLIT)),
        (plain(total=745), 6,
         (TOTAL, "745 training jobs plus 6 of its parents exceed the limit of 750 for strategy "
          "Bayesian", SPLIT)),
        (plain("Random", total=10_001), 0,
         (TOTAL, "10001 training jobs exceed the limit of 10000 for strategy Random", SPLIT)),
        (plain(total=4), 0,
         (PARALLEL, "5 in parallel, but only 4 in total", "Lower it or raise max_training_jobs")),
        (with_config(Strategy="Hyperband", TrainingJobEarlyStoppingType="Auto"), 0,
         ("overrides.HyperParameterTuningJobConfig.TrainingJobEarlyStoppingType",
          "Hyperband stops training jobs itself", "Set it to Off")),
        (with_config(Strategy="Hyperband"), 0, NO_EPOCHS),
        (with_config(Strategy="Hyperband",
                     StrategyConfig={"HyperbandStrategyConfig": {"MinResource": 3}}),
         0, NO_EPOCHS),
        (plain(**searching("a", "a")), 0,
         ("hyperparameter_ranges.a", "both searched and fixed, or given twice",
          "Keep one of them")),
        (plain(StaticHyperParameters={"lr": "1"}), 0,
         ("hyperparameter_ranges.lr", "both searched and fixed, or given twice",
          "Keep one of them")),
        (plain(**searching("sagemaker_x")), 0,
         ("hyperparameter_ranges.sagemaker_x",
          "names that begin with sagemaker_ are reserved for the container",
          "Rename the hyperparameter")),
        (plain(ResourceConfig={}), 0,
         ("overrides.TrainingJobDefinition.ResourceConfig",
          "missing, so there is no instance type", "Add it")),
        (with_config(HyperParameterTuningJobObjective={}), 0,
         ("objective", "missing", "Name the metric to optimize")),
        (with_metrics(), 0,
         ("objective.metric", "no metric definition finds 'auc' in the log of the training jobs",
          "Add it to AlgorithmSpecification.MetricDefinitions")),
        (plain(AlgorithmSpecification={"TrainingInputMode": "File"}), 0,
         ("objective.metric", "no metric definition finds 'auc' in the log of the training jobs",
          "Add it to AlgorithmSpecification.MetricDefinitions")),
        (with_metrics("f1", "loss"), 0,
         ("objective.metric", "no metric definition has the name 'auc'", "Use one of f1, loss")),
        (plain(StoppingCondition={"MaxWaitTimeInSeconds": 9}), 0,
         (STOPPING, "only spot training accepts it",
          "Remove it, or set EnableManagedSpotTraining to true")),
        (plain(**SPOT), 0,
         (STOPPING, "missing",
          "Set it to at least 60: spot training waits and runs no longer than this")),
        (plain(**SPOT, StoppingCondition={"MaxWaitTimeInSeconds": 86_399}), 0,
         (STOPPING, "86399 is less than MaxRuntimeInSeconds, 86400",
          "Set it to at least 86400: spot training waits and runs no longer than this")),
    ],
)  # fmt: skip
def test_a_refusal_says_what_is_wrong_and_how_to_fix_it(
    request_: dict[str, Any], inherited: int, said: tuple[str, str, str]
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_documented_limits(request_, inherited)
    assert (refused.value.field, refused.value.problem, refused.value.fix) == said


@pytest.mark.parametrize(
    ("request_", "inherited"),
    [
        (plain(), 0),
        (plain(total=750), 0),
        (plain(total=745), 5),
        (plain("Random", total=10_000), 0),
        (plain(total=5), 0),
        (plain(total=None), 0),
        (with_config(Strategy="Hyperband", TrainingJobEarlyStoppingType="Off",
                     StrategyConfig={"HyperbandStrategyConfig": {"MaxResource": 9}}), 0),
        (plain("Hyperband", StaticHyperParameters={"epochs": "9"}), 0),
        (without_ranges(), 0),
        (with_config(TrainingJobEarlyStoppingType="Auto"), 0),
        (plain(**searching("a", "b"), StaticHyperParameters={"lr": "1"}), 0),
        (plain(**searching("x_sagemaker_")), 0),
        (with_metrics("f1", "auc"), 0),
        (with_metrics("f1", TuningObjective={"Type": "Minimize", "MetricName": "f1"}), 0),
        (plain(**SPOT, StoppingCondition={"MaxWaitTimeInSeconds": 86_400}), 0),
        (plain(**SPOT, StoppingCondition={"MaxWaitTimeInSeconds": 60, "MaxRuntimeInSeconds": 60}),
         0),
    ],
)  # fmt: skip
def test_what_is_just_within_the_limits_of_sagemaker_is_taken(
    request_: dict[str, Any], inherited: int
) -> None:
    check_documented_limits(request_, inherited)


@pytest.mark.parametrize(
    ("total", "inherited", "refused"),
    [(50, 0, False), (49, 1, False), (50, 1, True), (51, 0, False), (51, 9, False)],
)
def test_parents_count_toward_the_quota_of_a_search_that_is_within_it_by_itself(
    total: int, inherited: int, refused: bool
) -> None:
    """A search that exceeds the quota by itself was accepted before its setting was lowered."""
    limits = Limits(random_training_jobs=50)
    check_inherited(plain("Bayesian", total), inherited, limits)
    if not refused:
        check_inherited(plain("Random", total), inherited, limits)
        return
    with pytest.raises(InvalidRequest) as caught:
        check_inherited(plain("Random", total), inherited, limits)
    assert caught.value.field == TOTAL
    assert caught.value.problem == (
        "50 training jobs plus 1 of its parents exceed this account's limit of 50 for strategy "
        "Random"
    )
    assert caught.value.fix.startswith("Lower it, or have AWS raise the quota '[Random search] Nu")
    assert caught.value.fix.endswith("and set limits.random_training_jobs to its new value")


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (plain(total=50) | {"Tags": []}, None),
        (
            with_config(ResourceLimits={"MaxParallelTrainingJobs": 7}),
            (
                PARALLEL,
                "7 in parallel exceed this account's limit of 6",
                "Lower it, or have AWS raise the quota",
            ),
        ),
        (plain("Random", total=50), None),
        (
            plain("Random", total=51),
            (
                TOTAL,
                "51 training jobs exceed this account's limit of 50 for strategy Random",
                "Split it over several requests (`hpoq campaign plan` does), or have AWS raise the",
            ),
        ),
        (plain("Bayesian", total=51), None),
        (plain("Random", total=None), None),
    ],
)
def test_an_account_that_grants_less_says_what_to_lower_to_split_or_to_raise(
    request_: dict[str, Any], said: tuple[str, str, str] | None
) -> None:
    limits = Limits(random_training_jobs=50, parallel_training_jobs=6)
    if said is None:
        check_account_limits(request_, limits)
        return
    with pytest.raises(InvalidRequest) as caught:
        check_account_limits(request_, limits)
    field, problem, fix = said
    assert (caught.value.field, caught.value.problem) == (field, problem)
    assert caught.value.fix.startswith(fix)
