"""The embedded cloud enforces IAM on signed calls, as AWS does."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from hpoq.local.cloud import Cloud
from hpoq.local.session import CloudSession
from tests.support.deployed_stack import Deployed
from tests.support.iam_users import DENIED, Call, outcome, user_with
from tests.support.memory_endpoint import archive, ended, training_job


@pytest.fixture(scope="module")
def as_dispatcher(deployed: Deployed) -> CloudSession:
    """Create a user with exactly the policies of the deployed function's role."""
    function = deployed.outputs["DispatcherFunctionName"]
    role = deployed.client("lambda").get_function(FunctionName=function)["Configuration"]["Role"]
    name = role.rsplit("/", 1)[-1]
    iam = deployed.client("iam")
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    policies = [
        iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
    ]
    return user_with(deployed.session, deployed.cloud, "as-dispatcher", *policies)


def tuning_job(role_arn: str, name: str = "permission-probe") -> dict[str, Any]:
    """Return a request without an objective, which SageMaker rejects after IAM has allowed it."""
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
        },
        "TrainingJobDefinition": {
            "AlgorithmSpecification": {"TrainingInputMode": "File"},
            "RoleArn": role_arn,
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/"},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        },
    }


def test_the_dispatcher_is_allowed_its_own_calls(
    deployed: Deployed, as_dispatcher: CloudSession
) -> None:
    out = deployed.outputs
    key = {"team": {"S": "fraud"}, "id": {"S": "probe"}}
    work: dict[str, Call] = {
        "read a queue": lambda s: s.client("sqs").receive_message(QueueUrl=deployed.queue("fraud")),
        "refuse a message": lambda s: s.client("sqs").send_message(
            QueueUrl=deployed.dead_letters("vision"), MessageBody="probe"
        ),
        "write the ledger": lambda s: s.client("dynamodb").put_item(
            TableName=out["LedgerTableName"], Item=key
        ),
        "read the line": lambda s: s.client("dynamodb").query(
            TableName=out["LedgerTableName"],
            IndexName="line",
            KeyConditionExpression="line = :team",
            ExpressionAttributeValues={":team": {"S": "fraud"}},
        ),
        "count tuning jobs": lambda s: s.client("sagemaker").list_hyper_parameter_tuning_jobs(),
        "publish": lambda s: s.client("events").put_events(
            Entries=[{"Source": "hpoq.probe", "DetailType": "Probe", "Detail": "{}"}]
        ),
    }
    done = {what: outcome(as_dispatcher, call) for what, call in work.items()}
    deployed.client("dynamodb").delete_item(TableName=out["LedgerTableName"], Key=key)
    assert done == dict.fromkeys(work, "done")
    created = outcome(
        as_dispatcher,
        lambda s: s.client("sagemaker").create_hyper_parameter_tuning_job(
            **tuning_job(out["TrainingRoleArnFraud"])
        ),
    )
    assert created == "ValidationException"  # an error of SageMaker, so IAM has allowed the call


def test_the_dispatcher_is_denied_all_other_calls(
    deployed: Deployed, as_dispatcher: CloudSession
) -> None:
    out = deployed.outputs
    other_role = f"arn:aws:iam::{deployed.cloud.running.account}:role/administrator"
    mischief: dict[str, Call] = {
        "pass another role": lambda s: s.client("sagemaker").create_hyper_parameter_tuning_job(
            **tuning_job(other_role)
        ),
        "train outside tuning": lambda s: s.client("sagemaker").list_training_jobs(),
        "delete the ledger": lambda s: s.client("dynamodb").delete_table(
            TableName=out["LedgerTableName"]
        ),
        "read another table": lambda s: s.client("dynamodb").scan(TableName="another"),
        "read models": lambda s: s.client("s3").list_objects_v2(Bucket=out["ArtifactBucketName"]),
        "make a user": lambda s: s.client("iam").create_user(UserName="mallory"),
        "read another queue": lambda s: s.client("sqs").receive_message(
            QueueUrl=deployed.queue("fraud").replace("hpoq-fraud-requests", "another")
        ),
        "change itself": lambda s: s.client("lambda").update_function_configuration(
            FunctionName=out["DispatcherFunctionName"], Timeout=3
        ),
        "publish as SageMaker": lambda s: s.client("events").put_rule(
            Name="mine", ScheduleExpression="rate(1 minute)"
        ),
    }
    refused = {what: outcome(as_dispatcher, call) for what, call in mischief.items()}
    assert {what: code for what, code in refused.items() if code not in DENIED} == {}


def test_a_denial_names_the_caller_the_action_and_the_resource(cloud: Cloud) -> None:
    nobody = user_with(cloud.session(), cloud, "nobody")

    with pytest.raises(ClientError) as caught:
        nobody.client("sagemaker").describe_hyper_parameter_tuning_job(
            HyperParameterTuningJobName="Some-Job"
        )

    account = cloud.running.account
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
    message = caught.value.response["Error"]["Message"]
    assert f"User: arn:aws:iam::{account}:user/nobody is not authorized" in message
    assert "sagemaker:DescribeHyperParameterTuningJob" in message
    assert f"arn:aws:sagemaker:us-east-1:{account}:hyper-parameter-tuning-job/some-job" in message


