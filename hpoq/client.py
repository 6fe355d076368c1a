"""Send tuning requests and follow them: the same on AWS and on the embedded cloud.

Needs no more than a team's policy allows: send to its queue, read its ledger entries and the
documents that the dispatcher publishes. Which cloud it speaks to is decided by boto3's own
settings (``AWS_ENDPOINT_URL``, credentials, Region).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from hpo_dispatcher.aws import sqs as queues
from hpo_dispatcher.aws.dynamodb_table import BATCH_GET
from hpo_dispatcher.aws.sagemaker import detail_from
from hpo_dispatcher.contract import names
from hpo_dispatcher.contract.documents.capacity import CapacityDocument
from hpo_dispatcher.contract.documents.events import Submitted
from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.ledger.dynamodb_json import from_wire, to_wire
from hpo_dispatcher.contract.ledger.entry_item import entry_from
from hpo_dispatcher.contract.ledger.rows import DEPLOYMENT
from hpo_dispatcher.contract.message import parse_fields
from hpo_dispatcher.tuning_job.resumption import better, with_earlier
from hpoq.botocore_config import INTERACTIVE
from hpoq.errors import NotDeployed, NotFound, NotReachable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

Message = dict[str, Any]

SQS_BATCH = 10
BATCH_BYTES = 1024 * 1024  # SQS: all messages of one batch together
_MISSING = (
    "QueueDoesNotExist",
    "AWS.SimpleQueueService.NonExistentQueue",
    "ResourceNotFoundException",
)


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """A rejected message with the reason."""

    team: str
    message_id: str
    body: str
    error: str
    field: str
    problem: str
    fix: str
    receipt: str


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Convert AWS errors to errors that name what the user can do."""
    try:
        yield
    except NoCredentialsError:
        raise NotReachable(
            'no AWS credentials. Log in, or for the embedded cloud: eval "$(hpoq local env)"'
        ) from None
    except NoRegionError:
        raise NotReachable("no AWS Region. Set AWS_DEFAULT_REGION") from None
    except ClientError as error:
        answer = error.response.get("Error", {})
        if answer.get("Code") in _MISSING:
            raise NotDeployed(
                f"there is no {what}. Check the deployment's name (HPOQ_DEPLOYMENT), "
                "the team, the account and the Region"
            ) from None
        raise NotReachable(f"{what}: {answer.get('Message', error)}") from None
    except BotoCoreError as error:
        raise NotReachable(f"{what}: {error}") from None


