from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_dispatcher.contract.errors import InvalidRequest, NotAllowed
from hpo_dispatcher.contract.names import tuning_job_name
from hpo_dispatcher.contract.settings import Guardrails
from hpo_dispatcher.contract.templates import Template
from hpo_dispatcher.tuning_job.parents import Parent
from hpo_dispatcher.tuning_job.usage import instances_of
from tests.support.tuning_requests import (
    ENVIRONMENT,
    IMAGE,
    RANGES,
    ROLE,
    STRICT,
    TEMPLATE,
    definition,
    job,
)


def refusal(guardrails: Guardrails | None = None, **fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        job(guardrails, **fields)
    return caught.value


# Merging


def test_a_message_with_ranges_alone_takes_everything_else_from_the_template() -> None:
    made = job()
    config = made["HyperParameterTuningJobConfig"]
    assert config["Strategy"] == "Bayesian"
    assert config["HyperParameterTuningJobObjective"]["MetricName"] == "validation:auc"
    assert config["ParameterRanges"]["ContinuousParameterRanges"] == [
        {"Name": "lr", "MinValue": "0.001", "MaxValue": "0.1", "ScalingType": "Auto"}
    ]
    training = made["TrainingJobDefinition"]
    assert training["RoleArn"] == ROLE
    assert training["StaticHyperParameters"]["sagemaker_program"] == "train_cpu.py"
    assert training["AlgorithmSpecification"]["TrainingImage"] == IMAGE
    assert training["OutputDataConfig"]["S3OutputPath"] == "s3://artifacts/teams/fraud/output/"


def test_a_hyperparameter_that_is_searched_drops_out_of_the_templates_static_ones() -> None:
    ranges = {"epochs": {"type": "integer", "min": 1, "max": 5}}
    static = job(hyperparameter_ranges=ranges)["TrainingJobDefinition"]["StaticHyperParameters"]
    assert "epochs" not in static
    assert job()["TrainingJobDefinition"]["StaticHyperParameters"]["epochs"] == "12"


def test_the_message_wins_over_the_template_and_overrides_win_over_both() -> None:
    made = job(
        strategy="Random",
        **definition(ResourceConfig={"InstanceType": "ml.c5.xlarge"}),
    )
    assert made["HyperParameterTuningJobConfig"]["Strategy"] == "Random"
    resources = made["TrainingJobDefinition"]["ResourceConfig"]
    assert resources == {
        "InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10
    }  # fmt: skip


def test_default_parallelism_gives_way_to_fewer_training_jobs() -> None:
    limits = job(resource_limits={"max_training_jobs": 2})["HyperParameterTuningJobConfig"]
    assert limits["ResourceLimits"]["MaxParallelTrainingJobs"] == 2


def test_every_request_is_tagged_with_whose_it_is() -> None:
    tags = {tag["Key"]: tag["Value"] for tag in job(tags={"project": "x"})["Tags"]}
    assert tags == {
        "project": "x", "hpoq:request-id": "r1", "hpoq:team": "fraud", "hpoq:deployment": "hpoq"
    }  # fmt: skip


def test_several_definitions_each_stand_on_the_templates_one() -> None:
    big = {"ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 3}}
    made = job(overrides={"TrainingJobDefinitions": [{"DefinitionName": "small"}, big]})
    assert "TrainingJobDefinition" not in made
    assert "ParameterRanges" not in made["HyperParameterTuningJobConfig"]
    small, large = made["TrainingJobDefinitions"]
    assert small["DefinitionName"] == "small"
    assert small["TuningObjective"]["MetricName"] == "validation:auc"
    assert large["HyperParameterRanges"]["ContinuousParameterRanges"][0]["Name"] == "lr"
    assert instances_of(made) == {
        "ml.m5.large": 2, "ml.m5.xlarge": 6, "all training instances": 6
    }  # fmt: skip


def test_spot_training_counts_apart_from_on_demand_training() -> None:
    big = {"ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 3}}
    spot = {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxWaitTimeInSeconds": 3600},
    }
    made = job(overrides={"TrainingJobDefinitions": [{**big, **spot}, big, spot]})
    assert instances_of(made) == {
        "ml.m5.xlarge (spot)": 6, "ml.m5.xlarge": 6, "ml.m5.large (spot)": 2,
        "all spot training instances": 6,
    }  # fmt: skip


M5, C5, G5 = "ml.m5.large", "ml.c5.xlarge", "ml.g5.xlarge"
TOTAL, SPOT_TOTAL = "all training instances", "all spot training instances"


def of_type(instance_type: str, count: int = 1, *, spot: bool = False) -> dict[str, Any]:
    resources = {"InstanceType": instance_type, "InstanceCount": count}
    return {"ResourceConfig": resources, "EnableManagedSpotTraining": spot}


def group(instance_type: str, count: int) -> dict[str, Any]:
    return {"InstanceGroupName": "g", "InstanceType": instance_type, "InstanceCount": count}


def choosing(**resources: Any) -> dict[str, Any]:
    return {"HyperParameterTuningResourceConfig": resources}


def in_order(*preferences: dict[str, Any], **resources: Any) -> dict[str, Any]:
    return {"ResourceConfig": {"InstancePreferences": list(preferences), **resources}}


# MaxParallelTrainingJobs is "the maximum number of concurrent training jobs that a hyperparameter
# tuning job can launch" (ResourceLimits in the API reference), over all of its definitions.
@pytest.mark.parametrize(
    ("parallel", "several", "instances"),
    [
        (10, [of_type(M5)], {M5: 10}),
        (10, [of_type(M5), of_type(M5)], {M5: 10}),
        (10, [of_type(M5), of_type(M5, 3)], {M5: 30}),
        (10, [of_type(M5), of_type(C5)], {M5: 10, C5: 10, TOTAL: 10}),
        (10, [of_type(M5, 2), of_type(C5, 3)], {M5: 20, C5: 30, TOTAL: 30}),
        (1, [of_type(M5), of_type(C5), of_type(G5)], {M5: 1, C5: 1, G5: 1, TOTAL: 1}),
        # On demand and spot have totals of their own.
        (4, [of_type(M5), of_type(M5, spot=True)], {M5: 4, f"{M5} (spot)": 4}),
        (4, [of_type(M5, spot=True), of_type(C5, spot=True)],
         {f"{M5} (spot)": 4, f"{C5} (spot)": 4, SPOT_TOTAL: 4}),
        # All groups of a cluster run at once: InstanceGroup in the API reference.
        (2, [{"ResourceConfig": {"InstanceGroups": [group(M5, 1), group(G5, 2)]}}],
         {M5: 2, G5: 4}),
        (2, [{"ResourceConfig": {"InstanceGroups": [group(M5, 1), group(M5, 2)]}}], {M5: 6}),
        (2, [{"ResourceConfig": {"InstanceGroups": [group(M5, 1), group(G5, 2)]}}, of_type(C5, 2)],
         {M5: 2, G5: 4, C5: 4, TOTAL: 6}),
        # SageMaker uses one of several configurations or preferences. One count may be for all of
        # the preferences: InstancePreference in the API reference.
        (3, [choosing(InstanceConfigs=[{"InstanceType": M5, "InstanceCount": 1},
                                       {"InstanceType": G5, "InstanceCount": 2}])],
         {M5: 3, G5: 6, TOTAL: 6}),
        (3, [in_order({"InstanceType": M5, "InstanceCount": 4},
                      {"InstanceType": G5, "InstanceCount": 1})], {M5: 12, G5: 3, TOTAL: 12}),
        (3, [in_order({"InstanceType": M5}, {"InstanceType": G5}, InstanceCount=2)],
         {M5: 6, G5: 6, TOTAL: 6}),
    ],
)  # fmt: skip
def test_the_instances_that_a_tuning_job_may_use_at_once(
    parallel: int, several: list[dict[str, Any]], instances: dict[str, int]
) -> None:
    api_request = {
        "HyperParameterTuningJobConfig": {"ResourceLimits": {"MaxParallelTrainingJobs": parallel}},
        "TrainingJobDefinitions": several,
    }
    assert instances_of(api_request) == instances


def with_resources(**resources: Any) -> Template:
    training = TEMPLATE.tuning_job["TrainingJobDefinition"] | {"ResourceConfig": resources}
    return TEMPLATE.model_copy(update={"tuning_job": {"TrainingJobDefinition": training}})


ONE = with_resources(InstanceType=M5, InstanceCount=1, VolumeSizeInGB=10)
CLUSTER = with_resources(InstanceGroups=[group(M5, 3)], VolumeSizeInGB=10)
PREFERRED = with_resources(InstancePreferences=[{"InstanceType": M5}], InstanceCount=4)
CONFIGS = [{"InstanceType": G5, "InstanceCount": 2, "VolumeSizeInGB": 50}]


# "Use HyperParameterTuningResourceConfig instead" of ResourceConfig; "InstancePreferences is
# mutually exclusive with InstanceType, InstanceGroups": the API reference of both.
@pytest.mark.parametrize(
    ("template", "asked", "found", "instances"),
    [
        (ONE, choosing(InstanceConfigs=CONFIGS), choosing(InstanceConfigs=CONFIGS), {G5: 4}),
        (ONE, choosing(InstanceType=G5, InstanceCount=3),
         choosing(InstanceType=G5, InstanceCount=3), {G5: 6}),
        (ONE, {"ResourceConfig": {"InstanceGroups": [group(G5, 2)]}},
         {"ResourceConfig": {"InstanceGroups": [group(G5, 2)], "VolumeSizeInGB": 10}}, {G5: 4}),
        (ONE, in_order({"InstanceType": G5, "InstanceCount": 1}),
         {"ResourceConfig": {"InstancePreferences": [{"InstanceType": G5, "InstanceCount": 1}],
                             "VolumeSizeInGB": 10}}, {G5: 2}),
        (CLUSTER, {"ResourceConfig": {"InstanceType": G5, "InstanceCount": 1}},
         {"ResourceConfig": {"InstanceType": G5, "InstanceCount": 1, "VolumeSizeInGB": 10}},
         {G5: 2}),
        (PREFERRED, {"ResourceConfig": {"InstanceType": G5}},
         {"ResourceConfig": {"InstanceType": G5, "InstanceCount": 4}}, {G5: 8}),
        (PREFERRED, {"ResourceConfig": {"InstanceGroups": [group(G5, 2)]}},
         {"ResourceConfig": {"InstanceGroups": [group(G5, 2)]}}, {G5: 4}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("several", [False, True])
def test_the_instances_of_overrides_replace_those_of_the_template(
    template: Template,
    asked: dict[str, Any],
    found: dict[str, Any],
    instances: dict[str, int],
    *,
    several: bool,
) -> None:
    overrides = {"TrainingJobDefinitions": [asked]} if several else {"TrainingJobDefinition": asked}
    made = job(template=template, overrides=overrides)
    (training,) = made["TrainingJobDefinitions"] if several else [made["TrainingJobDefinition"]]
    fields = ("ResourceConfig", "HyperParameterTuningResourceConfig")
    assert {name: training[name] for name in fields if name in training} == found
    assert instances_of(made) == instances


def test_an_algorithm_of_overrides_replaces_the_image_of_the_template() -> None:
    made = job(**definition(AlgorithmSpecification={"AlgorithmName": "mine"}))
    algorithm = made["TrainingJobDefinition"]["AlgorithmSpecification"]
    assert algorithm["AlgorithmName"] == "mine"
    assert "TrainingImage" not in algorithm


def test_a_grid_runs_all_its_points() -> None:
    ranges = {
        "lr": {"type": "categorical", "values": [0.1, 0.2, 0.3]},
        "momentum": {"type": "categorical", "values": [0, 0.9]},
    }
    limits = job(strategy="Grid", hyperparameter_ranges=ranges)["HyperParameterTuningJobConfig"]
    assert limits["ResourceLimits"] == {
        "MaxNumberOfTrainingJobs": 6, "MaxParallelTrainingJobs": 2
    }  # fmt: skip


def test_parents_are_warm_start_parents_and_their_kind_follows_from_the_template() -> None:
    def parent(template: str) -> Parent:
        return Parent(tuning_job_name="fraud-p-1", template=template, training_jobs=10)

    named = {"template": "credit-default-cpu"}
    same = job(parents=(parent("credit-default-cpu"),), named=named)
    assert same["WarmStartConfig"]["ParentHyperParameterTuningJobs"] == [
        {"HyperParameterTuningJobName": "fraud-p-1"}
    ]
    assert same["WarmStartConfig"]["WarmStartType"] == "IdenticalDataAndAlgorithm"
    other = job(parents=(parent("vision"),), named=named)
    assert other["WarmStartConfig"]["WarmStartType"] == "TransferLearning"


# Limits


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"resource_limits": {"max_training_jobs": 751}}, "resource_limits.max_training_jobs"),
        (
            {"resource_limits": {"max_training_jobs": 2, "max_parallel_training_jobs": 3}},
            "resource_limits.max_parallel_training_jobs",
        ),
        ({"strategy": "Grid"}, "hyperparameter_ranges.lr"),
        ({"objective": {"metric": "accuracy", "type": "Maximize"}}, "objective.metric"),
        ({"hyperparameter_ranges": {"sagemaker_program": RANGES["lr"]}},
         "hyperparameter_ranges.sagemaker_program"),
        ({"overrides": {"RoleArn": ROLE}}, "overrides.RoleArn"),
        ({"overrides": {"HyperParameterTuningJobName": "x"}},
         "overrides.HyperParameterTuningJobName"),
        ({"overrides": {"Tags": []}}, "overrides.Tags"),
        ({"overrides": {"HyperParameterTuningJobConfg": {}}}, "HyperParameterTuningJobConfg"),
        ({"overrides": {"TrainingJobDefinition": 3}}, "TrainingJobDefinition"),
        ({"overrides": {"TrainingJobDefinitions": {}}}, "overrides.TrainingJobDefinitions"),
        (definition(ResourceConfig={"InstanceType": "ml.m5.huge"}),
         "TrainingJobDefinition.ResourceConfig.InstanceType"),
        (definition(ResourceConfig=None), "TrainingJobDefinition.ResourceConfig"),
        (definition(StoppingCondition={"MaxRuntimeInSeconds": True}),
         "TrainingJobDefinition.StoppingCondition.MaxRuntimeInSeconds"),
        (definition(Environment={f"E{i}": "x" for i in range(49)}),
         "TrainingJobDefinition.Environment"),
        (definition(StaticHyperParameters={"lr": "1"}), "hyperparameter_ranges.lr"),
        (
            {
                "strategy": "Hyperband",
                "overrides": {
                    "HyperParameterTuningJobConfig": {"TrainingJobEarlyStoppingType": "Auto"}
                },
            },
            "overrides.HyperParameterTuningJobConfig.TrainingJobEarlyStoppingType",
        ),
    ],
)  # fmt: skip
def test_what_sagemaker_would_refuse_is_refused_before(fields: dict[str, Any], field: str) -> None:
    assert refusal(**fields).field == field


def test_random_may_run_ten_thousand_training_jobs() -> None:
    job(strategy="Random", resource_limits={"max_training_jobs": 10_000})


def test_a_misspelled_api_field_gets_a_suggestion() -> None:
    error = refusal(**definition(ResourceConfig={"InstanceTyp": "ml.m5.large"}))
    assert error.fix == "Did you mean InstanceType?"


def test_earlier_tuning_jobs_of_a_parent_are_parents_as_far_as_the_limit_has_room() -> None:
    """The limit of 750 has room for 730 training jobs beside the request's own 20."""
    sizes = {"last": 100, "too-many": 631, "fits": 600, "no-room-left": 100, "just-fits": 30}
    parents = tuple(
        Parent(
            tuning_job_name=name, template="credit-default-cpu", training_jobs=size,
            earlier=name != "last",
        )
        for name, size in sizes.items()
    )  # fmt: skip
    chosen = job(parents=parents)["WarmStartConfig"]["ParentHyperParameterTuningJobs"]
    names = [each["HyperParameterTuningJobName"] for each in chosen]
    assert names == ["last", "fits", "just-fits"]


def test_training_jobs_of_parents_count_towards_the_limit() -> None:
    parents = (Parent(tuning_job_name="p", template="credit-default-cpu", training_jobs=740),)
    with pytest.raises(InvalidRequest, match="20 training jobs plus 740 of its parents"):
        job(parents=parents)


# Names


@given(st.from_regex(r"[a-z][a-z0-9-]{0,19}", fullmatch=True),
       st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True))  # fmt: skip
def test_a_tuning_job_name_is_always_one_sagemaker_takes(team: str, request_id: str) -> None:
    name = tuning_job_name(team, request_id)
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,31}", name)
    assert name == tuning_job_name(team, request_id)


