"""Checks of the dispatcher: its stack, function, permissions, rules and cycles."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from botocore.exceptions import ClientError

from hpo_dispatcher.contract import names
from hpoq.doctor.checks.answers import MISSING, error_code, refused_actions
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import RESTORE, Finding, fault, ok, warning
from hpoq.errors import NotDeployed

# IAM names are unique in an account: docs/decisions/0034.
ANOTHER_REGION = (
    "Name that Region (AWS_DEFAULT_REGION), or deploy to this one under another name: "
    "`npx cdk deploy -c name=hpoq-eu`"
)
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
        missing = f"there is no stack {name!r} in {examined.session.region_name}"
        if _is_in_another_region(examined):
            yield fault("stack", f"{missing}, but there is in another Region", ANOTHER_REGION)
            return
        fix = "Run `cdk deploy`, or name the deployment with --deployment and its Region"
        yield fault("stack", missing, fix)
        return
    status = found["StackStatus"]
    if status == "ROLLBACK_COMPLETE":
        if _is_in_another_region(examined):
            text = "the first deployment failed: a deployment in another Region has its IAM names"
            yield fault("stack", text, f"Delete the stack. {ANOTHER_REGION}")
            return
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


def _is_in_another_region(examined: Examined) -> bool:
    """Return whether IAM has a name of a deployment whose stack in this Region has none."""
    caller = examined.client("sts").get_caller_identity()
    partition, policy = caller["Arn"].split(":")[1], names.training_policy(examined.deployment)
    arn = f"arn:{partition}:iam::{caller['Account']}:policy/{policy}"
    try:
        examined.client("iam").get_policy(PolicyArn=arn)
    except ClientError:  # there is none, or the caller may not know
        return False
    return True


def function(examined: Examined) -> Iterator[Finding]:
    """Check that the dispatcher's function can run and that its rules are enabled."""
    name, lambda_ = examined.function, examined.client("lambda")
    try:
        found = lambda_.get_function_configuration(FunctionName=name)
    except ClientError as error:
        if error_code(error) not in MISSING:
            raise
        yield fault("function", f"the function {name} is gone", RESTORE)
        return
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
    """Check that the dispatcher's role may use ledger and queue, and create tuning jobs.

    Creating a tuning job includes passing the team's training role to SageMaker.
    """
    configuration = examined.client("lambda").get_function_configuration(
        FunctionName=examined.function
    )
    role = configuration["Role"]
    _, partition, _, _, account, _ = role.split(":", 5)
    place = f"{examined.session.region_name}:{account}"
    table = names.ledger_table(examined.deployment)
    queue = names.request_queue(examined.deployment, examined.team)
    job = f"arn:{partition}:sagemaker:{place}:hyper-parameter-tuning-job/hpoq-doctor"
    passed = {"iam:PassedToService": "sagemaker.amazonaws.com"}
    teams = sorted(examined.settings.deployment.teams)
    training_roles = map(examined.settings.environment.training_role, teams)
    needed: list[tuple[str, str, dict[str, str]]] = [
        ("dynamodb:UpdateItem", f"arn:{partition}:dynamodb:{place}:table/{table}", {}),
        ("sqs:ReceiveMessage", f"arn:{partition}:sqs:{place}:{queue}", {}),
        *(("iam:PassRole", each, passed) for each in training_roles),
        ("sagemaker:CreateHyperParameterTuningJob", job, {}),
    ]
    iam = examined.client("iam")
    refused = [
        f"{action} on {arn}"
        for action, arn, context in needed
        if refused_actions(iam, role, [action], arn, context)
    ]
    for each in refused:
        yield fault("permissions", f"the dispatcher's role may not call {each}", RESTORE)
    if not refused:
        yield ok("permissions", "the dispatcher may use ledger and queues and create tuning jobs")


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


def _no_cycle_yet(examined: Examined, log: str) -> Finding:
    """Tell a function that has never run from one whose cycles fail."""
    try:
        _ = examined.settings  # which the function publishes when it first runs
    except NotDeployed:
        invoke = f"`aws lambda invoke --function-name {examined.function} /tmp/hpoq-cycle.json`"
        text = "the dispatcher has not run yet, which is normal for ten minutes after a deployment"
        return fault("first cycle", text, f"Wait, or run it: {invoke}")
    return fault("cycles", "no dispatch cycle has completed yet", log)


def cycles(examined: Examined) -> Iterator[Finding]:
    """Check that a dispatch cycle has completed lately."""
    log = f"Read its log: `aws logs tail /aws/lambda/{examined.function} --since 1h`"
    document = examined.reader.capacity()
    if document is None:
        yield _no_cycle_yet(examined, log)
        return
    age = datetime.now(UTC) - document.at
    minutes = f"{age.total_seconds() / 60:.0f} minutes ago"
    if age > SILENT_AFTER:
        yield fault("cycles", f"the last dispatch cycle completed {minutes}", log)
    else:
        yield ok("cycles", f"the last one completed {minutes}")
