"""The teams' SQS queues."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from hpo_dispatcher.aws.clients import code, unavailable
from hpo_dispatcher.contract import names
from hpo_dispatcher.ports import MESSAGES_AT_ONCE, Envelope, Rejection, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef, MessageTypeDef

# Long polling asks every SQS server; a short poll may come back empty on a filled queue.
WAIT_SECONDS = 1
# Enough time to process one batch, and short enough that messages of a killed cycle return soon.
# A second receiver does no harm: the ledger recognizes a repeated message.
VISIBILITY_SECONDS = 120
_ATTRIBUTE_CHARACTERS = 1000
# "QueueDoesNotExist" in the SQS API reference; the other is its code in the older query protocol.
_MISSING = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")
# SQS rejects characters that XML cannot contain. JSON can escape them.
_NOT_IN_SQS = re.compile("[\ufffe\uffff]")


class SqsQueues:
    """``RequestQueues`` on SQS; queue names follow from deployment and team."""

    def __init__(self, sqs: SQSClient, deployment: str) -> None:
        self._sqs = sqs
        self._deployment = deployment
        self._urls: dict[str, str] = {}

    def receive(self, team: str, *, wait: bool = True) -> Sequence[Envelope]:
        """See ``RequestQueues``."""
        queue = names.request_queue(self._deployment, team)
        with self._calling("ReceiveMessage", queue):
            answer = self._sqs.receive_message(
                QueueUrl=self._url(queue),
                MaxNumberOfMessages=MESSAGES_AT_ONCE,
                WaitTimeSeconds=WAIT_SECONDS if wait else 0,
                VisibilityTimeout=VISIBILITY_SECONDS,
                MessageSystemAttributeNames=["SentTimestamp"],
            )
        return [_envelope(team, message) for message in answer.get("Messages", [])]

    def delete(self, envelopes: Sequence[Envelope]) -> None:
        """See ``RequestQueues``."""
        for first in range(0, len(envelopes), MESSAGES_AT_ONCE):
            batch = envelopes[first : first + MESSAGES_AT_ONCE]
            queue = names.request_queue(self._deployment, batch[0].team)
            with self._calling("DeleteMessageBatch", queue):
                self._sqs.delete_message_batch(
                    QueueUrl=self._url(queue),
                    Entries=[
                        {"Id": str(index), "ReceiptHandle": envelope.receipt}
                        for index, envelope in enumerate(batch)
                    ],
                )

    def reject(self, rejection: Rejection) -> None:
        """See ``RequestQueues``."""
        error = rejection.error
        attributes = {
            "error": type(error).__name__,
            "field": error.field,
            "problem": error.problem,
            "fix": error.fix,
            "message-id": rejection.message_id,
            "team": rejection.team,
        }
        body = rejection.body or "{}"
        queue = names.dead_letter_queue(self._deployment, rejection.team)
        with self._calling("SendMessage", queue):
            self._sqs.send_message(
                QueueUrl=self._url(queue),
                MessageBody=_NOT_IN_SQS.sub(lambda found: f"\\u{ord(found[0]):04x}", body),
                MessageAttributes={
                    f"{names.DEAD_LETTER_ATTRIBUTES}{name}": _text(value)
                    for name, value in attributes.items()
                },
            )

    @contextmanager
    def _calling(self, operation: str, queue: str) -> Iterator[None]:
        with unavailable(f"sqs:{operation}"):
            try:
                yield
            except ClientError as error:
                if code(error) not in _MISSING:
                    raise
                raise Unavailable(
                    f"the queue {queue} does not exist; docs/runbook.md says how to bring it back"
                ) from None

    def _url(self, name: str) -> str:
        if name not in self._urls:
            self._urls[name] = self._sqs.get_queue_url(QueueName=name)["QueueUrl"]
        return self._urls[name]


def _envelope(team: str, message: MessageTypeDef) -> Envelope:
    milliseconds = int(message.get("Attributes", {}).get("SentTimestamp", "0"))
    return Envelope(
        team=team,
        message_id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        body=message["Body"],
        sent_at=datetime.fromtimestamp(milliseconds / 1000, UTC),
    )


def _text(value: str) -> MessageAttributeValueTypeDef:
    """Return a message attribute, which must not be empty or contain control characters."""
    printable = "".join(c if c.isprintable() else " " for c in value)[:_ATTRIBUTE_CHARACTERS]
    return {"DataType": "String", "StringValue": printable or "-"}
