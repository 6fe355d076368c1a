"""Checks of the dispatcher: its stack, function, permissions, rules and cycles."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from botocore.exceptions import ClientError

from hpo_dispatcher.contract import names
from hpoq.doctor.checks.answers import MISSING, error_code
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import RESTORE, Finding, fault, ok, warning

# Two heartbeats and a cycle.
SILENT_AFTER = timedelta(minutes=25)


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


def permissions(examined: Examined) -> Iterator[Finding]:
    """Check that the dispatcher's role may use the ledger and the queue, and create tuning jobs."""
    configuration = examined.client("lambda").get_function_configuration(
        FunctionName=examined.function
    )
    role = configuration["Role"]
    _, partition, _, _, account, _ = role.split(":", 5)
    place = f"{examined.session.region_name}:{account}"
    table = names.ledger_table(examined.deployment)
    queue = names.request_queue(examined.deployment, examined.team)
    needed = {
        "dynamodb:UpdateItem": f"arn:{partition}:dynamodb:{place}:table/{table}",
        "sqs:ReceiveMessage": f"arn:{partition}:sqs:{place}:{queue}",
        "sagemaker:CreateHyperParameterTuningJob": (
            f"arn:{partition}:sagemaker:{place}:hyper-parameter-tuning-job/hpoq-doctor"
        ),
    }
    refused = [
        f"{action} on {arn}"
        for action, arn in needed.items()
        if not _may(examined, role, action, arn)
    ]
    for each in refused:
        yield fault("permissions", f"the dispatcher's role may not call {each}", RESTORE)
    if not refused:
        yield ok("permissions", "the dispatcher may use ledger and queues and create tuning jobs")


def _may(examined: Examined, role: str, action: str, arn: str) -> bool:
    answer = examined.client("iam").simulate_principal_policy(
        PolicySourceArn=role, ActionNames=[action], ResourceArns=[arn]
    )
    return all(each["EvalDecision"] == "allowed" for each in answer["EvaluationResults"])


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
            yield fault("rules", f"the rule {name} is gone", RESTORE)
            return
        if state == "DISABLED":
            disabled.append(name)
    for name in disabled:
        fix = f"Run `aws events enable-rule --name {name}`"
        yield fault("rules", f"the rule {name} is disabled", fix)
    if not disabled:
        yield ok("rules", f"{len(found)} rules start dispatch cycles")


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
