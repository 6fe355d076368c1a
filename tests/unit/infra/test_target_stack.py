"""The stack of a target, and what a deployment with targets has at home for it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template
from cdk_nag import AwsSolutionsChecks
from moto.events.models import EventPattern

from hpo_dispatcher.contract.environment import Environment
from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.settings import parse_deployment
from hpo_dispatcher.contract.targets.sites import target_sites
from hpo_dispatcher.observability.metrics import METRICS_OF_TARGETS
from infra.hpo_stack import HpoStack
from infra.settings import read_settings
from infra.target_stack import HpoTargetStack
from tests.support.policies import ACCOUNT, REGION, Call, TemplateAccount, as_role, wrong_answers
from tests.support.synthesized_stack import synthesize

HOME_ACCOUNT, HOME_REGION = "999988887777", "us-east-1"
TARGETS = {
    "home": {"account": HOME_ACCOUNT, "region": HOME_REGION},
    "research": {"account": ACCOUNT, "region": REGION},
}
SETTINGS: dict[str, Any] = {
    "name": "hpoq",
    "teams": {"fraud": {}, "fraud-eu": {}, "vision": {}},
    "targets": TARGETS,
    "workflows": {"state_machines": ["credit"]},
}
DISPATCHER = f"arn:aws:iam::{HOME_ACCOUNT}:role/hpoq-dispatcher"
EXTERNAL_ID = f"hpoq/{HOME_ACCOUNT}/hpoq/research"
MISSPELLED = {**TARGETS["research"], "instances": {"ml.m5.larg": 1}}
BUCKET = f"arn:aws:s3:::hpoq-research-{ACCOUNT}-{REGION}"


class Deployed:
    """Both stacks of a deployment with one target."""

    def __init__(self, **changed: Any) -> None:
        settings = read_settings(SETTINGS | changed)
        self.app = cdk.App(context={"aws:cdk:bundling-stacks": []})
        self.home = HpoStack(self.app, "hpoq", settings=settings)
        (site,) = settings.sites
        self.target = HpoTargetStack(self.app, site.name, settings=settings, site=site)

    def there(self) -> TemplateAccount:
        return TemplateAccount(Template.from_stack(self.target).to_json())

    def at_home(self) -> TemplateAccount:
        return TemplateAccount(Template.from_stack(self.home).to_json())


@cache
def deployed() -> Deployed:
    return Deployed()


@cache
def target() -> TemplateAccount:
    return deployed().there()


@cache
def home() -> TemplateAccount:
    return deployed().at_home()


def trust(account: TemplateAccount, role: str) -> dict[str, Any]:
    properties = account.resources[account.starting_with(role, "AWS::IAM::Role")]["Properties"]
    policy: dict[str, Any] = account.resolve(properties["AssumeRolePolicyDocument"])
    return policy


def assuming(name: str, principal: str, external_id: str, *, allowed: bool) -> Call:
    """Return the call of sts:AssumeRole that a role of the home account makes."""
    may_assume = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}],
    }
    context = {"aws:PrincipalArn": principal}
    if external_id:
        context["sts:ExternalId"] = external_id
    return Call(
        name=name,
        principal=principal,
        action="sts:AssumeRole",
        resource=f"arn:aws:iam::{ACCOUNT}:role/hpoq-research-access",
        allowed=allowed,
        identity_policies=[may_assume],
        resource_policy=trust(target(), "AccessRole"),
        context=context,
    )


def test_only_the_dispatcher_may_assume_the_access_role_and_only_with_the_external_id() -> None:
    other = f"arn:aws:iam::{HOME_ACCOUNT}:role/someone"
    stranger = "arn:aws:iam::123456789012:role/hpoq-dispatcher"
    calls = [
        assuming("the dispatcher", DISPATCHER, EXTERNAL_ID, allowed=True),
        assuming("without the external id", DISPATCHER, "", allowed=False),
        assuming("with that of another target", DISPATCHER, f"{EXTERNAL_ID}-2", allowed=False),
        assuming("another role at home", other, EXTERNAL_ID, allowed=False),
        assuming("the same name in another account", stranger, EXTERNAL_ID, allowed=False),
    ]
    assert wrong_answers(calls) == []


def test_the_dispatcher_may_assume_that_role_and_no_other() -> None:
    calls = [
        Call(
            name=role,
            allowed=allowed,
            **as_role(
                home(), "DispatcherRole", "sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/{role}"
            ),
        )
        for role, allowed in (("hpoq-research-access", True), ("admin", False))
    ]
    assert wrong_answers(calls) == []
    role = home().starting_with("DispatcherRole", "AWS::IAM::Role")
    assert home().resources[role]["Properties"]["RoleName"] == "hpoq-dispatcher"


@pytest.mark.parametrize(
    ("action", "resource", "allowed"),
    [
        ("sagemaker:CreateHyperParameterTuningJob", "hyper-parameter-tuning-job/x", True),
        ("sagemaker:StopHyperParameterTuningJob", "hyper-parameter-tuning-job/x", True),
        ("sagemaker:DescribeTrainingJob", "training-job/x", True),
        ("sagemaker:CreateTrainingJob", "training-job/x", False),
        ("sagemaker:DeleteHyperParameterTuningJob", "hyper-parameter-tuning-job/x", False),
    ],
)
def test_what_the_access_role_may_do_in_sagemaker(
    action: str, resource: str, allowed: bool
) -> None:
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{resource}"
    call = Call(name=action, allowed=allowed, **as_role(target(), "AccessRole", action, arn))
    assert wrong_answers([call]) == []


def test_the_access_role_passes_training_roles_of_the_target_to_sagemaker_only() -> None:
    def passing(role: str, service: str, *, allowed: bool) -> Call:
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        context = {"iam:PassedToService": service}
        made = as_role(target(), "AccessRole", "iam:PassRole", arn, **context)
        return Call(name=f"{role} to {service}", allowed=allowed, **made)

    calls = [
        passing("hpoq-research-fraud-training", "sagemaker.amazonaws.com", allowed=True),
        passing("hpoq-research-fraud-training", "lambda.amazonaws.com", allowed=False),
        passing("hpoq-fraud-training", "sagemaker.amazonaws.com", allowed=False),
        passing("hpoq-research-access", "sagemaker.amazonaws.com", allowed=False),
    ]
    assert wrong_answers(calls) == []


def test_teams_are_kept_apart_on_a_target_as_at_home() -> None:
    def reading(team: str, key: str, *, allowed: bool) -> Call:
        made = as_role(target(), f"Training{team}Role", "s3:GetObject", f"{BUCKET}/{key}")
        return Call(name=f"{team} {key}", allowed=allowed, **made)

    calls = [
        reading("Fraud", "teams/fraud/data/a.csv", allowed=True),
        reading("Fraud", "shared/a.csv", allowed=True),
        reading("Fraud", "teams/fraud-eu/data/a.csv", allowed=False),
        reading("Fraud", "teams/vision/data/a.csv", allowed=False),
        reading("Vision", "teams/fraud/data/a.csv", allowed=False),
    ]
    assert wrong_answers(calls) == []


def test_the_policy_of_a_team_follows_the_jobs_of_the_deployment() -> None:
    name = target().find("AWS::IAM::ManagedPolicy", ManagedPolicyName="hpoq-research-vision-team")
    policy = json.dumps(target().resources[name])
    assert '"aws:ResourceTag/hpoq:deployment": "hpoq"' in policy
    assert "sqs:" not in policy
    assert "dynamodb:" not in policy


def test_the_end_of_a_tuning_job_on_a_target_invokes_the_dispatcher() -> None:
    """An event keeps its account when a rule sends it to the bus of another account."""
    event = {
        "source": "aws.sagemaker",
        "account": ACCOUNT,
        "region": REGION,
        "detail-type": "SageMaker HyperParameter Tuning Job State Change",
        "detail": {"HyperParameterTuningJobStatus": "Completed"},
    }
    sent = target().resources[target().starting_with("AccessTuningJobEnded", "AWS::Events::Rule")]
    received = home().resources[
        home().starting_with("DispatcherTuningJobEnded", "AWS::Events::Rule")
    ]
    for rule in (sent, received):
        pattern = json.dumps(rule["Properties"]["EventPattern"])
        assert EventPattern.load(pattern).matches_event(event)
    (goal,) = sent["Properties"]["Targets"]
    bus = f"arn:aws:events:{HOME_REGION}:{HOME_ACCOUNT}:event-bus/default"
    assert target().resolve(goal["Arn"]) == bus
    policy = home().resources[home().starting_with("Dispatcher", "AWS::Events::EventBusPolicy")]
    statement = home().resolve(policy["Properties"]["Statement"])
    assert statement["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    assert statement["Action"] == "events:PutEvents"
    # The operators of the example in the EventBridge user guide:
    # eb-event-bus-example-policy-cross-account-custom-bus-source.html
    assert statement["Condition"] == {
        "ForAllValues:StringEquals": {"events:source": event["source"]},
        "StringEquals": {"events:detail-type": event["detail-type"]},
    }


def test_the_dispatcher_finds_what_the_stack_deploys() -> None:
    """The names that the dispatcher computes are those of the template and of its assets."""
    role = f"arn:aws:iam::{HOME_ACCOUNT}:role/hpoq-{{team}}-training"
    assembly = deployed().app.synth()
    found = assets(assembly.directory, "hpoq"), assets(assembly.directory, "hpoq-research")
    (key,) = found[0] & found[1]
    environment = Environment(
        deployment="hpoq",
        ledger_table="hpoq-ledger",
        artifact_bucket="home-artifacts",
        training_role_arn=role,
        training_source=f"s3://cdk-hnb659fds-assets-{HOME_ACCOUNT}-{HOME_REGION}/{key}",
        region=HOME_REGION,
    )
    deployment = parse_deployment(read_settings(SETTINGS).deployment)
    sites = target_sites(environment, deployment.targets)
    there = sites["research"].environment(environment)
    assert f"arn:aws:s3:::{there.artifact_bucket}" == BUCKET
    assert there.training_role("fraud") == target().arn(
        target().find("AWS::IAM::Role", RoleName="hpoq-research-fraud-training")
    )
    assert there.training_source == f"s3://cdk-hnb659fds-assets-{ACCOUNT}-{REGION}/{key}"
    access = sites["research"].access_role_arn("aws")
    assert access == target().arn(target().find("AWS::IAM::Role", RoleName="hpoq-research-access"))


def assets(directory: str, stack: str) -> set[str]:
    """Return the keys of the files that a stack uploads, without its template."""
    manifest = json.loads((Path(directory) / f"{stack}.assets.json").read_text())
    return {
        place["objectKey"]
        for each in manifest["files"].values()
        for place in each["destinations"].values()
        if each["source"].get("packaging") != "file" or place["objectKey"].endswith(".zip")
    }


def test_a_team_that_a_target_does_not_admit_has_no_role_there() -> None:
    research = {**TARGETS["research"], "teams": ["vision"]}
    there = Deployed(targets={**TARGETS, "research": research}).there()
    names = [
        each["Properties"].get("RoleName")
        for each in there.resources.values()
        if each["Type"] == "AWS::IAM::Role"
    ]
    assert [name for name in names if name and name.endswith("training")] == [
        "hpoq-research-vision-training"
    ]


def test_nothing_that_cdk_nag_finds_is_left() -> None:
    both = Deployed()
    cdk.Validations.of(both.app).add_plugins(AwsSolutionsChecks(both.app))
    both.app.synth()  # raises an error for each finding that no one acknowledged


def test_the_dashboard_shows_which_target_did_not_answer_and_the_limit_of_all() -> None:
    (screen,) = (
        each["Properties"]["DashboardBody"]
        for each in home().resources.values()
        if each["Type"] == "AWS::CloudWatch::Dashboard"
    )
    text = json.dumps(screen)
    ((name, dimension),) = METRICS_OF_TARGETS
    assert f"hpoq,service,{dimension}" in text
    assert f'MetricName="{name}"' in text.replace("\\", "")
    assert '"value":200' in text.replace("\\", "")  # 100 tuning jobs of each


def test_a_deployment_without_targets_has_nothing_of_them() -> None:
    alone = synthesize(targets={"home": {"account": ACCOUNT, "region": REGION}})
    for template in (synthesize(), alone):
        assert template.find_resources("AWS::Events::EventBusPolicy") == {}
        roles = template.find_resources("AWS::IAM::Role")
        (role,) = [each for name, each in roles.items() if name.startswith("DispatcherRole")]
        assert "RoleName" not in role["Properties"]
        policies = json.dumps(template.find_resources("AWS::IAM::Policy"))
        assert "sts:AssumeRole" not in policies


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (
            {"name": "a-deployment-with-a-long-name"},
            "targets.research: a-deployment-with-a-long-name-research is longer than 30 "
            "characters. Shorten the name of the target",
        ),
        (
            {
                "teams": {"fraud": {}, "research-fraud": {}},
                "targets": {**TARGETS, "research": {"account": HOME_ACCOUNT, "region": REGION}},
            },
            "targets.research: its roles would have the names of those of team research-fraud. "
            "Choose another name",
        ),
        (
            {
                "targets": {
                    **TARGETS,
                    "research": {**TARGETS["research"], "instances": {"ml.m5.larg": 1}},
                }
            },
            "targets.research: SageMaker has no instance type ml.m5.larg. Did you mean "
            "ml.m5.large?",
        ),
        (
            {"preference": 2},
            "preference: unknown setting. Set it in targets.<target>",
        ),
    ],
)
def test_a_wrong_setting_gets_one_line(changed: dict[str, Any], line: str) -> None:
    with pytest.raises(InvalidSettings) as error:
        read_settings(SETTINGS | changed)
    assert str(error.value) == line
