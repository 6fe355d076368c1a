"""What NIST 800-53 R5 asks for beyond AwsSolutions, and why this stack does otherwise.

``make audit`` runs the pack and applies these; a new finding, or a reason without a finding
left, shows there.
"""

from __future__ import annotations

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct

PACK = "NIST.800.53.R5"

# Finding -> reason. Every resource the finding is about is one of this stack's few.
REASONS = {
    "DynamoDBInBackupPlan": (
        "Point-in-time recovery restores the ledger to any second of the last 35 days. Backup "
        "plans belong to the account: AWS Backup selects the table by tag."
    ),
    "S3BucketLoggingEnabled": (
        "CloudTrail data events, which an account switches on for all its buckets, tell who read "
        "what, and need no second bucket here."
    ),
    "S3BucketReplicationEnabled": (
        "Models can be trained again from requests in the ledger; versions are kept for 30 days. "
        "Replication needs a bucket in another Region, which this stack cannot own."
    ),
    "IAMNoInlinePolicy": (
        "Each of these policies belongs to one role of this stack and names its resources; a "
        "managed policy could be attached to something else."
    ),
    "LambdaDLQ": (
        "The function has an on-failure destination, which also says why an event failed; a "
        "dead-letter queue beside it would hold the same events once more."
    ),
    "LambdaInsideVPC": (
        "The function calls AWS's public endpoints only, by TLS and as its role. A VPC would "
        "add NAT gateways or eight interface endpoints, and no host to protect."
    ),
}
# These end with a key of the customer's: context key kms_key_arn.
WITHOUT_KEY = {
    "S3DefaultEncryptionKMS": "Encrypted by S3's own keys unless kms_key_arn names another.",
    "CloudWatchLogGroupEncrypted": "Encrypted by CloudWatch's own keys unless kms_key_arn is set.",
    "SNSEncryptedKMS": (
        "CloudWatch cannot publish through the AWS managed key, and alarm texts hold no secret; "
        "kms_key_arn encrypts the topic."
    ),
}


def acknowledge_nist(stack: IConstruct, *, has_key: bool) -> None:
    """Accept the findings above for one stack."""
    reasons = REASONS if has_key else REASONS | WITHOUT_KEY
    Validations.of(stack).acknowledge(
        *(
            Acknowledgment(id=f"{PACK}::{PACK}-{finding}", reason=reason)
            for finding, reason in reasons.items()
        )
    )
