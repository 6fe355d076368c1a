"""A job with network isolation gets everything that its script needs as input channels."""

from __future__ import annotations

from typing import Any

import pytest

from hpo_dispatcher.contract.errors import InvalidRequest, NotAllowed
from hpo_dispatcher.contract.settings import Guardrails
from hpo_dispatcher.contract.templates import read_templates
from hpo_dispatcher.tuning_job.isolation import check_isolated_channels, with_code_channels
from tests.support.tuning_requests import ENVIRONMENT, STRICT, TEMPLATE, definition, job

ISOLATED = Guardrails(network_isolation=True)
# The form in which version 2 of the SageMaker SDK passes code to isolated jobs (code_channel_name,
# CONTAINER_CODE_CHANNEL_SOURCEDIR_PATH in sagemaker/estimator.py and sagemaker/fw_utils.py).
CODE = {
    "ChannelName": "code",
    "DataSource": {
        "S3DataSource": {
            "S3DataType": "S3Prefix",
            "S3Uri": "s3://assets/training.tar.gz",
            "S3DataDistributionType": "FullyReplicated",
        }
    },
    "InputMode": "File",
}
IN_CHANNEL = "/opt/ml/input/data/code/training.tar.gz"
RAY = read_templates()["credit-default-ray"]
WITH_RAY = {"credit-default-ray", "credit-default-ray-gpu"}  # which need a channel of wheels


def s3_channel(name: str, uri: str = "s3://artifacts/data/x/") -> dict[str, Any]:
    return {
        "ChannelName": name,
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}},
    }


def source_of(training: dict[str, Any]) -> str:
    return str(training["StaticHyperParameters"]["sagemaker_submit_directory"])


@pytest.mark.parametrize("name", sorted(set(read_templates()) - WITH_RAY))
def test_the_code_of_a_bundled_template_is_a_channel(name: str) -> None:
    template = read_templates()[name]
    training = job(ISOLATED, template)["TrainingJobDefinition"]
    assert training["EnableNetworkIsolation"] is True
    assert training["InputDataConfig"][-1] == CODE
    assert source_of(training) == IN_CHANNEL


def test_without_isolation_the_container_downloads_its_code() -> None:
    training = job()["TrainingJobDefinition"]
    assert "code" not in [each["ChannelName"] for each in training["InputDataConfig"]]
    assert source_of(training) == ENVIRONMENT.training_source


def test_isolation_that_only_one_definition_asks_for_changes_that_one_only() -> None:
    made = job(overrides={"TrainingJobDefinitions": [{"EnableNetworkIsolation": True}, {}]})
    isolated, connected = made["TrainingJobDefinitions"]
    assert source_of(isolated) == IN_CHANNEL
    assert source_of(connected) == ENVIRONMENT.training_source


def test_code_of_the_deployment_is_an_input_even_where_inputs_are_limited() -> None:
    training = job(STRICT, tags={"project": "x"})["TrainingJobDefinition"]
    assert CODE in training["InputDataConfig"]


def test_code_of_a_message_does_not_pass_the_limits_on_inputs_as_a_channel() -> None:
    evil = definition(StaticHyperParameters={"sagemaker_submit_directory": "s3://evil/x.tar.gz"})
    with pytest.raises(NotAllowed):
        job(STRICT, tags={"project": "x"}, **evil)


def test_code_in_a_channel_of_the_request_stays_there() -> None:
    own = definition(
        InputDataConfig=[s3_channel("code")],
        StaticHyperParameters={"sagemaker_submit_directory": "/opt/ml/input/data/code/mine.tar.gz"},
    )
    training = job(STRICT, tags={"project": "x"}, **own)["TrainingJobDefinition"]
    assert training["InputDataConfig"] == [s3_channel("code")]
    assert source_of(training) == "/opt/ml/input/data/code/mine.tar.gz"