def test_names_differ_where_ids_differ_in_case_or_after_the_cut() -> None:
    long = "x" * 60
    names = {tuning_job_name("fraud", each) for each in ("a", "A", long + "1", long + "2")}
    assert len({name.lower() for name in names}) == 4


# Guardrails


def test_what_the_deployment_prescribes_is_put_in() -> None:
    made = job(STRICT, tags={"project": "x"})["TrainingJobDefinition"]
    assert made["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    assert made["ResourceConfig"]["VolumeKmsKeyId"] == "key-1"
    assert made["OutputDataConfig"]["KmsKeyId"] == "key-2"
    assert made["EnableNetworkIsolation"] is True
    assert made["EnableInterContainerTrafficEncryption"] is True
    assert made["EnableManagedSpotTraining"] is True
    assert made["StoppingCondition"]["MaxWaitTimeInSeconds"] >= 1800


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        (definition(RoleArn="arn:aws:iam::123456789012:role/admin"), "RoleArn"),
        (definition(VpcConfig={"Subnets": ["subnet-2"]}), "VpcConfig.Subnets"),
        (definition(OutputDataConfig={"KmsKeyId": "other"}), "OutputDataConfig.KmsKeyId"),
        (definition(ResourceConfig={"VolumeKmsKeyId": "other"}), "ResourceConfig.VolumeKmsKeyId"),
        (definition(EnableNetworkIsolation=False), "EnableNetworkIsolation"),
        (definition(EnableManagedSpotTraining=False), "EnableManagedSpotTraining"),
        (definition(ResourceConfig={"InstanceType": "ml.p4d.24xlarge"}),
         "TrainingJobDefinition.ResourceConfig.InstanceType"),
        (definition(ResourceConfig={"InstanceCount": 2}),
         "TrainingJobDefinition.ResourceConfig.InstanceCount"),
        (definition(ResourceConfig={"VolumeSizeInGB": 51}),
         "TrainingJobDefinition.ResourceConfig.VolumeSizeInGB"),
        (definition(ResourceConfig={"KeepAlivePeriodInSeconds": 60}),
         "TrainingJobDefinition.ResourceConfig.KeepAlivePeriodInSeconds"),
        (definition(AlgorithmSpecification={"TrainingImage": "evil/image"}),
         "TrainingJobDefinition.AlgorithmSpecification.TrainingImage"),
        (definition(StoppingCondition={"MaxRuntimeInSeconds": 3601, "MaxWaitTimeInSeconds": 9999}),
         "TrainingJobDefinition.StoppingCondition.MaxRuntimeInSeconds"),
        (definition(OutputDataConfig={"S3OutputPath": "s3://elsewhere/"}),
         "TrainingJobDefinition.OutputDataConfig.S3OutputPath"),
        (definition(CheckpointConfig={"S3Uri": "s3://artifacts/output-evil/"}),
         "TrainingJobDefinition.CheckpointConfig.S3Uri"),
        (definition(StaticHyperParameters={"sagemaker_submit_directory": "s3://evil/x.tar.gz"}),
         "TrainingJobDefinition.StaticHyperParameters.sagemaker_submit_directory"),
        ({"resource_limits": {"max_training_jobs": 51}}, "resource_limits.max_training_jobs"),
        ({"resource_limits": {"max_parallel_training_jobs": 6}},
         "resource_limits.max_parallel_training_jobs"),
        ({"tags": {}}, "tags.project"),
    ],
)  # fmt: skip
def test_a_message_cannot_ask_for_more_than_the_guardrails(
    fields: dict[str, Any], field: str
) -> None:
    error = refusal(STRICT, **{"tags": {"project": "x"}, **fields})
    assert isinstance(error, NotAllowed)
    assert error.field == field


