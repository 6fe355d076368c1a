"""The dispatcher's access to a target, and the events that the target sends home."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from constructs import Construct

from hpo_dispatcher.contract import aws_limits, names
from hpo_dispatcher.contract.settings import WorkflowSettings
from hpo_dispatcher.contract.targets.sites import TargetSite, dispatcher_role
from infra.acknowledge import acknowledge, acknowledge_resource
from infra.dispatcher import (
    DispatcherFunction,
    model_statement,
    tuning_job_ended,
    tuning_statements,
)


class TargetAccess(Construct):
    """The role that only the dispatcher may assume, and a rule for the ends of tuning jobs."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        site: TargetSite,
        training_roles: Sequence[iam.IRole],
        workflows: WorkflowSettings,
    ) -> None:
        super().__init__(scope, id_)
        stack = cdk.Stack.of(self)
        name = dispatcher_role(site.deployment)
        trusted = f"arn:{stack.partition}:iam::{site.home_account}:role/{name}"
        # The account and a condition, not the role as the principal: IAM refuses a principal that
        # does not exist yet, and stops trusting it once it has been created again ("AWS JSON policy
        # elements: Principal" in the IAM user guide).
        self.role = iam.Role(
            self,
            "Role",
            role_name=site.access_role,
            description=f"The dispatcher of {site.deployment} runs tuning jobs here",
            assumed_by=iam.PrincipalWithConditions(
                iam.AccountPrincipal(site.home_account),
                {
                    "ArnEquals": {"aws:PrincipalArn": trusted},
                    "StringEquals": {"sts:ExternalId": site.external_id},
                },
            ),
        )
        for statement in tuning_statements(stack, training_roles):
            self.role.add_to_policy(statement)
        if workflows.any:
            models, reason = model_statement(stack)
            self.role.add_to_policy(models)
            acknowledge_resource(self.role, models.resources[0], reason)
        tuning_jobs = stack.format_arn(
            service="sagemaker", resource="hyper-parameter-tuning-job", resource_name="*"
        )
        acknowledge_resource(
            self.role, tuning_jobs, "The names of tuning jobs derive from requests."
        )
        acknowledge(
            self.role,
            "IAM5[Resource::*]",
            "Listing jobs and quotas does not support resources.",
        )
        bus = events.EventBus.from_event_bus_arn(
            self,
            "HomeBus",
            f"arn:{stack.partition}:events:{site.home_region}:{site.home_account}:event-bus/default",
        )
        rule = events.Rule(self, "TuningJobEnded", event_pattern=tuning_job_ended())
        rule.add_target(targets.EventBus(bus))


def grant_targets(dispatcher: DispatcherFunction, sites: Sequence[TargetSite]) -> None:
    """Allow the function to assume the access roles of targets, and these to send events."""
    if not sites:
        return
    partition = cdk.Aws.PARTITION
    dispatcher.function.add_to_role_policy(
        iam.PolicyStatement(
            sid="AssumeAccessRoles",
            actions=["sts:AssumeRole"],
            resources=[site.access_role_arn(partition) for site in sites],
        )
    )
    stack = cdk.Stack.of(dispatcher)
    bus = stack.format_arn(service="events", resource="event-bus", resource_name="default")
    for account in sorted({site.account for site in sites} - {sites[0].home_account}):
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{partition}:iam::{account}:root"},
            "Action": "events:PutEvents",
            "Resource": bus,
            # As in "Example policy: Send events to a custom bus in a different account" of the
            # EventBridge user guide: a request has several sources and one detail type.
            "Condition": {
                "ForAllValues:StringEquals": {"events:source": aws_limits.SAGEMAKER_EVENT_SOURCE},
                "StringEquals": {"events:detail-type": aws_limits.TUNING_JOB_EVENT},
            },
        }
        name = f"{names.dispatcher_function(sites[0].deployment)}-{account}"
        # Not CfnEventBusPolicy, which warns of a deprecated property that is not used here.
        cdk.CfnResource(
            dispatcher,
            f"EventsOf{account}",
            type="AWS::Events::EventBusPolicy",
            properties={"StatementId": name, "Statement": statement},
        )