@pytest.mark.parametrize(
    ("channels", "problem"),
    [
        (["train", "code"], "has another channel of this name"),
        ([f"c{number}" for number in range(20)], "21 entries is more than 20"),
    ],
)
def test_channels_in_the_way_of_the_code_are_refused(channels: list[str], problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem) as caught:
        job(ISOLATED, **definition(InputDataConfig=[s3_channel(name) for name in channels]))
    assert caught.value.field == "TrainingJobDefinition.InputDataConfig"


def test_a_ray_search_without_network_needs_a_channel_with_ray() -> None:
    with pytest.raises(InvalidRequest, match="no channel 'dependencies'") as caught:
        job(ISOLATED, RAY)
    assert "docs/training.md" in caught.value.fix


@pytest.mark.parametrize(
    "fields",
    [
        {"InputDataConfig": [s3_channel("train"), s3_channel("dependencies")]},
        {"AlgorithmSpecification": {"TrainingImage": "mine/with-ray:1"}},
        {"StaticHyperParameters": {"sagemaker_program": "own.py"}},
    ],
)
def test_a_ray_search_starts_with_its_channel_or_an_image_or_a_script_of_its_own(
    fields: dict[str, Any],
) -> None:
    training = job(ISOLATED, RAY, **definition(**fields))["TrainingJobDefinition"]
    assert source_of(training) == IN_CHANNEL


def test_a_definition_without_hyperparameters_of_its_own_has_no_bundled_script() -> None:
    other: dict[str, Any] = {"EnableNetworkIsolation": True, "AlgorithmSpecification": {}}
    check_isolated_channels({"TrainingJobDefinition": other}, RAY, lambda _: "image")


def test_an_algorithm_without_a_script_gets_no_channel() -> None:
    image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
    template = TEMPLATE.model_copy(update={"entry_point": None, "image": image})
    training = job(ISOLATED, template)["TrainingJobDefinition"]
    assert [each["ChannelName"] for each in training["InputDataConfig"]] == [
        "train", "validation", "test"
    ]  # fmt: skip


def test_every_isolated_definition_needs_its_channels_also_behind_one_that_does_not() -> None:
    bundled = {"sagemaker_program": RAY.entry_point}
    needs: dict[str, Any] = {
        "EnableNetworkIsolation": True, "StaticHyperParameters": bundled,
        "AlgorithmSpecification": {"TrainingImage": "image"},
    }  # fmt: skip
    others: list[dict[str, Any]] = [
        needs | {"EnableNetworkIsolation": False},
        needs | {"AlgorithmSpecification": {"TrainingImage": "mine"}},
        needs | {"StaticHyperParameters": {"sagemaker_program": "own.py"}},
        needs | {"InputDataConfig": [s3_channel("train"), s3_channel("dependencies")]},
    ]
    check_isolated_channels({"TrainingJobDefinitions": others}, RAY, lambda _: "image")
    several = {"TrainingJobDefinitions": [*others, needs]}
    with pytest.raises(InvalidRequest, match="no channel 'dependencies'") as caught:
        check_isolated_channels(several, RAY, lambda _: "image")
    assert caught.value.problem.startswith(f"{RAY.entry_point} downloads packages")
    check_isolated_channels(several, TEMPLATE, lambda _: "image")


@pytest.mark.parametrize("channels", [[], ["train", "test"]])
def test_the_code_is_a_channel_behind_those_that_the_request_has(channels: list[str]) -> None:
    made = job(**definition(InputDataConfig=[s3_channel("x")], EnableNetworkIsolation=False))
    training = made["TrainingJobDefinition"] | {"EnableNetworkIsolation": True}
    training["InputDataConfig"] = [s3_channel(name) for name in channels]
    if not channels:
        del training["InputDataConfig"]
    found = with_code_channels({**made, "TrainingJobDefinition": training})
    isolated = found["TrainingJobDefinition"]
    assert isolated["InputDataConfig"] == [*map(s3_channel, channels), CODE]
    assert source_of(isolated) == IN_CHANNEL
    others = {name for name in isolated if isolated[name] != training.get(name)}
    assert others == {"InputDataConfig", "StaticHyperParameters"}