class Client:
    """A deployment as its users see it.

    Args:
        deployment: its name, the stack's.
        session: another than boto3's default.
    """

    def __init__(self, deployment: str = "hpoq", session: boto3.Session | None = None) -> None:
        self.deployment = deployment
        self._session = session or boto3.Session()
        self._urls: dict[str, str] = {}

    # Writing: everything goes over SQS

    def submit(self, team: str, messages: Sequence[Message]) -> list[str]:
        """Send requests.

        Args:
            team: whose queue.
            messages: requests as in the published schema.

        Returns:
            Their request ids, in order; the message id for one that names none.

        Raises:
            InvalidRequest: one of them is wrong; none was sent.
            NotDeployed, NotReachable: nothing was sent, or the rest was not.
        """
        for message in messages:
            parse_fields(message, "message-id")
        ids: list[str] = []
        for batch in _batches([json.dumps(message) for message in messages]):
            ids += self._send_batch(team, batch)
        self._ask_for_cycle(team, len(messages))
        named = (message.get("request_id") for message in messages)
        return [name or sent for name, sent in zip(named, ids, strict=True)]

    def act(self, team: str, action: str, **fields: Any) -> None:
        """Send an action: cancel, priority, hold or release."""
        message = {"version": 1, "action": action, **fields}
        parse_fields(message, "message-id")
        self._send_batch(team, [json.dumps(message)])
        self._ask_for_cycle(team, 1)

    def _send_batch(self, team: str, bodies: Sequence[str]) -> list[str]:
        with self._explained(f"queue of team {team}"):
            answer = self._sqs.send_message_batch(
                QueueUrl=self._url(names.request_queue(self.deployment, team)),
                Entries=[{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies)],
            )
        failed = answer.get("Failed", [])
        if failed:
            raise NotReachable(
                f"{len(failed)} messages were not taken ({failed[0].get('Message')})"
            )
        sent = {entry["Id"]: entry["MessageId"] for entry in answer["Successful"]}
        return [sent[str(index)] for index in range(len(bodies))]

    def _ask_for_cycle(self, team: str, count: int) -> None:
        """Request a cycle now; without the permission the heartbeat does the work."""
        detail = Submitted(deployment=self.deployment, team=team, count=count)
        entry = {
            "Source": names.EVENT_SOURCE,
            "DetailType": names.SUBMITTED_EVENT,
            "Detail": detail.to_json(),
        }
        try:
            self._client("events").put_events(Entries=[entry])
        except (BotoCoreError, ClientError):
            return

    # Reading

    @cached_property
    def settings(self) -> SettingsDocument:
        """The teams, limits, guardrails and templates of the deployment.

        Raises:
            NotDeployed: the deployment has never run a cycle, or there is none.
        """
        document = self._document(names.SETTINGS_DOCUMENT)
        if document is None:
            raise NotDeployed(
                f"the dispatcher of {self.deployment!r} has not run yet. "
                "It does within ten minutes of being deployed"
            )
        return SettingsDocument.parse(document)

    def capacity(self) -> CapacityDocument | None:
        """Return what is in use and which requests wait for what; None before the first cycle."""
        return CapacityDocument.parse(self._document(names.CAPACITY_DOCUMENT))

    def teams(self) -> list[str]:
        """Return the teams of the deployment."""
        return sorted(self.settings.deployment.teams)

    def get(self, team: str, request_id: str) -> Entry:
        """Return a request.

        Raises:
            NotFound: it has not arrived in the ledger, or never will.
        """
        item = self._item(team, request_id)
        if item is None:
            raise NotFound(
                f"no request {request_id!r} of team {team} in the ledger. "
                "A request just sent appears with the next cycle; see also `hpoq redrive`"
            )
        return entry_from(item)

    def entries(self, team: str, statuses: Iterable[Status] = ()) -> Iterator[Entry]:
        """Yield a team's requests, ordered by request id."""
        wanted = set(statuses)
        with self._explained(f"ledger of {self.deployment}"):
            pages = self._dynamodb.get_paginator("query").paginate(
                TableName=names.ledger_table(self.deployment),
                KeyConditionExpression="team = :team",
                ExpressionAttributeValues=to_wire({":team": team}),
                ConsistentRead=True,
            )
            for page in pages:
                for item in page["Items"]:
                    entry = entry_from(from_wire(item))
                    if not wanted or entry.status in wanted:
                        yield entry

    def get_all(self, team: str, request_ids: Iterable[str]) -> dict[str, Entry]:
        """Return the requests with these ids that are in the ledger, by id."""
        table = names.ledger_table(self.deployment)
        left: list[Any] = [to_wire({"team": team, "id": id_}) for id_ in dict.fromkeys(request_ids)]
        found: list[Entry] = []
        with self._explained(f"ledger of {self.deployment}"):
            while left:
                batch, left = left[:BATCH_GET], left[BATCH_GET:]
                answer: Any = self._dynamodb.batch_get_item(
                    RequestItems={table: {"Keys": batch, "ConsistentRead": True}}
                )
                found += [
                    entry_from(from_wire(item)) for item in answer["Responses"].get(table, ())
                ]
                left += answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
        return {entry.request_id: entry for entry in found}

    def live(self, entry: Entry) -> Entry:
        """Return the entry with its tuning job's current counters and best training job.

        A team that may not describe tuning jobs sees the ledger's, written when it ends.
        """
        if not entry.status.active or not entry.tuning_job_name:
            return entry
        try:
            answer = self._client("sagemaker").describe_hyper_parameter_tuning_job(
                HyperParameterTuningJobName=entry.tuning_job_name
            )
        except (BotoCoreError, ClientError):
            return entry
        detail = detail_from(answer)
        return replace(
            entry,
            counters=with_earlier(entry.earlier, detail.counters),
            best=better(entry.best, detail.best, minimize=detail.minimize),
        )

    def model_uri(self, entry: Entry) -> str | None:
        """Return the S3 URI of the best training job's model; None without permission."""
        if entry.best is None:
            return None
        try:
            answer = self._client("sagemaker").describe_training_job(
                TrainingJobName=entry.best.name
            )
        except (BotoCoreError, ClientError):
            return None
        return str(answer["ModelArtifacts"]["S3ModelArtifacts"])

    # Dead letters

    def dead_letters(self, team: str, hold_seconds: int = 30) -> list[DeadLetter]:
        """Receive a team's rejected messages, hidden from other receivers for ``hold_seconds``."""
        letters: dict[str, DeadLetter] = {}
        while True:
            with self._explained(f"dead-letter queue of team {team}"):
                answer = self._sqs.receive_message(
                    QueueUrl=self._url(names.dead_letter_queue(self.deployment, team)),
                    MaxNumberOfMessages=SQS_BATCH,
                    MessageAttributeNames=["All"],
                    VisibilityTimeout=hold_seconds,
                    WaitTimeSeconds=queues.WAIT_SECONDS,
                )
            received = [_dead_letter(team, message) for message in answer.get("Messages", [])]
            fresh = [letter for letter in received if letter.message_id not in letters]
            letters |= {letter.message_id: letter for letter in received}
            if not fresh:
                return list(letters.values())

    def forget(self, letter: DeadLetter) -> None:
        """Delete a dead letter."""
        with self._explained(f"dead-letter queue of team {letter.team}"):
            self._sqs.delete_message(
                QueueUrl=self._url(names.dead_letter_queue(self.deployment, letter.team)),
                ReceiptHandle=letter.receipt,
            )

    def redrive(self, letter: DeadLetter, body: str | None = None) -> str:
        """Resubmit a dead letter to its team's queue, fixed or unchanged, and delete it."""
        with self._explained(f"queue of team {letter.team}"):
            sent = self._sqs.send_message(
                QueueUrl=self._url(names.request_queue(self.deployment, letter.team)),
                MessageBody=body or letter.body,
            )
        self.forget(letter)
        self._ask_for_cycle(letter.team, 1)
        return sent["MessageId"]

    # Calls

    _explained = staticmethod(explained)

    def _document(self, name: str) -> str | None:
        item = self._item(DEPLOYMENT, name)
        return str(item["document"]) if item else None

    def _item(self, team: str, id_: str) -> dict[str, Any] | None:
        with self._explained(f"ledger of {self.deployment}"):
            answer = self._dynamodb.get_item(
                TableName=names.ledger_table(self.deployment),
                Key=to_wire({"team": team, "id": id_}),
                ConsistentRead=True,
            )
        return from_wire(answer["Item"]) if "Item" in answer else None

    def _url(self, name: str) -> str:
        if name not in self._urls:
            self._urls[name] = self._sqs.get_queue_url(QueueName=name)["QueueUrl"]
        return self._urls[name]

    @cached_property
    def _sqs(self) -> SQSClient:
        return self._client("sqs")  # type: ignore[no-any-return]

    @cached_property
    def _dynamodb(self) -> DynamoDBClient:
        return self._client("dynamodb")  # type: ignore[no-any-return]

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            with self._explained(service):
                self._clients[service] = self._session.client(service, config=INTERACTIVE)  # type: ignore[call-overload]
        return self._clients[service]

    @cached_property
    def _clients(self) -> dict[str, Any]:
        return {}


def _batches(bodies: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for body in bodies:
        length = len(body.encode())
        if batch and (len(batch) == SQS_BATCH or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(body)
        size += length
    if batch:
        yield batch


def _dead_letter(team: str, message: Any) -> DeadLetter:
    attributes = {
        name.removeprefix(names.DEAD_LETTER_ATTRIBUTES): value["StringValue"]
        for name, value in message.get("MessageAttributes", {}).items()
        if name.startswith(names.DEAD_LETTER_ATTRIBUTES)
    }
    return DeadLetter(
        team=team,
        message_id=attributes.get("message-id", message["MessageId"]),
        body=message["Body"],
        error=attributes.get("error", "Undelivered"),
        field=attributes.get("field", ""),
        problem=attributes.get("problem", "could not be taken in, repeatedly"),
        fix=attributes.get("fix", "Look into the dispatcher's log, then redrive it"),
        receipt=message["ReceiptHandle"],
    )
