"""The checks, in the order in which a fault of one explains those of the next."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from hpo_dispatcher.contract import aws_limits, names
from hpoq.data.channels import channels_of, push_command
from hpoq.data.presence import Presence, find_data
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import Finding, fault, ok, warning

# Signature Version 4 is refused five minutes off: "Signature Version 4 signing process".
MOST_SKEW = timedelta(minutes=5)
# Two heartbeats and a cycle.
SILENT_AFTER = timedelta(minutes=25)
MISSING = (
    "404",
    "NoSuchBucket",
    "NoSuchKey",
    "NotFound",
    "ResourceNotFoundException",
    "NoSuchEntity",
)

Check = Callable[[Examined], Iterator[Finding]]


def error_code(error: ClientError) -> str:
    """Return the API's error code."""
    return str(error.response.get("Error", {}).get("Code", ""))


def identity(examined: Examined) -> Iterator[Finding]:
    """Check the credentials and the clock."""
    answer = examined.client("sts").get_caller_identity()
    region = examined.session.region_name
    yield ok("identity", f"{answer['Arn']} in {region}")
    date = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
    if date:
        skew = abs(datetime.now(UTC) - parsedate_to_datetime(date))
        if skew > MOST_SKEW:
            minutes = skew.total_seconds() / 60
            yield fault(
                "clock",
                f"this machine's clock is {minutes:.0f} minutes off",
                "Synchronize it (NTP): AWS refuses signatures that are five minutes off",
            )
        else:
            yield ok("clock", "within a minute or so of AWS's")


def stack(examined: Examined) -> Iterator[Finding]:
    """Check that the stack is deployed and complete."""
    name = examined.deployment
    try:
        (found,) = examined.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if error_code(error) != "ValidationError":
            raise
        yield fault(
            "stack",
            f"there is no stack {name!r} in {examined.session.region_name}",
            "Run `cdk deploy`, or name the deployment with --deployment and its Region",
        )
        return
    status = found["StackStatus"]
    if status == "ROLLBACK_COMPLETE":
        yield fault(
            "stack",
            "the first deployment failed and was rolled back",
            f"Run `aws cloudformation delete-stack --stack-name {name}`, fix what its events "
            "name, and deploy again",
        )
    elif status.endswith("_FAILED"):
        fix = "Its events in the CloudFormation console name the resource and the reason"
        yield fault("stack", f"the stack is {status}", fix)
    elif status.endswith("_IN_PROGRESS"):
        yield warning("stack", f"the stack is {status}", "Wait until the deployment has ended")
    else:
        yield ok("stack", f"{name} is {status}")


def function(examined: Examined) -> Iterator[Finding]:
    """Check that the dispatcher's function can run and that its rules are enabled."""
    name, lambda_ = examined.function, examined.client("lambda")
    found = lambda_.get_function_configuration(FunctionName=name)
    state = found.get("State", "Active")
    if state not in ("Active", "Inactive") or found.get("LastUpdateStatus") == "Failed":
        reason = found.get("StateReason") or found.get("LastUpdateStatusReason") or state
        yield fault("function", f"{name} cannot run ({reason})", "Deploy again")
        return
    reserved = lambda_.get_function_concurrency(FunctionName=name)
    if reserved.get("ReservedConcurrentExecutions") == 0:
        fix = f"Run `aws lambda delete-function-concurrency --function-name {name}`"
        yield fault("function", f"{name} is throttled: its concurrency is 0", fix)
        return
    yield ok("function", f"{name} is {state}")


def rules(examined: Examined) -> Iterator[Finding]:
    """Check that the rules that start dispatch cycles are enabled."""
    events = examined.client("events")
    found = examined.physical_ids("AWS::Events::Rule", "Dispatcher")
    disabled = []
    for physical in found:
        name = physical.rpartition("|")[2].rpartition("/")[2]
        try:
            state = events.describe_rule(Name=name)["State"]
        except ClientError as error:
            if error_code(error) not in MISSING:
                raise
            yield fault("rules", f"the rule {name} is gone", "Deploy again")
            return
        if state == "DISABLED":
            disabled.append(name)
    for name in disabled:
        fix = f"Run `aws events enable-rule --name {name}`"
        yield fault("rules", f"the rule {name} is disabled", fix)
    if not disabled:
        yield ok("rules", f"{len(found)} rules start dispatch cycles")


def ledger(examined: Examined) -> Iterator[Finding]:
    """Check the ledger's table, its index and its key."""
    name = names.ledger_table(examined.deployment)
    try:
        table = examined.client("dynamodb").describe_table(TableName=name)["Table"]
    except ClientError as error:
        if error_code(error) not in MISSING:
            raise
        fix = "Restore it from a backup; see docs/runbook.md#ledger-gone"
        yield fault("ledger", f"the table {name} is gone", fix)
        return
    key = table.get("SSEDescription", {}).get("KMSMasterKeyArn")
    if key:
        yield from _key(examined, key)
    if table["TableStatus"] not in ("ACTIVE", "UPDATING"):
        yield fault("ledger", f"the table {name} is {table['TableStatus']}", "Wait, or restore it")
        return
    yield ok("ledger", f"{name} is {table['TableStatus']}")


