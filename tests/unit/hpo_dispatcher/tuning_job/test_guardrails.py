"""No accepted request violates a guardrail, whatever ``overrides`` says.

The oracle below is written apart from the code it checks: it walks the finished request and
looks at every value by the *name* of its field, wherever it stands.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpo_dispatcher.contract.errors import InvalidRequest, NotAllowed
from hpo_dispatcher.contract.message import parse_message
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.contract.settings import Guardrails
from hpo_dispatcher.tuning_job.build import build
from hpo_dispatcher.tuning_job.guardrails import check_guardrails
from tests.support.tuning_requests import (
    DEFAULT_LIMITS,
    ENVIRONMENT,
    IMAGE,
    RANGES,
    STRICT,
    TEMPLATE,
    job,
)

# Values an attacker, or a hopeful user, would try; and some that are allowed.
TEXTS = [
    "ml.m5.large", "ml.p4d.24xlarge", "s3://artifacts/data/x", "s3://evil/", "s3://artifacts/",
    "s3://artifacts/output/fraud/", "s3://artifacts/output/vision/", "key-1", "key-2", "other",
    "s3://artifacts/teams/fraud/x", "s3://artifacts/teams/vision/", "s3://artifacts/teams/",
    "s3://artifacts/teams/fraud-eu/", "s3://lake/credit/x", "s3://lake/", "s3://models/fraud/",
    IMAGE, "evil/image:1", "subnet-1", "subnet-2", "sg-1", "x",
]  # fmt: skip
NUMBERS = [0, 1, 2, 50, 51, 120, 3600, 3601, 10_000]


@cache
def service() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")


def api() -> Shape:
    shape = service().operation_model("CreateHyperParameterTuningJob").input_shape
    assert shape is not None
    return shape


@cache
def values(shape_name: str) -> st.SearchStrategy[Any]:
    """Any value the API's own description allows, biased to the interesting ones.

    Built once for each shape, because building takes longer than drawing.
    """
    shape = service().shape_for(shape_name)
    kind = shape.type_name
    if kind == "structure":
        members = {
            name: st.deferred(lambda s=s: values(s.name)) for name, s in shape.members.items()
        }  # type: ignore[attr-defined]
        names = st.lists(st.sampled_from(sorted(members)), max_size=4, unique=True)
        required = list(shape.required_members)  # type: ignore[attr-defined]
        return names.flatmap(
            lambda some: st.fixed_dictionaries({n: members[n] for n in {*some, *required}})
        )
    if kind == "list":
        return st.lists(values(shape.member.name), min_size=1, max_size=2)  # type: ignore[attr-defined]
    if kind == "map":
        keys = st.sampled_from(["sagemaker_submit_directory", "sagemaker_program", "x"])
        return st.dictionaries(keys, st.sampled_from(TEXTS), max_size=2)
    if kind in ("integer", "long"):
        return st.sampled_from(NUMBERS)
    if kind == "boolean":
        return st.booleans()
    if kind in ("float", "double"):
        return st.floats(0, 1)
    enum = shape.metadata.get("enum")
    return st.sampled_from([*enum[:3], *(e for e in enum if e in TEXTS)] if enum else TEXTS)


def fields_of(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    yield name, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from fields_of(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from fields_of(item, name)


MOST = {
    "MaxRuntimeInSeconds": 3600,
    "MaxNumberOfTrainingJobs": 50,
    "MaxParallelTrainingJobs": 5,
    "InstanceCount": 1,
    "SelectedInstanceCount": 1,
    "VolumeSizeInGB": 50,
    "KeepAlivePeriodInSeconds": 0,
}
EXACT = {
    "VolumeKmsKeyId": "key-1",
    "KmsKeyId": "key-2",
    "RoleArn": ENVIRONMENT.training_role_arn,
    "Subnets": ["subnet-1"],
    "SecurityGroupIds": ["sg-1"],
    "EnableNetworkIsolation": True,
    "EnableManagedSpotTraining": True,
    "EnableInterContainerTrafficEncryption": True,
}

# Of isolated jobs, the code is an input, too.
OWN = tuple(f"s3://artifacts/{place}/fraud/" for place in ("teams", "output", "checkpoints"))
WRITABLE = (*OWN, "s3://models/fraud/")
SOURCES = (
    *WRITABLE, "s3://artifacts/shared/", "s3://artifacts/data/", "s3://lake/credit/",
    ENVIRONMENT.training_source,
)  # fmt: skip


def violations(made: dict[str, Any]) -> Iterator[str]:
    several = made.get("TrainingJobDefinitions", [])
    for definition in (
        [made["TrainingJobDefinition"]] if "TrainingJobDefinition" in made else several
    ):
        for name in ("RoleArn", "VpcConfig", "EnableNetworkIsolation", "EnableManagedSpotTraining"):
            if name not in definition:
                yield f"no {name}"
        for name, value in fields_of(definition):
            if name in MOST and isinstance(value, int) and value > MOST[name]:
                yield f"{name} {value}"
            if name in EXACT and value != EXACT[name] and value not in ("subnet-1", "sg-1"):
                yield f"{name} {value}"
            if name == "InstanceType" and not fnmatchcase(value, "ml.m5.*"):
                yield f"instance {value}"
            if name in ("TrainingImage", "AlgorithmName") and not value.startswith("1234"):
                yield f"image {value}"
            if name == "S3OutputPath" and not value.startswith(WRITABLE):
                yield f"output {value}"
            if name == "InputDataConfig":
                yield from (
                    f"input {uri}"
                    for field, uri in fields_of(value)
                    if field == "S3Uri" and not uri.startswith(SOURCES)
                )
            if name in ("FileSystemDataSource", "DatasetSource"):
                yield f"unbounded input {name}"
        source = definition.get("StaticHyperParameters", {}).get("sagemaker_submit_directory")
        if source is not None and not source.startswith((*SOURCES, "/opt/ml/input/data/")):
            yield f"source {source}"
    limits = made["HyperParameterTuningJobConfig"]["ResourceLimits"]
    if limits["MaxNumberOfTrainingJobs"] > 50 or limits["MaxParallelTrainingJobs"] > 5:
        yield f"limits {limits}"
    if "WarmStartConfig" in made:  # without parents of its own in the ledger
        yield f"warm start from {made['WarmStartConfig']}"
    tags = {tag["Key"]: tag["Value"] for tag in made["Tags"]}
    if tags.get("hpoq:team") != "fraud":
        yield f"in the name of {tags.get('hpoq:team')}"
    if not any(tag["Key"] == "project" for tag in made["Tags"]):
        yield "no project tag"


@settings(max_examples=300, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.data())
def test_no_accepted_request_violates_a_guardrail(data: st.DataObject) -> None:
    overrides = data.draw(values(api().name))
    for reserved in ("HyperParameterTuningJobName", "Tags"):
        overrides.pop(reserved, None)
    if data.draw(st.booleans()):
        overrides.pop("TrainingJobDefinitions", None)
    body = {
        "hyperparameter_ranges": RANGES,
        "tags": data.draw(st.sampled_from([{}, {"project": "x"}])),
        "overrides": overrides,
    }
    try:
        message = parse_message(json.dumps(body), "m1")
        assert isinstance(message, TuningRequest)
        made = build(
            message, "fraud", TEMPLATE, STRICT, ENVIRONMENT, image=IMAGE, limits=DEFAULT_LIMITS
        )
    except InvalidRequest:
        return
    assert list(violations(made)) == []


def fields() -> list[tuple[str, ...]]:
    """Every member of the request, of its configuration and of its training definition."""
    top = api().members  # type: ignore[attr-defined]
    inner = ("HyperParameterTuningJobConfig", "TrainingJobDefinition")
    return [(name,) for name in top] + [(n, each) for n in inner for each in top[n].members]


@pytest.mark.parametrize("field", fields(), ids=".".join)
@settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_no_field_by_itself_can_widen_a_guardrail(
    field: tuple[str, ...], data: st.DataObject
) -> None:
    """Small changes are accepted more often, and so look deeper."""
    shape: Any = api()
    for name in field:
        shape = shape.members[name]
    overrides = data.draw(values(shape.name))
    for name in reversed(field):
        overrides = {name: overrides}
    body = {"hyperparameter_ranges": RANGES, "tags": {"project": "x"}, "overrides": overrides}
    try:
        message = parse_message(json.dumps(body), "m1")
        assert isinstance(message, TuningRequest)
        made = build(
            message, "fraud", TEMPLATE, STRICT, ENVIRONMENT, image=IMAGE, limits=DEFAULT_LIMITS
        )
    except InvalidRequest:
        return
    assert list(violations(made)) == []


@pytest.mark.parametrize("tag", ["hpoq:team", "hpoq:request-id"])
def test_a_message_cannot_pass_for_another_teams(tag: str) -> None:
    body = {"hyperparameter_ranges": RANGES, "tags": {"project": "x", tag: "vision"}}
    try:
        message = parse_message(json.dumps(body), "m1")
        assert isinstance(message, TuningRequest)
        made = build(
            message, "fraud", TEMPLATE, STRICT, ENVIRONMENT, image=IMAGE, limits=DEFAULT_LIMITS
        )
    except InvalidRequest:
        return
    assert {"Key": tag, "Value": "vision"} not in made["Tags"]


def test_the_guardrails_limit_every_definition() -> None:
    rules = Guardrails(max_run_seconds=86_400)
    long = {"DefinitionName": "b", "StoppingCondition": {"MaxRuntimeInSeconds": 86_401}}
    definitions = [{"DefinitionName": "a"}, {"DefinitionName": "b"}]
    job(rules, overrides={"TrainingJobDefinitions": definitions})
    with pytest.raises(NotAllowed, match="at most 86400"):
        job(rules, overrides={"TrainingJobDefinitions": [definitions[0], long]})


@pytest.mark.parametrize("field", ["TrainingImage", "AlgorithmName"])
def test_the_images_limit_the_image_and_the_algorithm_that_stands_for_one(field: str) -> None:
    """An algorithm of the account or of the Marketplace names its image itself."""
    made = job()
    made["TrainingJobDefinition"]["AlgorithmSpecification"] = {
        "TrainingInputMode": "File", field: "arn:aws:sagemaker:eu-west-1:1:algorithm/Other",
    }  # fmt: skip
    check_guardrails(made, Guardrails(images=("arn:aws:sagemaker:*:algorithm/Other",)))
    with pytest.raises(NotAllowed):  # names of algorithms tell case apart
        check_guardrails(made, Guardrails(images=("arn:aws:sagemaker:*:algorithm/other",)))
    with pytest.raises(NotAllowed, match=field) as rejected:
        check_guardrails(made, Guardrails(images=("123456789012.dkr.ecr.*/*",)))
    assert rejected.value.fix == "Use 123456789012.dkr.ecr.*/*"
