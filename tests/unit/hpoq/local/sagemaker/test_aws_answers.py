"""The endpoint answers with the codes and words of AWS (tests/fixtures/aws_answers.yaml)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError

from hpoq.local.sagemaker import AccountQuotas, EngineSettings, SageMakerEndpoint
from hpoq.local.sagemaker.ports import Access
from tests.support.memory_endpoint import MemoryPorts, archive, client_of, tuning_job

TABLE = Path(__file__).parents[4] / "fixtures/aws_answers.yaml"
OPERATIONS = ("CreateHyperParameterTuningJob", "DescribeHyperParameterTuningJob")
ANSWERS = [
    answer
    for answer in yaml.safe_load(TABLE.read_text())
    if answer.get("operation") in OPERATIONS and "message" in answer
]
ROLE = "arn:aws:iam::111122223333:role/x"
TOTAL = "Number of instances across all training jobs"
# Beginnings of the answers that this endpoint never gives, and why.
NOT_HERE = {
    "User: arn:aws:sts::111122223333:assumed-role/y/": "the cloud has no service control policies",
    "Access denied for repository": "the cloud has no image registry",
    "The account-level service limit for training-job/": "an older form",
    'No S3 objects found under S3 URL "s3://bucket" given': "an account has one Region here",
    "The AWS Access Key Id": "roles are known at once here",
    "Access denied when describing algorithm": "there are no algorithms of other accounts here",
    "Only the following fields": "the check of warm starts names the field",
    "User: arn:aws:sts::111122223333:assumed-role/hpoq-dispatcher/": "in tests/cloud",
    "arn:aws:kms:": "keys are used when a training job starts, not checked before",
    "Key 'arn:aws:kms:": "keys are used when a training job starts, not checked before",
    "The subnet ID": "the cloud has no VPC",
    "The security group": "the cloud has no VPC",
    "The specified subnet": "the cloud has no VPC",
    "The requested resource": "the cloud has all instance types",
    "1 validation error": "the words of the check against botocore's model differ",
    "You can't override the metric definitions": "the built-in algorithm defines its metrics",
    "Unexpected failure code": "the cloud has no image registry",
    "The request was denied due to request throttling": "another form of Rate exceeded",
    "The request has failed": "the cloud has no failures of its own",
    "The request processing has failed": "the cloud has no failures of its own",
    "The security token": "credentials do not expire before they reach this endpoint",
    "The AWS access key ID needs": "an account has all services here",
    "Signature expired": "a process and its clients have one clock",
}


@dataclass(frozen=True)
class Account:
    """An account in memory, and a tuning job that it would accept."""

    memory: MemoryPorts
    settings: EngineSettings
    job: dict[str, Any]
    home: Path

    @property
    def definition(self) -> dict[str, Any]:
        definition: dict[str, Any] = self.job["TrainingJobDefinition"]
        return definition

    def limited(self, **quotas: Any) -> Account:
        return replace(self, settings=replace(self.settings, quotas=AccountQuotas(**quotas)))

    def needs(self, instance_type: str, instances: int, parallel: int = 1) -> None:
        """Let the tuning job need instances."""
        self.definition["ResourceConfig"] |= {
            "InstanceType": instance_type, "InstanceCount": instances
        }  # fmt: skip
        limits = self.job["HyperParameterTuningJobConfig"]["ResourceLimits"]
        limits |= {"MaxParallelTrainingJobs": parallel, "MaxNumberOfTrainingJobs": parallel}

    def uses(self, instance_type: str, instances: int) -> None:
        """Let a running tuning job use instances, whatever the quotas are."""
        other = Account(self.memory, self.settings, scene_job("busy"), self.home).limited()
        other.needs(instance_type, instances)
        other.definition["StaticHyperParameters"]["sleep"] = "60"
        endpoint = SageMakerEndpoint(self.home, self.memory.ports(), other.settings)
        endpoint.start()
        boto = client_of(endpoint, boto3.Session("t", "t", region_name=self.settings.region))
        boto.create_hyper_parameter_tuning_job(**other.job)
        endpoint.close()  # the next start resumes the tuning job


def scene_job(name: str) -> dict[str, Any]:
    job = tuning_job(name)
    job["TrainingJobDefinition"]["RoleArn"] = ROLE
    source = job["TrainingJobDefinition"]["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    source["S3Uri"] = "s3://bucket/prefix/"
    return job


def a_used_type(account: Account) -> Account:
    account.uses("ml.p3.8xlarge", 3)
    account.needs("ml.p3.8xlarge", 1)
    return account.limited(instances={"ml.p3.8xlarge": 2})


def eight_at_once(account: Account) -> Account:
    account.uses("ml.g4dn.xlarge", 2)
    account.needs("ml.g4dn.xlarge", 1, parallel=8)
    return account.limited(instances={"ml.g4dn.xlarge": 2})


def a_new_account(account: Account) -> Account:
    account.needs("ml.m5.large", 1, parallel=5)
    return account.limited(all_instances=4)


def no_spot_instances(account: Account) -> Account:
    account.needs("ml.m5.xlarge", 1, parallel=2)
    account.definition["EnableManagedSpotTraining"] = True
    account.definition["StoppingCondition"]["MaxWaitTimeInSeconds"] = 60
    return account.limited(spot_instances={"ml.m5.xlarge": 0})


def a_distrustful_role(account: Account) -> Account:
    account.memory.distrustful.add(ROLE)
    return account


def a_bucket_that_denies(account: Account) -> Account:
    account.memory.access["bucket"] = Access.DENIED
    return account


def a_role_without_policy(account: Account) -> Account:
    account.memory.access["bucket"] = Access.NOT_ALLOWED
    return account


def three_points(account: Account) -> Account:
    config = account.job["HyperParameterTuningJobConfig"]
    config["ParameterRanges"] = {
        "IntegerParameterRanges": [{"Name": "n", "MinValue": "1", "MaxValue": "3"}]
    }
    config["ResourceLimits"]["MaxNumberOfTrainingJobs"] = 10
    return account


def a_wait_without_spot(account: Account) -> Account:
    account.definition["StoppingCondition"]["MaxWaitTimeInSeconds"] = 60
    return account


def no_metrics(account: Account) -> Account:
    del account.definition["AlgorithmSpecification"]["MetricDefinitions"]
    return account


def many_calls(account: Account) -> Account:
    return replace(account, settings=replace(account.settings, calls_per_second=0.5))


def a_used_name(account: Account) -> Account:
    account.job["HyperParameterTuningJobName"] = "fraud-a-1"
    endpoint = SageMakerEndpoint(account.home, account.memory.ports(), account.settings)
    endpoint.start()
    boto = client_of(endpoint, boto3.Session("t", "t", region_name=account.settings.region))
    boto.create_hyper_parameter_tuning_job(**account.job)
    endpoint.close()
    return account


def an_unknown_name(account: Account) -> Account:
    """Let the tuning job have the unknown name, and a parent of this name."""
    account.job["HyperParameterTuningJobName"] = "fraud-a-1"
    account.job["WarmStartConfig"] = {
        "WarmStartType": "TransferLearning",
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "fraud-a-1"}],
    }
    return account


# By the beginning of the answer.
SCENES: dict[str, Callable[[Account], Account]] = {
    "The account-level service limit 'ml.p3.8xlarge for": a_used_type,
    "The account-level service limit 'ml.g4dn.xlarge for": eight_at_once,
    f"The account-level service limit '{TOTAL}'": a_new_account,
    "The account-level service limit 'ml.m5.xlarge for spot": no_spot_instances,
    "Could not assume role": a_distrustful_role,
    'No S3 objects found under S3 URL "s3://bucket/prefix/"': a_bucket_that_denies,
    "User: arn:aws:sts::111122223333:assumed-role/x/SageMaker": a_role_without_policy,
    "You don't have enough combinations": three_points,
    "Invalid MaxWaitTimeInSeconds": a_wait_without_spot,
    "A metric is required": no_metrics,
    "Rate exceeded": many_calls,
    "A hyperparameter tuning job with the name": a_used_name,
    "Amazon SageMaker can't find a tuning job": an_unknown_name,
}


def scene_of(answer: dict[str, str]) -> Callable[[Account], Account]:
    found = [make for start, make in SCENES.items() if answer["message"].startswith(start)]
    assert len(found) == 1, f"no scene for {answer['message']}"
    return found[0]


GIVEN_HERE = [each for each in ANSWERS if not each["message"].startswith(tuple(NOT_HERE))]


@pytest.fixture
def account(tmp_path: Path, bare_python: Path) -> Account:
    memory = MemoryPorts()
    memory.stored["bucket", "prefix/rows.csv"] = b"1,2,3\n"
    memory.stored["bucket", "source.tar.gz"] = archive(
        {"train.py": "import time\ntime.sleep(60)\n"}
    )
    settings = EngineSettings(region="eu-west-1", account="111122223333", interpreter=bare_python)
    return Account(memory, settings, scene_job("new"), tmp_path)


@pytest.mark.parametrize("answer", GIVEN_HERE, ids=lambda each: each["message"][:60])
def test_the_endpoint_answers_as_aws_does(account: Account, answer: dict[str, str]) -> None:
    scene = scene_of(answer)(account)
    endpoint = SageMakerEndpoint(scene.home, scene.memory.ports(), scene.settings)
    endpoint.start()
    try:
        client = client_of(endpoint, boto3.Session("t", "t", region_name=scene.settings.region))
        with pytest.raises(ClientError) as caught:
            if answer["operation"].startswith("Describe"):
                name = scene.job["HyperParameterTuningJobName"]
                client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
            else:
                client.create_hyper_parameter_tuning_job(**scene.job)
    finally:
        endpoint.close()

    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == (answer["code"], answer["message"])


@pytest.mark.parametrize("start", NOT_HERE)
def test_every_exception_is_an_answer_of_the_table(start: str) -> None:
    assert any(answer["message"].startswith(start) for answer in ANSWERS)
