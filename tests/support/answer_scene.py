"""A scene in which every operation that hpoq calls is called once, in moto or an embedded cloud."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from boto3 import Session

from tests.support.dispatcher_account import Account
from tests.support.tuning_requests import job

Call = Callable[[], Any]
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": ["lambda.amazonaws.com", "sagemaker.amazonaws.com"]},
            "Action": "sts:AssumeRole",
        }
    ],
}
LIST = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The resources of an account that the calls are about."""

    session: Session
    stack: str
    table: str
    queue: str  # URL
    queue_name: str
    bucket: str
    object_key: str
    role: str  # ARN
    policy: str  # ARN
    topic: str  # ARN
    rule: str
    function: str
    key: str  # of KMS
    log_group: str
    log_stream: str
    tuning_job: Mapping[str, Any]  # a request for CreateHyperParameterTuningJob
    task_tokens: Sequence[str]  # of two tasks of Step Functions that wait

    def calls(self) -> dict[str, Call]:
        """Return a call of each operation, in an order in which they succeed."""
        return {
            **self._of_requests(),
            **self._of_jobs(),
            **self._of_workflows(),
            **self._of_the_deployment(),
        }

    def _of_workflows(self) -> dict[str, Call]:
        tasks, sagemaker = self.session.client("stepfunctions"), self.session.client("sagemaker")
        first, second = self.task_tokens
        step = {"CallbackToken": "26vcYbeWsZ"}
        return {
            "stepfunctions:SendTaskHeartbeat": lambda: tasks.send_task_heartbeat(taskToken=first),
            "stepfunctions:SendTaskSuccess": lambda: tasks.send_task_success(
                taskToken=first, output="{}"
            ),
            "stepfunctions:SendTaskFailure": lambda: tasks.send_task_failure(
                taskToken=second, error="Hpoq.Failed", cause="because"
            ),
            "sagemaker:SendPipelineExecutionStepSuccess": lambda: (
                sagemaker.send_pipeline_execution_step_success(**step)
            ),
            "sagemaker:SendPipelineExecutionStepFailure": lambda: (
                sagemaker.send_pipeline_execution_step_failure(**step)
            ),
        }

    def _of_requests(self) -> dict[str, Call]:
        sqs, dynamodb = self.session.client("sqs"), self.session.client("dynamodb")
        queue, table, received = self.queue, self.table, {"handles": iter(())}
        key = {"team": {"S": "shapes"}, "id": {"S": "a"}}
        send = {"QueueUrl": queue, "MessageBody": "{}"}

        def receive() -> None:
            found: list[Any] = []
            while len(found) < 4:
                answer = sqs.receive_message(
                    QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"],
                    MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
                )  # fmt: skip
                found += answer["Messages"]
            received["handles"] = iter([each["ReceiptHandle"] for each in found])

        def handle() -> str:
            return str(next(received["handles"]))

        put = {"Put": {"TableName": table, "Item": key | {"n": {"N": "1"}}}}
        return {
            "sqs:GetQueueUrl": lambda: sqs.get_queue_url(QueueName=self.queue_name),
            "sqs:ListQueues": lambda: sqs.list_queues(QueueNamePrefix=self.queue_name),
            "sqs:SendMessage": lambda: sqs.send_message(
                **send, MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}}
            ),
            "sqs:SendMessageBatch": lambda: sqs.send_message_batch(
                QueueUrl=queue, Entries=[{"Id": each, "MessageBody": "{}"} for each in "012"]
            ),
            "sqs:ReceiveMessage": receive,
            "sqs:ChangeMessageVisibility": lambda: sqs.change_message_visibility(
                QueueUrl=queue, ReceiptHandle=handle(), VisibilityTimeout=9
            ),
            "sqs:ChangeMessageVisibilityBatch": lambda: sqs.change_message_visibility_batch(
                QueueUrl=queue,
                Entries=[{"Id": "0", "ReceiptHandle": handle(), "VisibilityTimeout": 0}],
            ),
            "sqs:DeleteMessage": lambda: sqs.delete_message(QueueUrl=queue, ReceiptHandle=handle()),
            "sqs:DeleteMessageBatch": lambda: sqs.delete_message_batch(
                QueueUrl=queue, Entries=[{"Id": "0", "ReceiptHandle": handle()}]
            ),
            "sqs:GetQueueAttributes": lambda: sqs.get_queue_attributes(
                QueueUrl=queue, AttributeNames=["All"]
            ),
            "dynamodb:DescribeTable": lambda: dynamodb.describe_table(TableName=table),
            "dynamodb:PutItem": lambda: dynamodb.put_item(TableName=table, Item=key),
            "dynamodb:GetItem": lambda: dynamodb.get_item(
                TableName=table, Key=key, ConsistentRead=True
            ),
            "dynamodb:BatchGetItem": lambda: dynamodb.batch_get_item(
                RequestItems={table: {"Keys": [key], "ConsistentRead": True}}
            ),
            "dynamodb:UpdateItem": lambda: dynamodb.update_item(
                TableName=table, Key=key, UpdateExpression="SET a = :a", ReturnValues="ALL_NEW",
                ExpressionAttributeValues={":a": {"M": {"b": {"L": [{"BOOL": True}]}}}},
            ),
            "dynamodb:TransactWriteItems": lambda: dynamodb.transact_write_items(
                TransactItems=[put]
            ),
            "dynamodb:Query": lambda: dynamodb.query(
                TableName=table, KeyConditionExpression="team = :team", Limit=1,
                ExpressionAttributeValues={":team": {"S": "shapes"}},
            ),
            "dynamodb:Scan": lambda: dynamodb.scan(TableName=table, ConsistentRead=True),
            "events:PutEvents": lambda: self.session.client("events").put_events(
                Entries=[{"Source": "shapes", "DetailType": "shapes", "Detail": "{}"}]
            ),
        }  # fmt: skip

    def _of_jobs(self) -> dict[str, Call]:
        sagemaker, logs = self.session.client("sagemaker"), self.session.client("logs")
        name = self.tuning_job["HyperParameterTuningJobName"]
        named = {"HyperParameterTuningJobName": name}

        def described() -> Any:
            return sagemaker.describe_hyper_parameter_tuning_job(**named)

        def trained() -> Any:
            return sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(**named)

        def training_job() -> Any:
            (job, *_) = trained()["TrainingJobSummaries"]
            return sagemaker.describe_training_job(TrainingJobName=job["TrainingJobName"])

        filters = [{"Name": "HyperParameterTuningJobName", "Operator": "Equals", "Value": name}]
        log = {"logGroupName": self.log_group}
        return {
            "sagemaker:CreateHyperParameterTuningJob": lambda: (
                sagemaker.create_hyper_parameter_tuning_job(**self.tuning_job)
            ),
            "sagemaker:DescribeHyperParameterTuningJob": described,
            "sagemaker:ListHyperParameterTuningJobs": sagemaker.list_hyper_parameter_tuning_jobs,
            "sagemaker:ListTags": lambda: sagemaker.list_tags(
                ResourceArn=described()["HyperParameterTuningJobArn"]
            ),
            "sagemaker:ListTrainingJobsForHyperParameterTuningJob": trained,
            "sagemaker:DescribeTrainingJob": training_job,
            "sagemaker:Search": lambda: sagemaker.search(
                Resource="HyperParameterTuningJob", SearchExpression={"Filters": filters}
            ),
            "sagemaker:StopHyperParameterTuningJob": lambda: (
                sagemaker.stop_hyper_parameter_tuning_job(**named)
            ),
            "logs:DescribeLogStreams": lambda: logs.describe_log_streams(**log),
            "logs:GetLogEvents": lambda: logs.get_log_events(
                **log, logStreamName=self.log_stream, startFromHead=True
            ),
        }

    def _of_the_deployment(self) -> dict[str, Call]:
        def client(service: str) -> Any:
            return self.session.client(service)  # type: ignore[call-overload]

        function = {"FunctionName": self.function}
        return {
            "sts:GetCallerIdentity": client("sts").get_caller_identity,
            "cloudformation:DescribeStacks": lambda: client("cloudformation").describe_stacks(
                StackName=self.stack
            ),
            "cloudformation:ListStackResources": lambda: client(
                "cloudformation"
            ).list_stack_resources(StackName=self.stack),
            "lambda:GetFunctionConfiguration": lambda: client("lambda").get_function_configuration(
                **function
            ),
            "lambda:GetFunctionConcurrency": lambda: client("lambda").get_function_concurrency(
                **function
            ),
            "events:DescribeRule": lambda: client("events").describe_rule(Name=self.rule),
            "kms:DescribeKey": lambda: client("kms").describe_key(KeyId=self.key),
            "iam:GetRole": lambda: client("iam").get_role(RoleName=self.role.rpartition("/")[2]),
            "iam:GetPolicy": lambda: client("iam").get_policy(PolicyArn=self.policy),
            "iam:SimulatePrincipalPolicy": lambda: client("iam").simulate_principal_policy(
                PolicySourceArn=self.role, ActionNames=["s3:ListBucket"]
            ),
            "s3:HeadBucket": lambda: client("s3").head_bucket(Bucket=self.bucket),
            "s3:HeadObject": lambda: client("s3").head_object(
                Bucket=self.bucket, Key=self.object_key
            ),
            "s3:GetObject": lambda: client("s3").get_object(
                Bucket=self.bucket, Key=self.object_key
            ),
            "s3:PutObject": lambda: client("s3").put_object(
                Bucket=self.bucket, Key=self.object_key, Body=b"a"
            ),
            "s3:ListObjectVersions": lambda: client("s3").list_object_versions(
                Bucket=self.bucket, Prefix=self.object_key
            ),
            "s3:ListObjectsV2": lambda: client("s3").list_objects_v2(
                Bucket=self.bucket, Prefix=self.object_key, MaxKeys=1
            ),
            "service-quotas:ListServiceQuotas": lambda: client(
                "service-quotas"
            ).list_service_quotas(ServiceCode="sagemaker"),
            "sns:GetTopicAttributes": lambda: client("sns").get_topic_attributes(
                TopicArn=self.topic
            ),
            "sns:ListSubscriptionsByTopic": lambda: client("sns").list_subscriptions_by_topic(
                TopicArn=self.topic
            ),
            "sts:AssumeRole": lambda: client("sts").assume_role(
                RoleArn=self.role, RoleSessionName="hpoq", ExternalId="hpoq/target"
            ),
            "cloudwatch:DescribeAlarms": lambda: client("cloudwatch").describe_alarms(),
        }

    def play(self) -> dict[str, str]:
        """Make every call; return the errors by operation."""
        errors = {}
        for name, call in self.calls().items():
            try:
                call()
            except Exception as error:
                errors[name] = f"{type(error).__name__}: {error}"
        return errors


