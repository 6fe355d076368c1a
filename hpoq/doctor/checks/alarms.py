"""Checks of the alarms and of the topic that reports them."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from hpoq.doctor.checks.answers import MISSING, allows_service, error_code
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import RESTORE, Finding, fault, ok, warning


def topic(examined: Examined) -> Iterator[Finding]:
    """Check that alarms reach a person."""
    sns = examined.client("sns")
    found = examined.physical_ids("AWS::SNS::Topic", "MonitoringAlarms")
    if not found:
        yield fault("alarm topic", "the alarm topic is gone", RESTORE)
        return
    arn = found[0]
    try:
        attributes = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    except ClientError as error:
        if error_code(error) not in MISSING:
            raise
        yield fault("alarm topic", f"the alarm topic {arn} is gone", RESTORE)
        return
    if not allows_service(attributes.get("Policy", "{}"), "cloudwatch.amazonaws.com"):
        text = "the policy of the alarm topic does not let CloudWatch publish"
        yield fault("alarm topic", text, RESTORE)
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
