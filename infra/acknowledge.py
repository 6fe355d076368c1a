"""Acknowledgment of cdk-nag findings, each with its reason beside the code."""

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct

KEY_USE = "These are variants of one KMS call on the one customer key."


def acknowledge_key_use(role: IConstruct) -> None:
    """Acknowledge the two wildcard actions with which CDK grants the use of a key."""
    for action in ("kms:GenerateDataKey*", "kms:ReEncrypt*"):
        acknowledge(role, f"IAM5[Action::{action}]", KEY_USE)


def acknowledge(scope: IConstruct, finding: str, reason: str) -> None:
    """Acknowledge one AwsSolutions finding below ``scope``, such as ``IAM5[Resource::*]``."""
    id_ = f"AwsSolutions::AwsSolutions-{finding}"
    Validations.of(scope).acknowledge(Acknowledgment(id=id_, reason=reason))