def _key(examined: Examined, arn: str) -> Iterator[Finding]:
    state = examined.client("kms").describe_key(KeyId=arn)["KeyMetadata"]["KeyState"]
    if state != "Enabled":
        fix = f"Run `aws kms enable-key --key-id {arn}`"
        yield fault("key", f"the customer managed key {arn} is {state}", fix)


def cycles(examined: Examined) -> Iterator[Finding]:
    """Check that a dispatch cycle has completed lately."""
    log = f"Read its log: `aws logs tail /aws/lambda/{examined.function} --since 1h`"
    document = examined.reader.capacity()
    if document is None:
        yield fault("cycles", "no dispatch cycle has completed yet", log)
        return
    age = datetime.now(UTC) - document.at
    minutes = f"{age.total_seconds() / 60:.0f} minutes ago"
    if age > SILENT_AFTER:
        yield fault("cycles", f"the last dispatch cycle completed {minutes}", log)
    else:
        yield ok("cycles", f"the last one completed {minutes}")


def queues(examined: Examined) -> Iterator[Finding]:
    """Check each team's queues, and look for rejected messages."""
    sqs = examined.client("sqs")
    teams = sorted(examined.settings.deployment.teams)
    sound = True
    for team in teams:
        counts = []
        for make in (names.request_queue, names.dead_letter_queue):
            name = make(examined.deployment, team)
            try:
                url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
            except ClientError as error:
                if "NonExistentQueue" not in error_code(error):
                    raise
                sound = False
                yield fault("queues", f"the queue {name} is gone", "Deploy again")
                break
            wanted = ["ApproximateNumberOfMessages"]
            answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)
            counts.append(int(answer["Attributes"][wanted[0]]))
        if len(counts) == 2 and counts[1]:
            sound = False
            text = f"{counts[1]} rejected messages of team {team}"
            yield warning("queues", text, f"Run `hpoq redrive --team {team}` to see why")
    if sound:
        yield ok("queues", f"the queues of {len(teams)} teams are there, no message was rejected")


def bucket(examined: Examined) -> Iterator[Finding]:
    """Check that the artifact bucket and the training scripts are there."""
    s3, name = examined.client("s3"), examined.settings.environment.artifact_bucket
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        if error_code(error) not in MISSING:
            raise
        yield fault("bucket", f"the artifact bucket {name} is gone", "Deploy again")
        return
    yield ok("bucket", f"{name} is readable")
    source = urlsplit(examined.settings.environment.training_source)
    place, key = _place(source)
    try:
        s3.head_object(Bucket=place, Key=key)
    except ClientError as error:
        if error_code(error) not in MISSING:
            raise
        text = f"the training scripts s3://{place}/{key} are gone"
        yield fault("scripts", text, "Deploy again; `cdk gc` may have deleted them")
        return
    yield ok("scripts", f"s3://{place}/{key}")


def _place(source: Any) -> tuple[str, str]:
    """Return bucket and key of an S3 URL in any of its forms."""
    path = source.path.lstrip("/")
    if source.scheme == "s3":
        return source.netloc, path
    host = source.netloc.split(".")
    if host[0] == "s3" or host[0].startswith("s3-"):  # path style
        name, _, key = path.partition("/")
        return name, key
    return source.netloc.partition(".s3")[0], path


def role(examined: Examined) -> Iterator[Finding]:
    """Check that SageMaker may assume the training role, and the role may read its data."""
    arn = examined.settings.environment.training_role_arn
    name, iam = arn.rpartition("/")[2], examined.client("iam")
    try:
        found = iam.get_role(RoleName=name)["Role"]
    except ClientError as error:
        if error_code(error) not in MISSING:
            raise
        yield fault("role", f"the training role {arn} is gone", "Deploy again")
        return
    if not _trusts_sagemaker(found["AssumeRolePolicyDocument"]):
        text = f"the training role {name} does not trust sagemaker.amazonaws.com"
        yield fault("role", text, "Deploy again, or restore its trust policy")
        return
    bucket_arn = f"arn:aws:s3:::{examined.settings.environment.artifact_bucket}"
    answer = iam.simulate_principal_policy(
        PolicySourceArn=arn, ActionNames=["s3:ListBucket"], ResourceArns=[bucket_arn]
    )
    refused = [
        each["EvalActionName"]
        for each in answer["EvaluationResults"]
        if each["EvalDecision"] != "allowed"
    ]
    if refused:
        text = f"the training role {name} may not call {', '.join(refused)} on {bucket_arn}"
        yield fault("role", text, "Deploy again, or restore its policies")
        return
    yield ok("role", f"{name} can be assumed and may list the artifact bucket")


def _trusts_sagemaker(document: Any) -> bool:
    policy = json.loads(document) if isinstance(document, str) else document
    for statement in policy.get("Statement", ()):
        services = statement.get("Principal", {}).get("Service", ())
        listed = [services] if isinstance(services, str) else list(services)
        if statement["Effect"] == "Allow" and "sagemaker.amazonaws.com" in listed:
            return True
    return False


