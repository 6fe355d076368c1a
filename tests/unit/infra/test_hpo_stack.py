"""The synthesized template has the properties that a reviewer would look for."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Match, Template
from cdk_nag import AwsSolutionsChecks, NIST80053R5Checks

from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.settings import parse_deployment
from hpo_dispatcher.observability.metrics import METRICS
from infra.hpo_stack import HpoStack
from infra.nist import acknowledge_nist
from infra.settings import Settings, read_settings
from infra.source import ROOT, write_function, write_training_archive
from tests.support.synthesized_stack import (
    ALL,
    KEY,
    KEY_THERE,
    TEAMS,
    statements,
    synthesize,
)

SQS_LARGEST = 1_048_576  # bytes, attributes included
ROOM_FOR_A_REASON = 16_384  # three texts of 1000 characters, four bytes each at most, and ids


@pytest.fixture(scope="module")
def template() -> Template:
    return synthesize()


def test_each_team_has_an_encrypted_queue_that_keeps_messages_14_days(template: Template) -> None:
    for name in ("hpoq-fraud-requests", "hpoq-vision-2-requests", "hpoq-fraud-dead-letter"):
        template.has_resource_properties(
            "AWS::SQS::Queue",
            {"QueueName": name, "SqsManagedSseEnabled": True, "MessageRetentionPeriod": 1209600},
        )
    template.has_resource_properties(
        "AWS::SQS::Queue",
        {
            "QueueName": "hpoq-fraud-requests",
            "RedrivePolicy": {"deadLetterTargetArn": Match.any_value(), "maxReceiveCount": 10},
            "MaximumMessageSize": SQS_LARGEST - ROOM_FOR_A_REASON,
        },
    )


def test_every_queue_and_the_bucket_reject_plain_http(template: Template) -> None:
    queues = template.find_resources("AWS::SQS::Queue")
    policies = template.find_resources("AWS::SQS::QueuePolicy")
    assert len(policies) == len(queues)
    secure = {"Condition": {"Bool": {"aws:SecureTransport": "false"}}, "Effect": "Deny"}
    for kind in ("AWS::SQS::QueuePolicy", "AWS::S3::BucketPolicy"):
        for policy in template.find_resources(kind).values():
            statements = policy["Properties"]["PolicyDocument"]["Statement"]
            assert any(secure.items() <= statement.items() for statement in statements)


def test_the_ledger_is_on_demand_with_point_in_time_recovery(template: Template) -> None:
    template.has_resource(
        "AWS::DynamoDB::Table",
        {
            "DeletionPolicy": "RetainExceptOnCreate",
            "Properties": {
                "TableName": "hpoq-ledger",
                "BillingMode": "PAY_PER_REQUEST",
                "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
                "KeySchema": [
                    {"AttributeName": "team", "KeyType": "HASH"},
                    {"AttributeName": "id", "KeyType": "RANGE"},
                ],
            },
        },
    )


KEPT = ("AWS::DynamoDB::Table", "AWS::S3::Bucket")


@pytest.mark.parametrize(
    ("settings", "on_delete", "on_replace"),
    [({}, "RetainExceptOnCreate", "Retain"), ({"retain_data": False}, "Delete", "Delete")],
)
def test_ledger_and_artifacts_survive_all_but_a_failed_first_deployment(
    settings: dict[str, bool], on_delete: str, on_replace: str
) -> None:
    template = synthesize(**settings)
    for kind in KEPT:
        (resource,) = template.find_resources(kind).values()
        assert resource["DeletionPolicy"] == on_delete
        assert resource["UpdateReplacePolicy"] == on_replace


@pytest.mark.parametrize(
    ("settings", "on_delete"), [({}, "RetainExceptOnCreate"), ({"retain_data": False}, "Delete")]
)
def test_the_queues_of_a_removed_team_are_kept_with_their_messages(
    settings: dict[str, bool], on_delete: str
) -> None:
    queues = synthesize(**settings).find_resources("AWS::SQS::Queue").values()
    policies = {
        each["Properties"]["QueueName"]: each["DeletionPolicy"]
        for each in queues
        if "QueueName" in each["Properties"]
    }
    assert policies == dict.fromkeys(
        (f"hpoq-{team}-{kind}" for team in TEAMS for kind in ("requests", "dead-letter")), on_delete
    )


def test_old_versions_of_checkpoints_expire_in_a_day(template: Template) -> None:
    (bucket,) = template.find_resources("AWS::S3::Bucket").values()
    rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    (rule,) = [each for each in rules if each.get("Prefix") == "checkpoints/"]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}


def test_the_dispatcher_runs_as_designed(template: Template) -> None:
    template.has_resource_properties(
        "AWS::Lambda::Function",
        {
            "FunctionName": "hpoq-dispatcher",
            "Runtime": "python3.13",
            "Timeout": 900,
            "ReservedConcurrentExecutions": Match.absent(),
            "Handler": "hpo_dispatcher.handler.handler",
        },
    )
    template.has_resource_properties(
        "AWS::Lambda::EventInvokeConfig",
        {
            "MaximumRetryAttempts": 2,
            "MaximumEventAgeInSeconds": 600,
            "DestinationConfig": {"OnFailure": {"Destination": Match.any_value()}},
        },
    )


def test_invocations_are_traced_and_the_role_may_send_traces_and_nothing_else_of_xray(
    template: Template,
) -> None:
    template.has_resource_properties("AWS::Lambda::Function", {"TracingConfig": {"Mode": "Active"}})
    actions = {
        action
        for statement in statements(template, "Dispatcher")
        for action in statement["Action"]
        if action.startswith("xray:")
    }
    assert actions == {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}


def test_the_heartbeat_and_both_events_invoke_the_dispatcher(template: Template) -> None:
    template.has_resource_properties(
        "AWS::Events::Rule", {"ScheduleExpression": "rate(10 minutes)"}
    )
    for source in ("aws.sagemaker", "hpoq"):
        template.has_resource_properties(
            "AWS::Events::Rule", {"EventPattern": Match.object_like({"source": [source]})}
        )


def test_an_account_with_concurrency_to_spare_may_reserve_some() -> None:
    (function,) = (
        synthesize(reserved_concurrency=1).find_resources("AWS::Lambda::Function").values()
    )
    assert function["Properties"]["ReservedConcurrentExecutions"] == 1


def test_only_the_roles_of_teams_may_be_passed_and_only_to_sagemaker(template: Template) -> None:
    statements = [
        statement
        for policy in template.find_resources("AWS::IAM::Policy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if "iam:PassRole" in statement["Action"]
    ]
    (statement,) = statements
    assert statement["Condition"] == {
        "StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}
    }
    passed = [each["Fn::GetAtt"] for each in statement["Resource"]]
    roles = template.find_resources("AWS::IAM::Role")
    assert [roles[name]["Properties"]["RoleName"] for name, _ in passed] == [
        "hpoq-fraud-training", "hpoq-vision-2-training",
    ]  # fmt: skip


def test_a_teams_policy_names_its_own_queue_and_partition(template: Template) -> None:
    policies = template.find_resources("AWS::IAM::ManagedPolicy").values()
    (fraud,) = [p for p in policies if p["Properties"]["ManagedPolicyName"] == "hpoq-fraud-team"]
    text = json.dumps(fraud)
    assert "vision" not in text.lower().replace("visibility", "")
    assert '"dynamodb:LeadingKeys": ["fraud", "#deployment"]' in text
    assert "dynamodb:PutItem" not in text


def test_there_are_no_custom_resources(template: Template) -> None:
    kinds = {resource["Type"] for resource in template.to_json()["Resources"].values()}
    assert not [kind for kind in kinds if "Custom" in kind]
    assert "AWS::CloudFormation::CustomResource" not in kinds


def test_outputs_name_queues_table_and_bucket(template: Template) -> None:
    outputs = template.to_json()["Outputs"]
    assert {
        "RequestQueueUrlFraud", "DeadLetterQueueUrlFraud", "RequestQueueUrlVision2",
        "LedgerTableName", "ArtifactBucketName", "TrainingRoleArnFraud", "DispatcherFunctionName",
    } <= set(outputs)  # fmt: skip


def test_a_customer_key_encrypts_queues_table_bucket_and_logs() -> None:
    template = synthesize(kms_key_arn=KEY)
    for queue in template.find_resources("AWS::SQS::Queue").values():
        assert queue["Properties"]["KmsMasterKeyId"] == KEY
    text = json.dumps(template.to_json())
    assert text.count(KEY) > 10
    template.has_resource_properties("AWS::Logs::LogGroup", {"KmsKeyId": KEY})


def nag(folder: Path, **settings: Any) -> list[tuple[str, list[str]]]:
    """Return the conclusion and the findings of both packs for the whole app."""
    app = cdk.App(outdir=str(folder), context={"aws:cdk:bundling-stacks": []})
    stack = HpoStack(app, "hpoq", settings=Settings(**({"teams": TEAMS} | settings)))
    acknowledge_nist(stack, has_key="kms_key_arn" in settings)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app), NIST80053R5Checks(app))
    app.synth()
    report = json.loads((folder / "validation-report.json").read_text())
    return [
        (each["conclusion"], [found["ruleName"] for found in each["violations"]])
        for each in report["pluginReports"]
    ]


@pytest.mark.parametrize("settings", [{}, ALL], ids=["defaults", "all settings"])
def test_aws_solutions_and_nist_find_nothing(settings: dict[str, Any], tmp_path: Path) -> None:
    assert nag(tmp_path, **settings) == [("success", []), ("success", [])]


@pytest.mark.parametrize("place", ["infra.training.acknowledge", f"{__name__}.acknowledge_nist"])
def test_a_finding_without_a_reason_fails_the_synthesis(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, lambda *_, **__: None)
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        nag(tmp_path)


@pytest.mark.parametrize("settings", [{}, ALL], ids=["defaults", "all settings"])
def test_cfn_lint_reports_no_findings(settings: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "hpoq.template.json"
    file.write_text(json.dumps(synthesize(**settings).to_json()))
    command = [str(Path(sys.executable).with_name("cfn-lint")), str(file)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout


# Alarms


def alarms(template: Template) -> dict[str, dict[str, Any]]:
    found = template.find_resources("AWS::CloudWatch::Alarm").values()
    return {each["Properties"]["AlarmName"]: each["Properties"] for each in found}


def test_every_alarm_notifies_the_topic_and_names_a_section_of_the_runbook(
    template: Template,
) -> None:
    text = (ROOT / "docs" / "runbook.md").read_text()
    sections = {line[3:].strip() for line in text.splitlines() if line.startswith("## ")}
    (topic,) = template.find_resources("AWS::SNS::Topic")
    for name, alarm in alarms(template).items():
        assert alarm["AlarmActions"] == [{"Ref": topic}], name
        page, _, section = alarm["AlarmDescription"].rsplit(" ", 1)[1].partition("#")
        assert page == "docs/runbook.md"
        assert section in sections, name


def test_each_team_has_its_alarms_and_the_deployment_nine_more(template: Template) -> None:
    of_team = {f"hpoq-{kind}-fraud" for kind in ("dead-letters", "oldest-message")}
    of_all = {
        "no-cycle", "errors", "failed-events", "throttles", "long-cycle", "at-limit",
        "oldest-request", "api-throttles", "account-fault",
    }  # fmt: skip
    names = set(alarms(template))
    assert of_team <= names
    assert {f"hpoq-{name}" for name in of_all} <= names
    assert len(names) == 9 + 2 * len(TEAMS)


def test_half_an_hour_without_cycles_is_an_alarm(template: Template) -> None:
    alarm = alarms(template)["hpoq-no-cycle"]
    assert alarm["TreatMissingData"] == "breaching"
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 1800


def test_faults_of_the_account_for_twenty_minutes_are_an_alarm(template: Template) -> None:
    alarm = alarms(template)["hpoq-account-fault"]
    assert (alarm["MetricName"], alarm["Statistic"]) == ("AccountFaults", "Maximum")
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (1, "GreaterThanOrEqualToThreshold")
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 1200


def test_unanswered_workflows_are_an_alarm_if_any_workflow_may_wait(template: Template) -> None:
    assert "hpoq-unanswered-workflow" not in alarms(template)
    answering = synthesize(workflows={"pipelines": ["credit"]})
    alarm = alarms(answering)["hpoq-unanswered-workflow"]
    assert (alarm["MetricName"], alarm["Statistic"]) == ("UnansweredWorkflows", "Maximum")
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (1, "GreaterThanOrEqualToThreshold")
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 1800
    page = (ROOT / "docs" / "runbook.md").read_text()
    assert "\n## unanswered-workflow\n" in page


def read_metrics(template: Template) -> set[tuple[str, str]]:
    """Return name and second dimension of our metrics on the dashboard and in the alarms."""
    (screen,) = template.find_resources("AWS::CloudWatch::Dashboard").values()
    parts = screen["Properties"]["DashboardBody"]["Fn::Join"][1]
    body = json.loads("".join(part if isinstance(part, str) else "x" for part in parts))
    found: set[tuple[str, str]] = set()
    for widget in body["widgets"]:
        for metric in widget["properties"].get("metrics", ()):
            if isinstance(metric[0], dict):
                search = re.search(
                    r'\{hpoq,service,(\w+)\} MetricName="(\w+)" service="hpoq-dispatcher"',
                    metric[0]["expression"],
                )
                assert search, metric
                found.add((search[2], search[1]))
            elif metric[0] == "hpoq":
                assert metric[2:4] == ["service", "hpoq-dispatcher"]
                found.add((metric[1], ""))
    for alarm in alarms(template).values():
        if alarm["Namespace"] == "hpoq":
            assert alarm["Dimensions"] == [{"Name": "service", "Value": "hpoq-dispatcher"}]
            found.add((alarm["MetricName"], ""))
    return found


def test_alarms_and_dashboard_read_exactly_the_metrics_that_the_dispatcher_writes(
    template: Template,
) -> None:
    # observability/test_telemetry.py shows that the handler writes exactly these.
    assert read_metrics(template) == METRICS


def test_the_dashboard_is_one_screen(template: Template) -> None:
    (screen,) = template.find_resources("AWS::CloudWatch::Dashboard").values()
    parts = screen["Properties"]["DashboardBody"]["Fn::Join"][1]
    widgets = json.loads("".join(p if isinstance(p, str) else "x" for p in parts))["widgets"]
    assert max(each["y"] + each["height"] for each in widgets) <= 26
    titles = [each["properties"].get("title") for each in widgets]
    assert len(titles) == len(set(titles))


def test_an_email_address_is_subscribed_to_the_alarms() -> None:
    synthesize(alarm_email="on-call@example.com").has_resource_properties(
        "AWS::SNS::Subscription", {"Protocol": "email", "Endpoint": "on-call@example.com"}
    )


# A team's own topic


def test_a_team_with_notify_has_a_topic_that_only_its_rule_may_publish_to() -> None:
    template = synthesize(**ALL)
    (topic,) = template.find_resources(
        "AWS::SNS::Topic", {"Properties": {"TopicName": "hpoq-fraud-changes"}}
    )
    (rule,) = template.find_resources(
        "AWS::Events::Rule",
        {
            "Properties": {
                "EventPattern": {
                    "source": ["hpoq"],
                    "detail-type": ["Request State Change"],
                    "detail": {"deployment": ["hpoq"], "team": ["fraud"]},
                },
                "Targets": [{"Id": "topic", "Arn": {"Ref": topic}}],
            }
        },
    )
    policies = template.find_resources("AWS::SNS::TopicPolicy").values()
    (allowed,) = [
        statement
        for policy in policies
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow" and statement["Resource"] == {"Ref": topic}
    ]
    assert allowed["Principal"] == {"Service": "events.amazonaws.com"}
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": [rule, "Arn"]}}}
    template.has_resource_properties(
        "AWS::SNS::Subscription",
        {"Protocol": "email", "Endpoint": "fraud@example.com", "TopicArn": {"Ref": topic}},
    )


def test_only_its_own_team_may_subscribe_to_a_topic_of_changes() -> None:
    template = synthesize(**ALL)
    (topic,) = template.find_resources(
        "AWS::SNS::Topic", {"Properties": {"TopicName": "hpoq-fraud-changes"}}
    )
    for policy in template.find_resources("AWS::IAM::ManagedPolicy").values():
        mine = policy["Properties"]["ManagedPolicyName"] == "hpoq-fraud-team"
        of_topics = [
            (each["Action"], each["Resource"])
            for each in policy["Properties"]["PolicyDocument"]["Statement"]
            if "sns:" in json.dumps(each["Action"])
        ]
        actions = ["sns:Subscribe", "sns:ListSubscriptionsByTopic"]
        assert of_topics == ([(actions, {"Ref": topic})] if mine else [])


def test_without_the_setting_no_team_has_a_topic(template: Template) -> None:
    assert len(template.find_resources("AWS::SNS::Topic")) == 1  # the alarms'


# Settings that widen the training role


def test_training_may_also_read_and_write_the_prefixes_of_the_guardrails() -> None:
    text = json.dumps(statements(synthesize(**ALL), "Training"))
    assert ":s3:::data/credit/*" in text
    assert ":s3:::models/fraud/*" in text
    assert "data/credit" not in json.dumps(statements(synthesize(), "Training"))


def test_a_vpc_lets_sagemaker_attach_network_interfaces_as_the_role() -> None:
    assert "ec2:CreateNetworkInterface" in json.dumps(statements(synthesize(**ALL), "Training"))
    assert "ec2:" not in json.dumps(statements(synthesize(), "Training"))


def test_a_customer_key_reaches_training_volumes_output_and_the_teams() -> None:
    settings = Settings(teams=TEAMS, kms_key_arn=KEY)
    assert settings.rules.volume_kms_key == settings.rules.output_kms_key == KEY
    template = synthesize(kms_key_arn=KEY)
    assert "kms:CreateGrant" in json.dumps(statements(template, "Training"))
    policies = template.find_resources("AWS::IAM::ManagedPolicy")
    assert len(policies) == len(TEAMS) + 1  # and that of all training roles
    for name, policy in policies.items():
        if not name.startswith("Access"):
            continue
        (use,) = [
            each
            for each in policy["Properties"]["PolicyDocument"]["Statement"]
            if "kms:Decrypt" in each["Action"]
        ]
        (condition,) = use["Condition"]["StringEquals"].items()
        # The services' domain is another one in China.
        suffix = {"Ref": "AWS::URLSuffix"}
        assert condition == (
            "kms:ViaService",
            [
                {"Fn::Join": ["", [f"{service}.", {"Ref": "AWS::Region"}, ".", suffix]]}
                for service in ("sqs", "dynamodb", "s3")
            ],
        )
    template.has_resource_properties("AWS::SNS::Topic", {"KmsMasterKeyId": KEY})


def test_the_guardrails_may_name_another_key_for_volumes() -> None:
    settings = Settings(teams=TEAMS, kms_key_arn=KEY, guardrails={"volume_kms_key": "other"})
    assert settings.rules.volume_kms_key == "other"
    assert settings.rules.output_kms_key == KEY


# Settings


def context(**values: Any) -> Any:
    return {"teams": TEAMS} | values


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"teams": {}}, "teams"),
        ({"teams": None}, "teams"),
        ({"teams": {"Fraud": {}}}, "teams"),
        ({"teams": {"a-b": {}, "a--b": {}}}, "teams.a--b"),
        ({"teams": {"a": {}, "a-": {}}}, "teams.a-"),
        ({"teams": {"direct": {}}}, "teams.direct"),
        ({"teams": {"direct--eu": {}}}, "teams.direct--eu"),
        ({"kms_key_arn": "alias/mine"}, "kms_key_arn"),
        ({"name": "HPOQ"}, "name"),
        ({"limits": {"tuning_jobs": 0}}, "limits.tuning_jobs"),
        ({"limits": {"tunning_jobs": 5}}, "limits.tunning_jobs"),
        ({"guardrails": {"max_run_seconds": "long"}}, "guardrails.max_run_seconds"),
        ({"memory_mb": 1}, "memory_mb"),
        ({"reserved_concurrency": 2}, "reserved_concurrency"),
        ({"python_version": "2.7"}, "python_version"),
    ],
)
def test_an_invalid_setting_is_named_by_its_key(values: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        read_settings(context(**values))
    assert caught.value.key.startswith(key)
    assert "\n" not in str(caught.value)


def test_the_command_line_may_give_json() -> None:
    settings = read_settings(context(teams='{"fraud": {}}', limits='{"tuning_jobs": 10}'))
    assert settings.teams == {"fraud": {}}
    assert read_settings(context(reserved_concurrency="none")).reserved_concurrency is None


# Assets


def test_the_zip_file_contains_settings_that_the_dispatcher_reads(
    tmp_path: Path,
) -> None:
    write_function(tmp_path, Settings(teams=TEAMS).deployment)
    parse_deployment(json.loads((tmp_path / "deployment.json").read_text()))
    assert (tmp_path / "hpo_dispatcher" / "templates" / "smoke.yaml").exists()
    compiled = {path.name.split(".")[0] for path in tmp_path.rglob("*.pyc")}
    assert compiled == {path.stem for path in tmp_path.rglob("*.py")}, "cold starts would compile"


def test_the_training_archive_is_flat_and_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_training_archive(tmp_path / name)
    first = (tmp_path / "a" / "training.tar.gz").read_bytes()
    assert first == (tmp_path / "b" / "training.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "a" / "training.tar.gz") as archive:
        assert "train_cpu.py" in archive.getnames()


def test_no_arn_names_a_partition() -> None:
    """GovCloud and China have partitions of their own; only the keys of the settings name one."""
    text = json.dumps(synthesize(**ALL).to_json()).replace(KEY, "").replace(KEY_THERE, "")
    assert re.findall(r"arn:aws[a-z-]*:[^\"]*", text) == []


@pytest.mark.parametrize(
    ("setting", "roles"),
    [
        ({"workflows": {"pipelines": ["none"]}}, ("Dispatcher",)),
        ({"guardrails": {"input_prefixes": ["s3://none/"]}}, ("TrainingFraud", "TrainingVision2")),
    ],
)
def test_the_settings_that_the_runbook_names_change_the_inline_policies_of_roles(
    setting: dict[str, Any], roles: tuple[str, ...]
) -> None:
    usual = inline_policies(synthesize())
    changed = inline_policies(synthesize(**setting))
    for role in roles:
        found = [name for name in usual if name.startswith(role)]
        assert found, role
        assert any(usual[name] != changed[name] for name in found), role


def inline_policies(template: Template) -> dict[str, Any]:
    """Return the statements of the inline policies by logical id."""
    found = template.find_resources("AWS::IAM::Policy")
    return {name: each["Properties"]["PolicyDocument"] for name, each in found.items()}