def scene_in_moto(account: Account) -> Scene:
    """Create what the calls are about in the account of a test in moto."""
    session, name = account.session, "shapes"
    iam, s3 = session.client("iam"), session.client("s3")
    policy = json.dumps(TRUST)
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    allowed = json.dumps({"Version": "2012-10-17", "Statement": [LIST]})
    here = {"LocationConstraint": session.region_name}
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=here)
    s3.put_object(Bucket=name, Key="data/a", Body=b"a")
    topic = session.client("sns").create_topic(Name=name)["TopicArn"]
    session.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="a@example.com")
    session.client("events").put_rule(Name=name, ScheduleExpression="rate(10 minutes)")
    session.client("cloudwatch").put_metric_alarm(
        AlarmName=name, Namespace=name, MetricName=name, Statistic="Sum", Period=60,
        EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    program = io.BytesIO()
    with zipfile.ZipFile(program, "w") as archive:
        archive.writestr("handler.py", "")
    session.client("lambda").create_function(
        FunctionName=name, Role=role, Code={"ZipFile": program.getvalue()},
        Runtime="python3.13", Handler="handler.handler",
    )  # fmt: skip
    logs = session.client("logs")
    logs.create_log_group(logGroupName=name)
    logs.create_log_stream(logGroupName=name, logStreamName=name)
    event = {"timestamp": int(time.time() * 1000), "message": "a"}
    logs.put_log_events(logGroupName=name, logStreamName=name, logEvents=[event])
    return Scene(
        session=session,
        stack=name,
        table="hpoq-ledger",
        queue=account.sqs.get_queue_url(QueueName="hpoq-fraud-requests")["QueueUrl"],
        queue_name="hpoq-fraud-requests",
        bucket=name,
        object_key="data/a",
        role=role,
        policy=iam.create_policy(PolicyName=name, PolicyDocument=allowed)["Policy"]["Arn"],
        topic=topic,
        rule=name,
        function=name,
        key=session.client("kms").create_key()["KeyMetadata"]["KeyId"],
        log_group=name,
        log_stream=name,
        tuning_job=job(),
        task_tokens=("first", "second"),
    )
