"""The locations that requests read, and the commands that fill them."""

from __future__ import annotations

from typing import Any

import pytest

from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.environment import Environment
from hpo_dispatcher.contract.errors import NotAllowed
from hpo_dispatcher.contract.settings import Deployment
from hpo_dispatcher.contract.templates import Template
from hpoq.data.channels import S3Channel, channels_of, push_command, template_channels

ENVIRONMENT = Environment(
    deployment="hpoq",
    ledger_table="hpoq-ledger",
    artifact_bucket="artifacts",
    training_role_arn="arn:aws:iam::123456789012:role/training",
    training_source="s3://assets/training.tar.gz",
    region="eu-west-1",
)


def channel(name: str, uri: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def template(*channels: dict[str, Any]) -> Template:
    definition = {
        "AlgorithmSpecification": {
            "MetricDefinitions": [{"Name": "auc", "Regex": "auc=([0-9.]+)"}],
        },
        "InputDataConfig": list(channels),
        "ResourceConfig": {
            "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1
        },
    }  # fmt: skip
    return Template(
        description="A template",
        image={"framework": "pytorch", "version": "2.10"},
        entry_point="train.py",
        request={"objective": {"metric": "auc", "type": "Maximize"}},
        tuning_job={"TrainingJobDefinition": definition},
    )


def settings(name: str = "hpoq", **guardrails: Any) -> SettingsDocument:
    templates = {
        "credit-default-cpu": template(channel("train", "s3://{artifact_bucket}/data/train/")),
        "own": template(channel("train", "s3://{artifact_bucket}/teams/{team}/train/")),
    }
    deployment = Deployment.model_validate({"teams": {"fraud": {}}, "guardrails": guardrails})
    environment = ENVIRONMENT.model_copy(update={"deployment": name})
    return SettingsDocument.of(environment, deployment, templates)


def test_the_channels_of_every_definition_count_once() -> None:
    first, second = channel("train", "s3://b/a"), channel("train", "s3://b/c")
    file_system = {"ChannelName": "fs", "DataSource": {"FileSystemDataSource": {}}}
    definitions = [{"InputDataConfig": [first, file_system]}, {"InputDataConfig": [first, second]}]
    assert channels_of({"TrainingJobDefinitions": definitions}) == [
        S3Channel(name="train", uri="s3://b/a"),
        S3Channel(name="train", uri="s3://b/c"),
    ]
    assert channels_of({"action": "hold"}) == []


def test_the_code_of_an_isolated_job_is_not_data() -> None:
    isolated = settings(network_isolation=True)
    (data,) = template_channels(isolated, "fraud")
    assert data == S3Channel(name="train", uri="s3://artifacts/data/train/")


def test_the_channels_of_a_template_are_those_of_a_teams_requests() -> None:
    (own,) = template_channels(settings(), "fraud", "own")
    assert own == S3Channel(name="train", uri="s3://artifacts/teams/fraud/train/")
    assert (own.bucket, own.key("a.npz")) == ("artifacts", "teams/fraud/train/a.npz")


def test_a_template_that_the_guardrails_reject_is_named() -> None:
    guarded = settings(instance_types=["ml.c5.large"])
    name = "template credit-default-cpu: "
    with pytest.raises(NotAllowed, match=f"^{name}.*InstanceType.* in the template, or"):
        template_channels(guarded, "fraud")


@pytest.mark.parametrize(
    ("deployment", "used", "uri", "command"),
    [
        ("hpoq", None, "s3://artifacts/data/train/", "hpoq data push FOLDER"),
        ("b", None, "s3://artifacts/data/train/", "hpoq data push --deployment b FOLDER"),
        (
            "hpoq",
            "own",
            "s3://artifacts/teams/fraud/train/",
            "hpoq data push --template own --team fraud FOLDER",
        ),
        (
            "hpoq",
            None,
            "s3://artifacts/shared/mine/train",
            "hpoq data push --prefix s3://artifacts/shared/mine/train FOLDER",
        ),
        ("hpoq", "gone", "s3://lake/a/", "hpoq data push --prefix s3://lake/a/ FOLDER"),
        ("hpoq", None, "s3://sea/a", "aws s3 cp --recursive FOLDER s3://sea/a/"),
    ],
)
def test_the_command_for_an_empty_channel(
    deployment: str, used: str | None, uri: str, command: str
) -> None:
    allowed = settings(deployment, input_prefixes=["s3://lake/"])
    empty = S3Channel(name="train", uri=uri)
    assert push_command(allowed, "fraud", empty, used) == command
