"""A team's way in."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

RETENTION = Duration.days(14)  # the longest SQS offers
# Of SQS's 1 MiB: room for the attributes that say in the dead-letter queue what was wrong.
LARGEST_BYTES = 1024 * 1024 - 16 * 1024
# A message of which the dispatcher never came to say what is wrong ends up there anyway.
MAX_RECEIVES = 10


class RequestQueue(Construct):
    """An encrypted queue of one team and the dead-letter queue behind it."""

    def __init__(
        self, scope: Construct, id_: str, *, deployment: str, team: str, key: kms.IKey | None
    ) -> None:
        super().__init__(scope, id_)
        encryption = sqs.QueueEncryption.KMS if key else sqs.QueueEncryption.SQS_MANAGED
        self.dead_letter_queue = sqs.Queue(
            self,
            "DeadLetter",
            queue_name=f"{deployment}-{team}-dead-letter",
            encryption=encryption,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=RETENTION,
        )
        self.queue = sqs.Queue(
            self,
            "Requests",
            queue_name=f"{deployment}-{team}-requests",
            encryption=encryption,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=RETENTION,
            max_message_size_bytes=LARGEST_BYTES,
            visibility_timeout=Duration.minutes(2),
            dead_letter_queue=sqs.DeadLetterQueue(
                max_receive_count=MAX_RECEIVES, queue=self.dead_letter_queue
            ),
        )

    def grant_intake(self, grantee: iam.IGrantable) -> None:
        """Receive and delete requests, and put bad ones aside."""
        self.queue.grant(grantee, "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueUrl")
        self.dead_letter_queue.grant(grantee, "sqs:SendMessage", "sqs:GetQueueUrl")
        if self.queue.encryption_master_key:
            self.queue.encryption_master_key.grant_encrypt_decrypt(grantee)

    def sender_statements(self) -> list[iam.PolicyStatement]:
        """What a team needs of its queues: send, and look at and redrive what was refused."""
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