def test_conditions_on_tags_are_enforced(cloud: Cloud) -> None:
    only_for_fraud = {
        "Effect": "Allow",
        "Action": ["sagemaker:CreateHyperParameterTuningJob", "sagemaker:AddTags"],
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:RequestTag/team": "fraud"}},
    }
    pass_any = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [only_for_fraud, pass_any]}
    fraud = user_with(cloud.session(), cloud, "fraud-only", policy)
    role = f"arn:aws:iam::{cloud.running.account}:role/training"

    def create(tags: list[dict[str, str]]) -> str:
        request = {**tuning_job(role), "Tags": tags} if tags else tuning_job(role)
        return outcome(
            fraud, lambda s: s.client("sagemaker").create_hyper_parameter_tuning_job(**request)
        )

    assert create([{"Key": "team", "Value": "fraud"}]) == "ValidationException"  # IAM allowed it
    assert create([{"Key": "team", "Value": "vision"}]) == "AccessDeniedException"
    assert create([]) == "AccessDeniedException"


@pytest.mark.parametrize("service", ["sts", "sagemaker", "service-quotas", "sqs", "s3"])
@pytest.mark.parametrize("key", ["test", "123456789012", "wrong secret", "unsigned"])
def test_only_the_key_created_at_startup_is_root(cloud: Cloud, service: str, key: str) -> None:
    calls: dict[str, Callable[[Any], object]] = {
        "sts": lambda c: c.get_caller_identity(),
        "sagemaker": lambda c: c.list_training_jobs(),
        "service-quotas": lambda c: c.list_services(),
        "sqs": lambda c: c.list_queues(),
        "s3": lambda c: c.list_buckets(),
    }
    keys = {
        "aws_access_key_id": cloud.running.access_key_id if key == "wrong secret" else key,
        "aws_secret_access_key": "test",
    }
    config = Config(signature_version=UNSIGNED) if key == "unsigned" else Config()
    client = cloud.session().client(service, config=config, **keys)  # type: ignore[call-overload]

    with pytest.raises(ClientError):
        calls[service](client)


@pytest.mark.parametrize("path", ["/_ministack/reset", "/_ministack/config", "/_aws/sqs/messages"])
def test_paths_that_need_no_key_are_closed(cloud: Cloud, path: str) -> None:
    trusted = ssl.create_default_context(cafile=cloud.running.ca)
    request = urllib.request.Request(cloud.running.endpoint + path, method="POST", data=b"{}")

    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, context=trusted)
    assert caught.value.code == 403


def test_the_port_speaks_tls_only(cloud: Cloud) -> None:
    plain = cloud.running.endpoint.replace("https", "http")
    with pytest.raises(OSError, match=r".+"):
        urllib.request.urlopen(plain, timeout=10)


def test_a_role_with_the_managed_policy_of_sagemaker_trains(cloud: Cloud) -> None:
    """Source: "AWS managed policies for Amazon SageMaker AI" in the developer guide.

    The policy allows objects of buckets whose names contain "sagemaker", and no others.
    """
    session = cloud.session()
    iam, s3, sagemaker = (session.client(each) for each in ("iam", "s3", "sagemaker"))
    principal = {"Service": "sagemaker.amazonaws.com"}
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    name = f"managed-{uuid.uuid4().hex[:8]}"
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    policy = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    iam.attach_role_policy(RoleName=name, PolicyArn=policy)
    for bucket, status in ((f"sagemaker-{name}", "Completed"), (name, "Failed")):
        s3.create_bucket(Bucket=bucket)
        s3.put_object(
            Bucket=bucket, Key="source.tar.gz", Body=archive({"train.py": "print('auc=1')\n"})
        )
        request = json.dumps(training_job(f"in-{bucket}")).replace(
            "s3://bucket/", f"s3://{bucket}/"
        )
        job = {**json.loads(request), "RoleArn": role}
        del job["InputDataConfig"]
        sagemaker.create_training_job(**job)
        assert ended(sagemaker, f"in-{bucket}")["TrainingJobStatus"] == status


IDENTITY = """
import boto3
session = boto3.Session()
arn = session.client("sts").get_caller_identity()["Arn"]
print(session.get_credentials().access_key[:4], session.region_name, arn)
print(session.client("s3").meta.endpoint_url)
"""


# aws/sagemaker-python-sdk issue 403 and pull request 411: a script found another identity.
def test_a_script_acts_as_the_role_of_its_job_in_this_account(cloud: Cloud) -> None:
    session, name = cloud.session(), f"sagemaker-{uuid.uuid4().hex[:8]}"
    iam, s3, sagemaker = (session.client(each) for each in ("iam", "s3", "sagemaker"))
    principal = {"Service": "sagemaker.amazonaws.com"}
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    policy = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    iam.attach_role_policy(RoleName=name, PolicyArn=policy)
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="source.tar.gz", Body=archive({"train.py": IDENTITY}))
    request = json.dumps(training_job(name)).replace("s3://bucket/", f"s3://{name}/")
    job = {**json.loads(request), "RoleArn": role}
    del job["InputDataConfig"]
    job["StoppingCondition"]["MaxRuntimeInSeconds"] = 600
    sagemaker.create_training_job(**job)
    assert ended(sagemaker, name)["TrainingJobStatus"] == "Completed"
    events = session.client("logs").filter_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/"
    )["events"]
    account, region = cloud.running.account, cloud.running.region
    assert [each["message"] for each in events] == [
        f"ASIA {region} arn:aws:sts::{account}:assumed-role/{name}/SageMaker",
        cloud.running.endpoint,
    ]