def channel(uri: str, kind: str = "S3Prefix") -> dict[str, Any]:
    source = {"S3DataType": kind, "S3Uri": uri}
    channels = [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}]
    return definition(InputDataConfig=channels)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://artifacts/data-evil/x",
        "s3://artifacts/dat",
        "s3://artifacts/",
        "s3://other/data/",
        "s3://lake/data-evil/x",
        "s3://lake/dat",
        "s3://lake/",
        "https://artifacts.s3.amazonaws.com/data-evil/x",
    ],
)
def test_input_outside_the_allowed_prefixes_is_refused(uri: str) -> None:
    with pytest.raises(NotAllowed):
        job(Guardrails(input_prefixes=("s3://lake/data",)), **channel(uri))


def test_input_below_an_allowed_prefix_is_taken() -> None:
    job(Guardrails(input_prefixes=("s3://lake/data",)), **channel("s3://lake/data/x"))


def test_a_manifest_could_name_any_place_and_is_refused_where_places_are_limited() -> None:
    guardrails = Guardrails(input_prefixes=("s3://artifacts/data",))
    with pytest.raises(NotAllowed):
        job(guardrails, **channel("s3://artifacts/data/x", "ManifestFile"))


@pytest.mark.parametrize(
    "uri", ["s3://artifacts/output/vision/", "s3://artifacts/out", "s3://artifacts/output/"]
)
def test_a_team_cannot_read_anothers_results(uri: str) -> None:
    with pytest.raises(NotAllowed, match="not a location that the team's training jobs may read"):
        job(**channel(uri))


@pytest.mark.parametrize(
    "uri", ["s3://artifacts/output/vision/", "s3://artifacts/data/", "s3://artifacts"]
)
def test_a_team_cannot_write_where_another_does(uri: str) -> None:
    with pytest.raises(
        NotAllowed, match="not a location to which the team's training jobs may write"
    ):
        job(**definition(OutputDataConfig={"S3OutputPath": uri}))


def test_a_target_for_the_objective_that_is_no_number_is_refused() -> None:
    criteria = {"TargetObjectiveMetricValue": "high"}
    with pytest.raises(InvalidRequest) as caught:
        job(overrides={"HyperParameterTuningJobConfig": {"TuningJobCompletionCriteria": criteria}})
    assert caught.value.field.endswith("TuningJobCompletionCriteria.TargetObjectiveMetricValue")


def test_a_script_is_told_the_region_that_its_container_takes_from_sagemaker() -> None:
    """The toolkit in SageMaker's images reads sagemaker_region from the hyperparameters."""
    static = job()["TrainingJobDefinition"]["StaticHyperParameters"]
    assert static["sagemaker_region"] == ENVIRONMENT.region
