"""The reaction to each real answer of AWS in tests/fixtures/aws_answers.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore import exceptions
from botocore.config import Config
from botocore.stub import Stubber

from hpo_dispatcher.aws.create_errors import creation_error, exceeded_quota
from hpo_dispatcher.aws.sagemaker import SageMakerTuning
from hpo_dispatcher.contract.aws_limits import QuotaExceeded
from hpo_dispatcher.contract.names import TAG_DEPLOYMENT, TAG_REQUEST_ID, TAG_TEAM
from hpo_dispatcher.contract.redaction import HIDDEN, Redactor
from hpo_dispatcher.ports import (
    AccountFault,
    AlreadyOurs,
    AtLimit,
    Creation,
    NameTaken,
    NotYetVisible,
    Refused,
    Unavailable,
    Untagged,
)
from hpo_dispatcher.scheduling.backoff import resource_of_quota
from tests.support.tuning_requests import job

TABLE = Path(__file__).parents[3] / "fixtures/aws_answers.yaml"
ROWS = [each for each in yaml.safe_load(TABLE.read_text()) if "service" not in each]
ANSWERS = [each for each in ROWS if "code" in each]
FAILURES = [each for each in ROWS if "exception" in each]
ARN = "arn:aws:sagemaker:eu-west-1:111122223333:hyper-parameter-tuning-job/a"
OURS = {TAG_REQUEST_ID: "a", TAG_TEAM: "fraud", TAG_DEPLOYMENT: "hpoq"}
KEY = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


class Stubbed:
    """A SageMaker that gives scripted answers to one dispatcher."""

    def __init__(self, redactor: Redactor | None = None) -> None:
        # One attempt, because botocore would repeat a throttled call.
        once = Config(retries={"mode": "standard", "total_max_attempts": 1})
        session = boto3.Session("a", "b", region_name="eu-west-1")
        client = session.client("sagemaker", config=once)
        self.stubber = Stubber(client)
        self.stubber.activate()
        self.tuning = SageMakerTuning(client, redactor)

    def refuses(self, code: str, message: str = "", call: str = "create") -> None:
        operation = f"{call}_hyper_parameter_tuning_job"
        self.stubber.add_client_error(operation, code, message)

    def shows(self, tags: dict[str, str]) -> None:
        described = {
            "HyperParameterTuningJobName": "a", "HyperParameterTuningJobArn": ARN,
            "HyperParameterTuningJobConfig": {
                "Strategy": "Random", "ResourceLimits": {"MaxParallelTrainingJobs": 1}
            },
            "HyperParameterTuningJobStatus": "InProgress", "CreationTime": 0,
            "TrainingJobStatusCounters": {}, "ObjectiveStatusCounters": {},
        }  # fmt: skip
        self.stubber.add_response("describe_hyper_parameter_tuning_job", described)
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        self.stubber.add_response("list_tags", {"Tags": listed})

    def create(self, **changed: Any) -> Creation:
        tags = [{"Key": key, "Value": value} for key, value in OURS.items()]
        return self.tuning.create({**job(), "Tags": tags, **changed})


def reaction_to(answer: dict[str, Any]) -> str:
    """Return the reaction to an answer, in the words of the table."""
    stubbed = Stubbed()
    if answer["operation"].startswith("Describe"):
        stubbed.refuses(answer["code"], answer["message"], "describe")
        return "gone" if stubbed.tuning.describe("a") is None else "there"
    if answer["operation"].startswith("Stop"):
        stubbed.refuses(answer["code"], answer["message"], "stop")
        return "there" if stubbed.tuning.stop("a") else "gone"
    stubbed.refuses(answer["code"], answer["message"])
    if answer["code"] == "ResourceInUse":
        stubbed.shows(OURS)
    try:
        creation = stubbed.create()
    except Unavailable:  # the request stays in progress until the next cycle
        return "repeat"
    match creation:
        case AtLimit() | AccountFault():
            return "wait"
        case Refused():
            return "reject"
        case AlreadyOurs():
            return "ours"
    return type(creation).__name__


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda each: each["message"][:60])
def test_every_answer_of_aws_gets_its_reaction(answer: dict[str, Any]) -> None:
    assert reaction_to(answer) == answer["reaction"]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda each: each["exception"])
def test_after_a_failure_of_the_connection_the_tuning_job_may_exist(
    failure: dict[str, Any],
) -> None:
    client = boto3.Session("a", "b", region_name="eu-west-1").client("sagemaker")

    def fail(**_: Any) -> None:
        raise getattr(exceptions, failure["exception"])(endpoint_url="https://a", error="reset")

    client.meta.events.register("before-call.sagemaker", fail)
    tags = [{"Key": key, "Value": value} for key, value in OURS.items()]
    with pytest.raises(Unavailable, match="sagemaker:CreateHyperParameterTuningJob"):
        SageMakerTuning(client).create({**job(), "Tags": tags})
    assert failure["reaction"] == "repeat"


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda each: each["message"][:60])
def test_the_quota_is_read_from_the_answer(answer: dict[str, Any]) -> None:
    named = answer.get("quota")
    expected = QuotaExceeded(**named) if named else None
    assert exceeded_quota(answer["message"]) == expected
    if answer["code"] == "ResourceLimitExceeded":
        assert creation_error(answer["code"], answer["message"]) == AtLimit(
            answer["message"], expected
        )


# The names as `aws service-quotas list-service-quotas --service-code sagemaker` lists them.
@pytest.mark.parametrize(
    ("quota", "resource"),
    [
        ("ml.p3.8xlarge for training job usage", "ml.p3.8xlarge"),
        ("ml.m5.xlarge for spot training job usage", "ml.m5.xlarge (spot)"),
        ("training-job/ml.p2.xlarge", "ml.p2.xlarge"),
        ("Number of instances across all training jobs", "all training instances"),
        ("Number of instances across all spot training jobs", "all spot training instances"),
        ("Maximum number of concurrent hyperparameter tuning jobs", "tuning jobs"),
        ("Total number of training jobs", None),
    ],
)
def test_a_quota_is_mapped_to_what_requests_need(quota: str, resource: str | None) -> None:
    exceeded = QuotaExceeded(name=quota, limit=1, in_use=1, requested=1)
    assert resource_of_quota(exceeded) == resource


@pytest.mark.parametrize(
    "message",
    [
        f"{KEY} is pending import.",
        f"{KEY.replace('arn:aws', 'arn:aws-us-gov')} is unavailable.",
        f"User: arn:aws:sts::111122223333:assumed-role/x/SageMaker is not authorized to perform: "
        f"kms:CreateGrant on resource: {KEY} because no resource-based policy allows the "
        "kms:CreateGrant action",
        "User: arn:aws:sts::111122223333:assumed-role/x/SageMaker is not authorized to perform: "
        's3:ListBucket on resource: "arn:aws:s3:::bucket" with an explicit deny in an '
        "identity-based policy",
    ],
)
def test_a_key_or_policy_that_denies_is_a_fault_of_the_account(message: str) -> None:
    assert creation_error("ValidationException", message) == AccountFault(message)


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "AccessDenied", "NotAuthorized", "OptInRequired"]
)
def test_a_dispatcher_that_may_not_create_is_a_fault_of_the_account(code: str) -> None:
    stubbed = Stubbed()
    stubbed.refuses(code, "not authorized")
    assert stubbed.create() == AccountFault("not authorized")


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure", "ServiceUnavailable"])
def test_after_an_error_of_the_service_the_tuning_job_may_exist(code: str) -> None:
    stubbed = Stubbed()
    stubbed.refuses(code, "try again")
    with pytest.raises(Unavailable):
        stubbed.create()


def test_an_unknown_text_about_a_limit_names_no_quota() -> None:
    assert creation_error("ResourceLimitExceeded", "full") == AtLimit("full", None)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (OURS, AlreadyOurs()),
        ({}, Untagged("a job not of hpoq")),
        ({"owner": "somebody"}, NameTaken("a job not of hpoq")),
        ({**OURS, TAG_DEPLOYMENT: "other"}, NameTaken("request a of deployment other")),
    ],
)
def test_a_name_in_use_is_ours_if_the_tags_say_so(tags: dict[str, str], expected: Creation) -> None:
    stubbed = Stubbed()
    stubbed.refuses("ResourceInUse")
    stubbed.shows(tags)
    assert stubbed.create() == expected


def test_a_request_that_botocore_does_not_send_is_refused() -> None:
    stubbed = Stubbed()
    stubbed.refuses("not called")
    creation = stubbed.create(HyperParameterTuningJobName=3)
    assert isinstance(creation, Refused)
    assert "HyperParameterTuningJobName" in creation.message


def test_a_name_in_use_that_describe_does_not_show_yet_is_not_taken() -> None:
    stubbed = Stubbed()
    stubbed.refuses("ResourceInUse")
    stubbed.refuses("ResourceNotFound", call="describe")
    assert isinstance(stubbed.create(), NotYetVisible)


@pytest.mark.parametrize("code", ["ValidationException", "ResourceLimitExceeded"])
def test_what_aws_quotes_is_redacted(code: str) -> None:
    definition = job()["TrainingJobDefinition"]
    definition = {**definition, "StaticHyperParameters": {"token": "s3cr3t-value"}}
    for text in ("No S3 objects found under S3 URL s3cr3t-value", "bad value s3cr3t-value"):
        stubbed = Stubbed(Redactor(["token"]))
        stubbed.refuses(code, text)
        creation: Any = stubbed.create(TrainingJobDefinition=definition)
        assert creation.message.endswith(HIDDEN)