def request(examined: Examined) -> Iterator[Finding]:
    """Check that the default template makes a valid request, and that its data is there."""
    api_request = examined.sample  # raises InvalidRequest, which names field, problem and fix
    template = examined.settings.deployment.default_template
    yield ok("request", f"a request for the template {template} is valid")
    complete = True
    for channel in channels_of(api_request):
        found = find_data(examined.client("s3"), channel)
        if found is not Presence.THERE:
            complete = False
            text = f"the channel {channel.name!r} has no data: {channel.uri} {found}"
            command = push_command(examined.settings, examined.team, channel)
            yield fault("data", text, f"Upload it with `{command}`, docs/first-deployment.md#data")
    if complete:
        yield ok("data", f"each channel of the template {template} has data")


def quotas(examined: Examined) -> Iterator[Finding]:
    """Check that the account's quotas let the default template start."""
    config = examined.sample["HyperParameterTuningJobConfig"]["ResourceLimits"]
    resources = examined.sample["TrainingJobDefinition"].get("ResourceConfig", {})
    parallel = config["MaxParallelTrainingJobs"] * resources.get("InstanceCount", 1)
    wanted = {aws_limits.ALL_INSTANCES_QUOTA}
    if "InstanceType" in resources:
        wanted.add(aws_limits.instances_quota(resources["InstanceType"]))
    pages = examined.client("service-quotas").get_paginator("list_service_quotas")
    known = {
        each["QuotaName"]: (each["Value"], each.get("QuotaCode", "?"))
        for page in pages.paginate(ServiceCode=aws_limits.QUOTA_SERVICE)
        for each in page["Quotas"]
        if each["QuotaName"] in wanted
    }
    short = {name: each for name, each in known.items() if each[0] < parallel}
    for name, (value, code) in short.items():
        yield fault(
            "quotas",
            f"the quota {name!r} is {value:g}, and the default template needs {parallel}",
            "Run `aws service-quotas request-service-quota-increase --service-code sagemaker "
            f"--quota-code {code} --desired-value {parallel}`",
        )
    if not short:
        yield ok("quotas", f"the default template's {parallel} instances fit the quotas")


def topic(examined: Examined) -> Iterator[Finding]:
    """Check that alarms reach a person."""
    sns = examined.client("sns")
    found = examined.physical_ids("AWS::SNS::Topic", "MonitoringAlarms")
    if not found:
        yield fault("alarm topic", "the alarm topic is gone", "Deploy again")
        return
    arn = found[0]
    try:
        attributes = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    except ClientError as error:
        if error_code(error) not in MISSING:
            raise
        yield fault("alarm topic", f"the alarm topic {arn} is gone", "Deploy again")
        return
    if not _lets_cloudwatch_publish(json.loads(attributes.get("Policy", "{}"))):
        text = "the policy of the alarm topic does not let CloudWatch publish"
        yield fault("alarm topic", text, "Deploy again")
        return
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=arn)
    subscriptions = [each for page in pages for each in page["Subscriptions"]]
    pending = [each for each in subscriptions if each["SubscriptionArn"] == "PendingConfirmation"]
    if pending:
        text = f"{pending[0]['Endpoint']} has not confirmed its subscription to the alarms"
        yield warning("alarm topic", text, "Follow the link in the confirmation message")
    elif not subscriptions:
        fix = "Set alarm_email, or subscribe to the topic by another protocol"
        yield warning("alarm topic", "no one receives the alarms", fix)
    else:
        yield ok("alarm topic", f"{len(subscriptions)} subscriptions receive the alarms")


def _lets_cloudwatch_publish(policy: Any) -> bool:
    for statement in policy.get("Statement", ()):
        principal = statement.get("Principal", {})
        services = principal.get("Service", ()) if isinstance(principal, dict) else ()
        listed = [services] if isinstance(services, str) else list(services)
        if statement["Effect"] == "Allow" and "cloudwatch.amazonaws.com" in listed:
            return True
    return False


def alarms(examined: Examined) -> Iterator[Finding]:
    """List the alarms that are on."""
    pages = examined.client("cloudwatch").get_paginator("describe_alarms")
    ringing = [
        each["AlarmName"]
        for page in pages.paginate(AlarmNamePrefix=f"{examined.deployment}-", StateValue="ALARM")
        for each in page["MetricAlarms"]
    ]
    for name in ringing:
        section = name.removeprefix(f"{examined.deployment}-")
        yield warning("alarms", f"the alarm {name} is on", f"See docs/runbook.md#{section}")
    if not ringing:
        yield ok("alarms", "no alarm is on")


CHECKS: dict[str, Check] = {
    "identity": identity,
    "stack": stack,
    "function": function,
    "rules": rules,
    "ledger": ledger,
    "cycles": cycles,
    "queues": queues,
    "bucket": bucket,
    "role": role,
    "request": request,
    "quotas": quotas,
    "alarm topic": topic,
    "alarms": alarms,
}
# A fault of one of these leaves the checks after it nothing to look at.
NECESSARY = ("identity", "clock", "stack")
