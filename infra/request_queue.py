"""A team's queues."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from hpo_dispatcher.contract import aws_limits, names
from infra.settings import removal_policy

RETENTION = Duration.days(aws_limits.SQS_RETENTION_DAYS)
# SQS allows 1 MiB. The rest is for the attributes that explain a rejection.
MAX_MESSAGE_BYTES = 1024 * 1024 - 16 * 1024
# SQS itself dead-letters a message that the dispatcher repeatedly fails to process.
MAX_RECEIVES = 10


class RequestQueue(Construct):
    """A team's request queue and its dead-letter queue, both encrypted."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        deployment: str,
        team: str,
        key: kms.IKey | None,
        retain: bool,
    ) -> None:
        super().__init__(scope, id_)
        # A deployment without the team keeps both queues: docs/decisions/0035.
        kept = removal_policy(retain=retain)
        encryption = sqs.QueueEncryption.KMS if key else sqs.QueueEncryption.SQS_MANAGED
        self.dead_letter_queue = sqs.Queue(
            self,
            "DeadLetter",
            queue_name=names.dead_letter_queue(deployment, team),
            encryption=encryption,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=RETENTION,
            removal_policy=kept,
        )
        self.queue = sqs.Queue(
            self,
            "Requests",
            queue_name=names.request_queue(deployment, team),
            encryption=encryption,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=RETENTION,
            removal_policy=kept,
            max_message_size_bytes=MAX_MESSAGE_BYTES,
            visibility_timeout=Duration.minutes(2),
            dead_letter_queue=sqs.DeadLetterQueue(
                max_receive_count=MAX_RECEIVES, queue=self.dead_letter_queue
            ),
        )

    def grant_intake(self, grantee: iam.IGrantable) -> None:
        """Grant receiving and deleting requests, and dead-lettering rejected ones."""
        self.queue.grant(grantee, "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueUrl")
        self.dead_letter_queue.grant(grantee, "sqs:SendMessage", "sqs:GetQueueUrl")
        if self.queue.encryption_master_key:
            self.queue.encryption_master_key.grant_encrypt_decrypt(grantee)

    def sender_statements(self) -> list[iam.PolicyStatement]:
        """Return the statements that let a team send requests and redrive rejected ones."""
        read = ["sqs:GetQueueUrl", "sqs:GetQueueAttributes"]
        take = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"]
        return [
            iam.PolicyStatement(
                sid="SendRequests",
                actions=["sqs:SendMessage", *read],
                resources=[self.queue.queue_arn],
            ),
            iam.PolicyStatement(
                sid="RedriveDeadLetters",
                actions=[*take, *read],
                resources=[self.dead_letter_queue.queue_arn],
            ),
        ]
