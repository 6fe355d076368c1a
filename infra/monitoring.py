"""The alarms, the topic they notify, and the dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.dashboard import Dashboard
from infra.dispatcher import HEARTBEAT, DispatcherFunction
from infra.metrics import DispatcherMetrics
from infra.request_queue import RequestQueue
from infra.settings import Settings

# Longer than three heartbeats: each of them failed to receive the message.
NOT_RECEIVED = Duration.minutes(35)
HALF_HOUR = Duration.minutes(30)
# Per ten minutes. Adaptive retries absorb fewer than that.
API_THROTTLES = 100

_AT_LEAST = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
_BELOW = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
_QUIET = cloudwatch.TreatMissingData.NOT_BREACHING


@dataclass(frozen=True, kw_only=True)
class Condition:
    """The condition of one alarm and the section of the runbook about it."""

    metric: cloudwatch.IMetric
    threshold: float
    means: str
    section: str
    periods: int = 1
    operator: cloudwatch.ComparisonOperator = _AT_LEAST
    missing: cloudwatch.TreatMissingData = _QUIET


class Monitoring(Construct):
    """The SNS topic for alarms, the alarms and the dashboard."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        dispatcher: DispatcherFunction,
        queues: Mapping[str, RequestQueue],
        key: kms.IKey | None,
    ) -> None:
        super().__init__(scope, id_)
        metrics = DispatcherMetrics(settings.name)
        # Without a customer key the topic is not encrypted, because CloudWatch cannot publish to
        # a topic encrypted with the AWS managed key. Alarm texts contain no secrets.
        self.topic = sns.Topic(
            self,
            "Alarms",
            topic_name=f"{settings.name}-alarms",
            display_name=f"{settings.name} alarms",
            enforce_ssl=True,
            master_key=key,
        )
        self._let_alarms_publish()
        if settings.alarm_email:
            self.topic.add_subscription(subscriptions.EmailSubscription(settings.alarm_email))
        conditions = _of_dispatcher(dispatcher, metrics) | _of_requests(metrics, settings)
        for team, queue in queues.items():
            conditions |= _of_team(team, queue)
        self.alarms = [
            self._alarm(settings, name, condition) for name, condition in conditions.items()
        ]
        self.dashboard = Dashboard(
            self,
            "Dashboard",
            settings=settings,
            function=dispatcher.function,
            queues=queues,
            alarms=self.alarms,
            metrics=metrics,
        )

    def _let_alarms_publish(self) -> None:
        """Allow CloudWatch to publish on behalf of this account's alarms.

        A topic without a policy allows it by SNS's default policy. The statement that refuses
        plain HTTP replaces that default.
        """
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsOfThisAccount",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Aws.ACCOUNT_ID}},
            )
        )

    def _alarm(self, settings: Settings, name: str, condition: Condition) -> cloudwatch.Alarm:
        alarm = cloudwatch.Alarm(
            self,
            "".join(part.capitalize() for part in name.split("-")),
            alarm_name=f"{settings.name}-{name}",
            alarm_description=f"{condition.means} {settings.runbook}#{condition.section}",
            metric=condition.metric,
            threshold=condition.threshold,
            evaluation_periods=condition.periods,
            comparison_operator=condition.operator,
            treat_missing_data=condition.missing,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))
        alarm.add_ok_action(actions.SnsAction(self.topic))
        return alarm


def _of_dispatcher(
    dispatcher: DispatcherFunction, metrics: DispatcherMetrics
) -> dict[str, Condition]:
    function = dispatcher.function
    return {
        "no-cycle": Condition(
            metric=metrics.cycles(HEARTBEAT),
            threshold=1,
            operator=_BELOW,
            missing=cloudwatch.TreatMissingData.BREACHING,
            periods=3,
            means="No dispatch cycle has completed for 30 minutes, so no tuning job starts.",
            section="no-cycle",
        ),
        "errors": Condition(
            metric=function.metric_errors(period=HEARTBEAT),
            threshold=1,
            periods=2,
            means="Dispatch cycles fail repeatedly; some requests are stuck.",
            section="errors",
        ),
        "failed-events": Condition(
            metric=_visible_messages(dispatcher.failures),
            threshold=1,
            means="Lambda discarded an event after two retries; the next heartbeat does its work.",
            section="failed-events",
        ),
        "throttles": Condition(
            metric=function.metric_throttles(period=Duration.minutes(5)),
            threshold=1,
            periods=6,
            means="Invocations of the dispatcher have been throttled for 30 minutes.",
            section="throttles",
        ),
        "long-cycle": Condition(
            metric=function.metric_duration(statistic="Maximum", period=HEARTBEAT),
            threshold=Duration.minutes(13).to_milliseconds(),
            periods=3,
            means="Cycles take almost 15 minutes; work arrives faster than it is processed.",
            section="long-cycle",
        ),
        "api-throttles": Condition(
            metric=metrics.api_throttles(HEARTBEAT),
            threshold=API_THROTTLES,
            periods=3,
            means="AWS has throttled many calls of the dispatcher for half an hour.",
            section="api-throttles",
        ),
    }


def _of_requests(metrics: DispatcherMetrics, settings: Settings) -> dict[str, Condition]:
    hours = settings.oldest_request_hours
    return {
        "account-fault": Condition(
            metric=metrics.account_faults(HEARTBEAT),
            threshold=1,
            periods=2,
            means="SageMaker refuses good requests: a role, a key, a bucket or a permission.",
            section="account-fault",
        ),
        "at-limit": Condition(
            metric=metrics.free(HALF_HOUR),
            threshold=1,
            operator=_BELOW,
            periods=8,
            means="The account has been at its limit of tuning jobs for four hours.",
            section="at-limit",
        ),
        "oldest-request": Condition(
            metric=metrics.oldest(HALF_HOUR),
            threshold=Duration.hours(hours).to_seconds(),
            means=f"A request has been queued for more than {hours} hours.",
            section="oldest-request",
        ),
        **_of_workflows(metrics, settings),
    }


def _of_workflows(metrics: DispatcherMetrics, settings: Settings) -> dict[str, Condition]:
    """Return the conditions of a deployment that answers workflows; of others, none."""
    if not settings.waiting_workflows.any:
        return {}
    return {
        "unanswered-workflow": Condition(
            metric=metrics.unanswered_workflows(HEARTBEAT),
            threshold=1,
            periods=3,
            means="A workflow waits, but its service has not taken the answer for half an hour.",
            section="unanswered-workflow",
        )
    }


def _of_team(team: str, queue: RequestQueue) -> dict[str, Condition]:
    return {
        f"dead-letters-{team}": Condition(
            metric=_visible_messages(queue.dead_letter_queue),
            threshold=1,
            means=f"Rejected requests of {team} are in its dead-letter queue.",
            section="dead-letters",
        ),
        f"oldest-message-{team}": Condition(
            metric=queue.queue.metric_approximate_age_of_oldest_message(
                period=Duration.minutes(5), statistic="Maximum"
            ),
            threshold=NOT_RECEIVED.to_seconds(),
            means=f"A message of {team} has not been received for over half an hour.",
            section="oldest-message",
        ),
    }


def _visible_messages(queue: sqs.IQueue) -> cloudwatch.IMetric:
    return queue.metric_approximate_number_of_messages_visible(
        period=Duration.minutes(5), statistic="Maximum"
    )
