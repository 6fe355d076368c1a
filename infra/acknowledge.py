"""Acknowledgment of cdk-nag findings, each with its reason beside the code."""

import aws_cdk as cdk
from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct

KEY_USE = "These are variants of one KMS call on the one customer key."


def acknowledge_key_use(role: IConstruct) -> None:
    """Acknowledge the two wildcard actions with which CDK grants the use of a key."""
    for action in ("kms:GenerateDataKey*", "kms:ReEncrypt*"):
        acknowledge(role, f"IAM5[Action::{action}]", KEY_USE)


def acknowledge_resource(scope: IConstruct, arn: str, reason: str) -> None:
    """Acknowledge that policies below ``scope`` name a resource with a wildcard."""
    for token, name in (
        (cdk.Aws.PARTITION, "Partition"),
        (cdk.Aws.REGION, "Region"),
        (cdk.Aws.ACCOUNT_ID, "AccountId"),
    ):
        arn = arn.replace(token, f"<AWS::{name}>")
    acknowledge(scope, f"IAM5[Resource::{arn}]", reason)


def acknowledge(scope: IConstruct, finding: str, reason: str) -> None:
    """Acknowledge one AwsSolutions finding below ``scope``, such as ``IAM5[Resource::*]``."""
    id_ = f"AwsSolutions::AwsSolutions-{finding}"
    Validations.of(scope).acknowledge(Acknowledgment(id=id_, reason=reason))
