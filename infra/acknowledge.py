"""Findings of cdk-nag that are right as they are, each with its reason beside the code."""

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct

KEY_USE = "Variants of one KMS call, on the one key of the settings."


def acknowledge_key_use(role: IConstruct) -> None:
    """CDK grants the use of a key by two patterns of actions."""
    for action in ("kms:GenerateDataKey*", "kms:ReEncrypt*"):
        acknowledge(role, f"IAM5[Action::{action}]", KEY_USE)


def acknowledge(scope: IConstruct, finding: str, reason: str) -> None:
    """Accept one finding of AwsSolutions below ``scope``, e.g. ``IAM5[Resource::*]``."""
    id_ = f"AwsSolutions::AwsSolutions-{finding}"
    Validations.of(scope).acknowledge(Acknowledgment(id=id_, reason=reason))
