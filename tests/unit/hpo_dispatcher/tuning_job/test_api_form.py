"""Requests in API form reach SageMaker unchanged, except for what the deployment owns."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import boto3
import jsonschema
import pytest
from botocore.validate import ParamValidator

from hpo_dispatcher.contract.errors import InvalidRequest, NotAllowed
from hpo_dispatcher.contract.message import json_schema, parse_fields, request_id_of
from hpo_dispatcher.contract.names import tuning_job_name
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.contract.settings import Guardrails, Limits, Vpc
from hpo_dispatcher.tuning_job.api.form import NO_TEMPLATE, problems_of
from hpo_dispatcher.tuning_job.build import build
from hpo_dispatcher.tuning_job.parents import Parent, Resumption
from tests.support.tuning_requests import ENVIRONMENT, ROLE, captured_requests

# Requests that the SageMaker SDKs 2.257.7 and 3.27.0 send for the tuners of their tests,
# documentation and example notebooks, and requests in the documentation of AWS and of other tools.
# Where `values` is `source`, the ranges, limits, objective and hyperparameters are those of the
# source, where it has them. Elsewhere, the source is named as `shape of`: it describes or creates a
# request with these fields, and the values are made for these tests, as are all accounts, buckets
# and versions of images.
CAPTURED = captured_requests()
ENFORCING = Guardrails(
    vpc=Vpc(subnets=("subnet-9",), security_group_ids=("sg-9",)),
    output_kms_key="output-key",
    volume_kms_key="volume-key",
    inter_container_encryption=True,
)
TEAMS = ("fraud", "vision")
# All buckets and file systems that the captured requests name.
OPEN = Guardrails(
    output_prefixes=tuple(set(re.findall(r"s3://[a-z0-9.-]+", json.dumps(CAPTURED)))),
    output_file_systems=tuple(set(re.findall(r"fs-[0-9a-f]+", json.dumps(CAPTURED)))),
)


def accepted(message: dict[str, Any]) -> TuningRequest:
    parsed = parse_fields(message, "message-1")
    assert isinstance(parsed, TuningRequest)
    return TuningRequest.model_validate_json(parsed.to_json())  # as the ledger stores it


def built(
    message: dict[str, Any],
    guardrails: Guardrails | None = None,
    parents: tuple[Parent, ...] = (),
    resumption: Resumption | None = None,
) -> dict[str, Any]:
    rules = guardrails or Guardrails()
    return build(
        accepted(message),
        "fraud",
        NO_TEMPLATE,
        rules,
        ENVIRONMENT,
        image="",
        limits=Limits(),
        team_guardrails=None if rules.input_prefixes else OPEN,
        parents=parents,
        resumption=resumption,
        teams=TEAMS,
    )


def definitions(api_request: dict[str, Any]) -> list[dict[str, Any]]:
    single = api_request.get("TrainingJobDefinition")
    found: list[dict[str, Any]] = [single] if single else api_request["TrainingJobDefinitions"]
    return found


def without_what_is_owned(api_request: dict[str, Any], *paths: str) -> dict[str, Any]:
    """Return a copy without name, tags, and some fields of the definitions."""
    copy: dict[str, Any] = json.loads(json.dumps(api_request))
    copy.pop("HyperParameterTuningJobName")
    copy.pop("Tags", None)
    for definition in definitions(copy):
        for path in paths:
            *parents, last = path.split(".")
            here = definition
            for name in parents:
                here = here.get(name, {})
            here.pop(last, None)
    return copy


def test_there_are_100_captured_requests_of_all_kinds() -> None:
    requests = [each["request"] for each in CAPTURED]
    texts = {json.dumps(without_what_is_owned(each), sort_keys=True) for each in requests}
    assert len(texts) == len(CAPTURED) >= 100
    strategies = {each["HyperParameterTuningJobConfig"]["Strategy"] for each in requests}
    assert strategies == {"Bayesian", "Random", "Hyperband", "Grid"}
    kinds: dict[str, Callable[[dict[str, Any]], Any]] = {
        "several algorithms": lambda each: "TrainingJobDefinitions" in each,
        "autotune": lambda each: "Autotune" in each,
        "warm start": lambda each: "WarmStartConfig" in each,
        "spot": lambda each: definitions(each)[0].get("EnableManagedSpotTraining"),
        "VPC": lambda each: "VpcConfig" in definitions(each)[0],
    }
    assert [kind for kind, is_of in kinds.items() if not any(map(is_of, requests))] == []
    for each in CAPTURED:
        assert each["source"].startswith("shape of ") == (each["values"] == "test"), each["source"]
    assert {each["values"] for each in CAPTURED} == {"source", "test"}


@pytest.mark.parametrize("captured", CAPTURED, ids=lambda each: each["kind"])
def test_a_request_reaches_sagemaker_unchanged_but_for_name_tags_and_role(
    captured: dict[str, Any],
) -> None:
    sent = captured["request"]

    found = built({"api_request": sent})

    assert without_what_is_owned(found, "RoleArn") == without_what_is_owned(sent, "RoleArn")
    name = sent["HyperParameterTuningJobName"]
    assert found["HyperParameterTuningJobName"] == tuning_job_name("fraud", name)
    assert {each["RoleArn"] for each in definitions(found)} == {ROLE}
    tags = {each["Key"]: each["Value"] for each in found["Tags"]}
    assert tags.items() >= {each["Key"]: each["Value"] for each in sent.get("Tags", ())}.items()
    assert tags["hpoq:request-id"] == name
    operation = (
        boto3.client("sagemaker", region_name="eu-central-1")
        .meta.service_model.operation_model("CreateHyperParameterTuningJob")
        .input_shape
    )
    assert not ParamValidator().validate(found, operation).has_errors()


@pytest.mark.parametrize("captured", CAPTURED, ids=lambda each: each["kind"])
def test_network_and_keys_of_the_deployment_replace_those_of_a_request(
    captured: dict[str, Any],
) -> None:
    sent = captured["request"]
    owned = (
        "RoleArn",
        "VpcConfig",
        "OutputDataConfig.KmsKeyId",
        "ResourceConfig.VolumeKmsKeyId",
        "HyperParameterTuningResourceConfig.VolumeKmsKeyId",
        "EnableInterContainerTrafficEncryption",
    )

    found = built({"api_request": sent}, ENFORCING)

    assert without_what_is_owned(found, *owned) == without_what_is_owned(sent, *owned)
    for definition in definitions(found):
        assert definition["VpcConfig"] == {"Subnets": ["subnet-9"], "SecurityGroupIds": ["sg-9"]}
        assert definition["OutputDataConfig"]["KmsKeyId"] == "output-key"
        assert definition["EnableInterContainerTrafficEncryption"] is True


SENT: dict[str, Any] = CAPTURED[0]["request"]


def changed(**fields: Any) -> dict[str, Any]:
    return {"api_request": {**SENT, **fields}}


def defined(**fields: Any) -> dict[str, Any]:
    return changed(TrainingJobDefinition={**SENT["TrainingJobDefinition"], **fields})


def test_the_name_is_the_request_id_unless_the_message_has_one() -> None:
    assert accepted({"api_request": SENT}).request_id == SENT["HyperParameterTuningJobName"]
    assert accepted({"api_request": SENT, "request_id": "mine"}).request_id == "mine"
    nameless = {name: SENT[name] for name in SENT if name != "HyperParameterTuningJobName"}
    assert accepted({"api_request": nameless}).request_id == "message-1"
    assert request_id_of({"api_request": SENT}, "m") == SENT["HyperParameterTuningJobName"]
    assert request_id_of({"api_request": {"HyperParameterTuningJobName": 5}}, "m") == "m"


@pytest.mark.parametrize(
    ("message", "field", "fix"),
    [
        (changed(HyperParameterTuningJobName="a b"), "HyperParameterTuningJobName", "must match"),
        (changed(Autotuning={"Mode": "Enabled"}), "Autotuning", "Did you mean Autotune?"),
        (changed(HyperParameterTuningJobConfig={}),
         "HyperParameterTuningJobConfig.Strategy", "Add"),
        (changed(TrainingJobDefinition=5), "TrainingJobDefinition", "structure"),
        (defined(ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": "1",
                                 "VolumeSizeInGB": 1}),
         "TrainingJobDefinition.ResourceConfig.InstanceCount", "type integer"),
        (defined(ResourceConfig={"InstanceType": "m5.large", "InstanceCount": 1,
                                 "VolumeSizeInGB": 1}),
         "TrainingJobDefinition.ResourceConfig.InstanceType", "Did you mean ml.m5.large?"),
        (defined(AlgorithmSpecification={"TrainingInputMode": "File"}),
         "TrainingJobDefinition.AlgorithmSpecification", "Name the image"),
        (changed(TrainingJobDefinitions=[SENT["TrainingJobDefinition"]]),
         "TrainingJobDefinitions", "Send either"),
        ({"api_request": {name: SENT[name] for name in SENT if name != "TrainingJobDefinition"}},
         "TrainingJobDefinition", "Send either"),
        (changed(Xyz=1), "Xyz", "Use HyperParameterTuningJobName, "),
        (changed(Tags=[{"Key": "hpoq:team", "Value": "vision"}]), "Tags.0.Key", "set by hpoq"),
        (changed(HyperParameterTuningJobConfig={
            **SENT["HyperParameterTuningJobConfig"],
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 900, "MaxParallelTrainingJobs": 3}}),
         "HyperParameterTuningJobConfig.ResourceLimits.MaxNumberOfTrainingJobs", "Split it"),
        (changed(HyperParameterTuningJobConfig={
            **SENT["HyperParameterTuningJobConfig"], "Strategy": "Grid"}),
         "HyperParameterTuningJobConfig.ParameterRanges.max_depth", "Random"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_by_its_path_in_the_message(
    message: dict[str, Any], field: str, fix: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        built(message)
    assert caught.value.field == f"api_request.{field}"
    assert fix in caught.value.fix


def test_all_wrong_fields_are_found_at_once() -> None:
    message = defined(RoleArm=ROLE, EnableManagedSpotTraining="yes", RetryStrategy={})
    found = {path.removeprefix("api_request.TrainingJobDefinition.") for path, _, _ in
             problems_of(accepted(message))}  # fmt: skip
    assert found == {"RoleArm", "EnableManagedSpotTraining", "RetryStrategy.MaximumRetryAttempts"}


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (-(2**31) - 1, "the number has more than 31 bits"),
        (-(2**31), "-2147483648 is less than 0"),
        (-1, "-1 is less than 0"),
        (2**31, "the number has more than 31 bits"),
    ],
)
def test_a_number_has_the_width_of_its_type_before_its_bounds(number: int, problem: str) -> None:
    config = {**SENT["HyperParameterTuningJobConfig"], "RandomSeed": number}
    found = problems_of(accepted(changed(HyperParameterTuningJobConfig=config)))
    assert [each for _, each, _ in found] == [problem]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("template", "smoke"),
        ("hyperparameters", {}),
        ("hyperparameter_ranges", {"lr": {"type": "integer", "min": 1, "max": 2}}),
        ("objective", None),
        ("strategy", "Random"),
        ("resource_limits", {}),
        ("overrides", {}),
    ],
)
def test_a_field_of_the_short_form_is_not_mixed_in(field: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        accepted({"api_request": SENT, field: value})
    assert caught.value.field == field


def test_guardrails_apply_as_to_the_short_form() -> None:
    for guardrails, field in (
        (Guardrails(instance_types=("ml.c5.*",)), "TrainingJobDefinition.HyperParameterTuning"),
        (Guardrails(images=("nothing",)), "TrainingJobDefinition.AlgorithmSpecification"),
        (Guardrails(input_prefixes=("s3://mine/",)), "TrainingJobDefinition.InputDataConfig"),
        (Guardrails(max_training_jobs=2), "HyperParameterTuningJobConfig.ResourceLimits"),
    ):
        with pytest.raises(NotAllowed, match=rf"api_request\.{field}"):
            built({"api_request": SENT}, guardrails)
    with pytest.raises(NotAllowed, match=r"^tags\.project: "):
        built({"api_request": SENT}, Guardrails(required_tags=("project",)))
    built({"api_request": SENT, "tags": {"project": "x"}}, Guardrails(required_tags=("project",)))


@pytest.mark.parametrize("written", ["s3://elsewhere/x.tar.gz", '"s3://elsewhere/x.tar.gz"'])
def test_an_encoded_location_of_the_code_is_checked_as_well(written: str) -> None:
    """SDK 2 writes hyperparameters as JSON, and containers decode them."""
    message = defined(
        InputDataConfig=[], StaticHyperParameters={"sagemaker_submit_directory": written}
    )
    message["api_request"]["TrainingJobDefinition"].pop("InputDataConfig")
    with pytest.raises(NotAllowed, match="sagemaker_submit_directory"):
        built(message, Guardrails(input_prefixes=("s3://mine/",)))


def test_isolation_that_the_guardrails_add_turns_the_code_into_a_channel() -> None:
    script = next(each["request"] for each in CAPTURED if each["kind"] == "PyTorch script")
    archive = script["TrainingJobDefinition"]["StaticHyperParameters"]["sagemaker_submit_directory"]
    definition = built({"api_request": script}, Guardrails(network_isolation=True))[
        "TrainingJobDefinition"
    ]
    code = definition["InputDataConfig"][-1]
    assert (code["ChannelName"], code["DataSource"]["S3DataSource"]["S3Uri"]) == (
        "code",
        json.loads(archive),
    )
    submitted = definition["StaticHyperParameters"]["sagemaker_submit_directory"]
    assert submitted == "/opt/ml/input/data/code/sourcedir.tar.gz"


def warm_start(*names: str) -> dict[str, Any]:
    return {
        "WarmStartType": "IdenticalDataAndAlgorithm",
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": each} for each in names],
    }


def parent(name: str) -> Parent:
    return Parent(tuning_job_name=name, template="", training_jobs=3)


def test_a_request_cannot_start_warm_from_a_tuning_job_of_another_team() -> None:
    theirs, ours = tuning_job_name("vision", "secret"), tuning_job_name("fraud", "earlier")
    for name in (theirs, theirs.upper(), tuning_job_name("vision", "vision-x")):
        with pytest.raises(InvalidRequest, match="another team") as caught:
            built(changed(WarmStartConfig=warm_start(ours, name)))
        assert "ParentHyperParameterTuningJobs.1." in caught.value.field
    allowed = built(changed(WarmStartConfig=warm_start(ours, "vision-study")))["WarmStartConfig"]
    assert allowed == warm_start(ours, "vision-study")


def test_requests_of_warm_start_from_join_the_parents_that_the_request_names() -> None:
    added = built(
        changed(WarmStartConfig=warm_start("made-elsewhere")), parents=(parent("fraud-a"),)
    )
    assert added["WarmStartConfig"] == warm_start("made-elsewhere", "fraud-a")
    alone = built({"api_request": SENT}, parents=(parent("fraud-a"),))["WarmStartConfig"]
    assert alone == {**warm_start("fraud-a"), "WarmStartType": "TransferLearning"}


def test_a_parent_that_warm_start_from_names_too_is_that_request() -> None:
    message = changed(WarmStartConfig=warm_start("made-elsewhere", "earlier"))
    message["warm_start_from"] = ["earlier"]
    found = built(message, parents=(parent("fraud-earlier-aaaaaaaa"),))
    assert found["WarmStartConfig"] == warm_start("made-elsewhere", "fraud-earlier-aaaaaaaa")


def test_a_resumed_request_starts_from_its_own_earlier_tuning_jobs() -> None:
    resumption = Resumption(number=1, training_jobs=4, seconds=60, parents=(parent("fraud-one"),))
    message = changed(WarmStartConfig=warm_start("made-elsewhere"))
    found = built(message, resumption=resumption)
    assert found["WarmStartConfig"] == warm_start("fraud-one")
    limits = found["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits["MaxNumberOfTrainingJobs"] == 4


def test_the_published_schema_has_both_forms() -> None:
    schema = json_schema()
    jsonschema.validate({"api_request": SENT, "priority": 3, "after": ["a"]}, schema)
    for wrong in (
        {},
        {"api_request": SENT, "strategy": "Random"},
        {"api_request": {}},
        {"api_request": SENT, "hyperparameter_ranges": {"a": {"type": "integer", "min": 1,
                                                              "max": 2}}},
    ):  # fmt: skip
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_the_direction_of_the_objective_follows_from_either_form() -> None:
    minimizing = next(
        each["request"]
        for each in CAPTURED
        if each["request"]["HyperParameterTuningJobConfig"]
        .get("HyperParameterTuningJobObjective", {})
        .get("Type")
        == "Minimize"
    )
    assert accepted({"api_request": minimizing}).minimizes
    assert not accepted({"api_request": SENT}).minimizes


@pytest.mark.parametrize(
    ("message", "field", "problem"),
    [
        (changed(TrainingJobDefinitions=[SENT["TrainingJobDefinition"]]), "TrainingJobDefinitions",
         "given together with TrainingJobDefinition"),
        ({"api_request": {name: SENT[name] for name in SENT if name != "TrainingJobDefinition"}},
         "TrainingJobDefinition", "missing"),
    ],
)  # fmt: skip
def test_a_request_has_its_definitions_in_one_of_two_fields(
    message: dict[str, Any], field: str, problem: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        built(message)
    assert (caught.value.field, caught.value.problem, caught.value.fix) == (
        f"api_request.{field}", problem,
        "Send either TrainingJobDefinition or TrainingJobDefinitions",
    )  # fmt: skip
