"""Every action of every policy of a team, tried on everything that belongs to another team.

The users of a team have its managed policy; its training code has its training role.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import pytest

from hpo_dispatcher.contract import names
from infra.settings import output_name
from tests.support.policies import (
    ACCOUNT,
    REGION,
    Call,
    Policy,
    TemplateAccount,
    decide,
    wrong_answers,
)
from tests.support.synthesized_stack import ALL, synthesize

# Names that begin alike, and settings with every grant.
TEAMS: dict[str, Any] = {
    "fraud": {"notify": True},
    "fraud-eu": {"notify": True},
    "fraud-eu-2": {"notify": True},
    "vision": {"notify": True},
}
# Actions on what all teams share, with the reason. AWS limits those of logs to log groups: "Actions
# defined by Amazon CloudWatch Logs" in the Service Authorization Reference.
SHARED = {
    "logs:CreateLogGroup": "the group of all training jobs",
    "logs:CreateLogStream": "an empty stream; PutLogEvents is limited to streams of the team",
    "logs:DescribeLogGroups": "names",
    "logs:DescribeLogStreams": "names",
    "s3:GetBucketLocation": "the Region of the bucket",
}


OF_BUCKETS = ("ListBucket", "ListBucketMultipartUploads")


@dataclass(frozen=True)
class Thing:
    """A resource of a team, and the context keys of a call about it."""

    arn: str
    context: Mapping[str, str | list[str]] = field(default_factory=dict)
    policy: Policy | None = None  # of the resource


@pytest.fixture(scope="module")
def account() -> TemplateAccount:
    return TemplateAccount(synthesize(**(ALL | {"teams": TEAMS})).to_json())


def things_of(account: TemplateAccount, team: str) -> Iterator[Thing]:
    for queue in (names.request_queue("hpoq", team), names.dead_letter_queue("hpoq", team)):
        found = account.find("AWS::SQS::Queue", QueueName=queue)
        yield Thing(account.arn(found), policy=account.resource_policy(found))
    topic = account.find("AWS::SNS::Topic", TopicName=f"hpoq-{team}-changes")
    yield Thing(account.arn(topic), policy=account.resource_policy(topic))
    table = account.arn(account.starting_with("Ledger", "AWS::DynamoDB::Table"))
    for arn in (table, f"{table}/index/line"):
        yield Thing(arn, {"dynamodb:LeadingKeys": [team]})
    bucket = account.find("AWS::S3::Bucket")
    policy = account.resource_policy(bucket)
    for folder in names.team_folders(team):
        yield Thing(f"{account.arn(bucket)}/{folder}a.csv", policy=policy)
        for prefix in (folder, f"{folder}a", folder.rstrip("/")):
            yield Thing(account.arn(bucket), {"s3:prefix": prefix}, policy)
    tags = {
        f"aws:ResourceTag/{names.TAG_TEAM}": team,
        f"aws:ResourceTag/{names.TAG_DEPLOYMENT}": "hpoq",
    }
    job = names.tuning_job_name(team, "a")
    here = f"{REGION}:{ACCOUNT}"
    yield Thing(f"arn:aws:sagemaker:{here}:hyper-parameter-tuning-job/{job}", tags)
    yield Thing(f"arn:aws:sagemaker:{here}:training-job/{job}-001-0a1b2c3d", tags)
    group = f"arn:aws:logs:{here}:log-group:/aws/sagemaker/TrainingJobs"
    yield Thing(f"{group}:log-stream:{job}-001-0a1b2c3d/algo-1-1700000000")
    yield Thing(f"arn:aws:iam::{ACCOUNT}:role/{names.training_role('hpoq', team)}")


def policies_of(account: TemplateAccount, team: str) -> Iterator[tuple[str, str, list[Policy]]]:
    """Yield who acts for a team: a name, the principal's ARN, and its identity policies."""
    user = f"arn:aws:iam::{ACCOUNT}:user/ada"
    yield "a user", user, [account.managed_policy(f"hpoq-{team}-team")]
    role = account.starting_with(f"Training{output_name(team)}Role", "AWS::IAM::Role")
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.lower()}/SageMaker"
    yield "training code", session, account.identity_policies(role)


def actions(policies: list[Policy]) -> list[str]:
    found: set[str] = set()
    for policy in policies:
        for statement in policy["Statement"]:
            if statement["Effect"] == "Allow":
                listed = statement["Action"]
                found.update([listed] if isinstance(listed, str) else listed)
    return sorted(found)


def applies(action: str, arn: str) -> bool:
    """Return whether AWS checks an action on such a resource: Service Authorization Reference."""
    service, verb = action.split(":")
    if arn.split(":")[2] != service:
        return False
    match service:
        case "s3":
            return (verb in OF_BUCKETS) is ("/" not in arn)
        case "sagemaker":
            of_training_jobs = verb == "DescribeTrainingJob"
            return verb == "ListTags" or of_training_jobs is (":training-job/" in arn)
        case "dynamodb":
            return verb in ("Query", "Scan") or "/index/" not in arn
    return True


def calls(account: TemplateAccount, team: str, other: str, *, allowed: bool) -> Iterator[Call]:
    for who, principal, policies in policies_of(account, team):
        for action in actions(policies):
            if action in SHARED:
                continue
            for thing in things_of(account, other):
                if applies(action, thing.arn):
                    yield Call(
                        name=f"{who} of {team}: {action} {thing.arn} {dict(thing.context)}",
                        principal=principal,
                        action=action,
                        resource=thing.arn,
                        allowed=allowed,
                        identity_policies=policies,
                        resource_policy=thing.policy,
                        context=thing.context,
                    )


def test_no_action_of_a_team_is_allowed_on_anything_of_another_team(
    account: TemplateAccount,
) -> None:
    pairs = permutations(TEAMS, 2)
    tried = [call for pair in pairs for call in calls(account, *pair, allowed=False)]
    assert len(tried) > 500
    assert wrong_answers(tried) == []


def test_each_of_these_actions_reaches_something_of_the_teams_own(account: TemplateAccount) -> None:
    """Otherwise the calls above would be denied for another reason."""
    own = [call for team in TEAMS for call in calls(account, team, team, allowed=True)]
    answers = zip(own, decide(own), strict=True)
    reached = {call.action for call, answer in answers if answer == "Allowed"}
    assert {call.action for call in own} - reached == set()


def test_every_action_of_a_team_has_things_to_be_tried_on(account: TemplateAccount) -> None:
    """A new action belongs to the matrix, or it is about what teams share."""
    services = {thing.arn.split(":")[2] for thing in things_of(account, "fraud")}
    untried = {
        action
        for _, _, policies in policies_of(account, "fraud")
        for action in actions(policies)
        if action not in SHARED and action.split(":")[0] not in services
    }
    # Metrics, images and keys of the account; the network of the VPC; the default bus.
    assert {action.split(":")[0] for action in untried} <= {
        "cloudwatch", "ec2", "ecr", "events", "kms",
    }  # fmt: skip
