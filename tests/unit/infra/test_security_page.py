"""docs/security.md lists exactly the actions of every role."""

from __future__ import annotations

import json
import re

import pytest
from aws_cdk.assertions import Template

from hpo_dispatcher.contract.message import parse_message
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.tuning_job.build import build
from infra.settings import Settings
from infra.source import ROOT
from tests.support.synthesized_stack import ALL, KEY, statements, synthesize, synthesize_target
from tests.support.tuning_requests import DEFAULT_LIMITS, ENVIRONMENT, IMAGE, RANGES, TEMPLATE

PAGE = (ROOT / "docs" / "security.md").read_text()
ROW = re.compile(r"^\| (`.+?) \|", re.MULTILINE)


def written(heading: str) -> set[str]:
    """Return the actions in the first column below a heading; a row names a service once."""
    section = PAGE.split(f"### {heading}\n", 1)[1].split("\n### ", 1)[0].split("\n## ", 1)[0]
    actions: set[str] = set()
    for row in ROW.findall(section):
        service = ""
        for name in re.findall(r"`([^`]+)`", row):
            service = name.partition(":")[0] if ":" in name else service
            actions.add(name if ":" in name else f"{service}:{name}")
    return actions


def listed(statement: dict[str, str | list[str]]) -> set[str]:
    action = statement["Action"]
    return {action} if isinstance(action, str) else set(action)


@pytest.fixture(scope="module")
def template() -> Template:
    return synthesize(**ALL)


@pytest.mark.parametrize(
    ("heading", "role"),
    [
        ("The dispatcher's role", "Dispatcher"),
        ("The replication role", "ReplicationRole"),
        ("The training roles", "Training"),
    ],
)
def test_the_page_lists_exactly_the_actions_of_a_role(
    template: Template, heading: str, role: str
) -> None:
    granted = set().union(*map(listed, statements(template, role)))
    assert written(heading) == granted


def test_the_page_lists_exactly_the_actions_of_the_access_role() -> None:
    granted = set().union(*map(listed, statements(synthesize_target(**ALL), "AccessRole")))
    assert written("The access role of a target") == granted


def test_the_page_lists_exactly_the_actions_of_a_teams_policy(template: Template) -> None:
    policies = template.find_resources("AWS::IAM::ManagedPolicy").values()
    (fraud,) = [p for p in policies if p["Properties"]["ManagedPolicyName"] == "hpoq-fraud-team"]
    granted = set().union(*map(listed, fraud["Properties"]["PolicyDocument"]["Statement"]))
    assert written("A team's managed policy") == granted


# The property of each resource that names its customer key.
ENCRYPTED = {
    "AWS::SQS::Queue": "KmsMasterKeyId",
    "AWS::DynamoDB::Table": "SSESpecification.KMSMasterKeyId",
    "AWS::S3::Bucket": (
        "BucketEncryption.ServerSideEncryptionConfiguration.0."
        "ServerSideEncryptionByDefault.KMSMasterKeyID"
    ),
    "AWS::Logs::LogGroup": "KmsKeyId",
    "AWS::SNS::Topic": "KmsMasterKeyId",
    "AWS::Lambda::Function": "KmsKeyArn",
}


@pytest.mark.parametrize(("kind", "path"), ENCRYPTED.items())
def test_a_customer_key_encrypts_every_resource_that_stores_data(
    template: Template, kind: str, path: str
) -> None:
    resources = template.find_resources(kind)
    assert resources
    for name, resource in resources.items():
        here = resource["Properties"]
        for step in path.split("."):
            here = here[int(step)] if step.isdigit() else here[step]
        text = str(here)
        assert KEY in text or KEY.rsplit("/", 1)[-1] in text, name


def test_a_customer_key_encrypts_training_volumes_and_models_of_every_request() -> None:
    rules = Settings(teams={"fraud": {}}, kms_key_arn=KEY).rules
    for fields in ({}, {"overrides": {"TrainingJobDefinitions": [{}, {}]}}):
        message = parse_message(json.dumps({"hyperparameter_ranges": RANGES, **fields}), "m")
        assert isinstance(message, TuningRequest)
        made = build(
            message, "fraud", TEMPLATE, rules, ENVIRONMENT, image=IMAGE, limits=DEFAULT_LIMITS
        )
        definitions = made.get("TrainingJobDefinitions") or [made["TrainingJobDefinition"]]
        assert len(definitions) == (2 if fields else 1)
        for definition in definitions:
            assert definition["ResourceConfig"]["VolumeKmsKeyId"] == KEY
            assert definition["OutputDataConfig"]["KmsKeyId"] == KEY
