"""Acknowledgment of NIST 800-53 R5 findings that do not apply to this stack.

``make audit`` runs the rule pack with these acknowledgments. It reports new findings, and
acknowledgments that no longer match a finding.
"""

from __future__ import annotations

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct

PACK = "NIST.800.53.R5"

# Reason by finding.
REASONS = {
    "DynamoDBInBackupPlan": (
        "Point-in-time recovery restores the ledger to any second of the last 35 days. Backup "
        "plans belong to the account: AWS Backup can select the table by tag."
    ),
    "S3BucketLoggingEnabled": (
        "CloudTrail data events, enabled once for all buckets of an account, record who read what "
        "and do not need a second bucket."
    ),
    "S3BucketReplicationEnabled": (
        "Models can be trained again from the requests in the ledger, and object versions are kept "
        "for 30 days. Replication needs a bucket in another Region, outside this stack."
    ),
    "IAMNoInlinePolicy": (
        "Each of these policies belongs to one role of this stack and names its resources. A "
        "managed policy could be attached to other roles."
    ),
    "LambdaConcurrency": (
        "The lease in the ledger keeps one cycle at a time. An account whose concurrency limit is "
        "10, as a new account's is, cannot reserve any; the setting reserved_concurrency can."
    ),
    "LambdaDLQ": (
        "The function has an on-failure destination, which also records why an event failed. A "
        "dead-letter queue would store the same events again."
    ),
    "LambdaInsideVPC": (
        "The function only calls public AWS endpoints, over TLS. A VPC would add NAT gateways or "
        "eight interface endpoints, but contain no host to protect."
    ),
}
# These findings do not occur with a customer key (setting kms_key_arn).
WITHOUT_KEY = {
    "S3DefaultEncryptionKMS": "Encrypted with S3 managed keys unless kms_key_arn is set.",
    "CloudWatchLogGroupEncrypted": "Encrypted with CloudWatch's keys unless kms_key_arn is set.",
    "SNSEncryptedKMS": (
        "CloudWatch cannot publish to a topic encrypted with the AWS managed key. Alarm texts "
        "contain no secrets. kms_key_arn encrypts the topic."
    ),
}


def acknowledge_nist(stack: IConstruct, *, has_key: bool) -> None:
    """Acknowledge the findings above for one stack."""
    reasons = REASONS if has_key else REASONS | WITHOUT_KEY
    Validations.of(stack).acknowledge(
        *(
            Acknowledgment(id=f"{PACK}::{PACK}-{finding}", reason=reason)
            for finding, reason in reasons.items()
        )
    )
