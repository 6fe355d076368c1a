"""A team's SNS topic for the state changes of its requests."""

from __future__ import annotations

from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from hpo_dispatcher.contract import names
from infra.settings import TeamSettings


class Notices(Construct):
    """An SNS topic to which a rule sends the events of one team of one deployment."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        deployment: str,
        team: str,
        settings: TeamSettings,
        key: kms.IKey | None,
    ) -> None:
        super().__init__(scope, id_)
        self.topic = sns.Topic(
            self,
            "Changes",
            topic_name=f"{deployment}-{team}-changes",
            display_name=f"{deployment}: requests of {team}",
            enforce_ssl=True,
            master_key=key,
        )
        rule = events.CfnRule(
            self,
            "OfTeam",
            description=f"State changes of {team}'s requests, to its topic",
            event_pattern={
                "source": [names.EVENT_SOURCE],
                "detail-type": [names.REQUEST_EVENT],
                "detail": {"deployment": [deployment], "team": [team]},
            },
            targets=[{"id": "topic", "arn": self.topic.topic_arn}],
        )
        # Without the condition, rules of every account could publish through EventBridge.
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="RuleOfTeam",
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={"ArnEquals": {"aws:SourceArn": rule.attr_arn}},
            )
        )
        for address in settings.notify_emails:
            self.topic.add_subscription(subscriptions.EmailSubscription(address))

    def subscriber_statement(self) -> iam.PolicyStatement:
        """Return the statement that lets the team subscribe to its topic."""
        return iam.PolicyStatement(
            sid="FollowOwnRequests",
            actions=["sns:Subscribe", "sns:ListSubscriptionsByTopic"],
            resources=[self.topic.topic_arn],
        )
