"""The request queues and dead-letter queues of the teams, as their clients use them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hpo_dispatcher.aws import sqs as queues
from hpo_dispatcher.contract import names
from hpoq.client.connection import DeploymentConnection
from hpoq.client.explained import explained
from hpoq.errors import NotReachable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

SQS_BATCH = 10
LISTED_QUEUES = 1000  # at once; SQS pages only if a size is given
# In the name that CloudFormation gives the queue of failed events, after the deployment's name.
OF_A_DEPLOYMENT = "-DispatcherFailures"
BATCH_BYTES = 1024 * 1024  # SQS: all messages of one batch together


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


@dataclass(frozen=True, kw_only=True)
class LeftBehind:
    """The messages in the queues of a team that is no longer in the settings."""

    team: str
    messages: int
    dead_letters: int


class TeamQueues:
    """The queues of all teams of one deployment."""

    def __init__(self, connection: DeploymentConnection) -> None:
        self._connection = connection
        self._deployment = connection.deployment
        self._urls: dict[str, str] = {}

    def send(self, team: str, bodies: Sequence[str]) -> list[str]:
        """Send messages to a team's request queue.

        Returns:
            Their SQS message ids, in order.

        Raises:
            NotDeployed, NotReachable: nothing was sent, or the rest was not.
        """
        ids: list[str] = []
        for batch in _batches(bodies):
            ids += self._send_batch(team, batch)
        return ids

    def _send_batch(self, team: str, bodies: Sequence[str]) -> list[str]:
        with explained(f"queue of team {team}"):
            answer = self._sqs.send_message_batch(
                QueueUrl=self._url(names.request_queue(self._deployment, team)),
                Entries=[{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies)],
            )
        failed = answer.get("Failed", [])
        if failed:
            raise NotReachable(
                f"SQS did not take {len(failed)} of {len(bodies)} messages, for example because: "
                f"{failed[0].get('Message') or failed[0].get('Code')}. Send these again"
            )
        sent = {entry["Id"]: entry["MessageId"] for entry in answer["Successful"]}
        return [sent[str(index)] for index in range(len(bodies))]

    def dead_letters(
        self, team: str, hold_seconds: int, most: int | None = None
    ) -> list[DeadLetter]:
        """Receive a team's rejected messages, hidden from other receivers for ``hold_seconds``.

        Args:
            team: whose dead-letter queue.
            hold_seconds: the visibility timeout.
            most: stop after this number or a few more; None for all messages.
        """
        letters: dict[str, DeadLetter] = {}
        while True:
            with explained(f"dead-letter queue of team {team}"):
                answer = self._sqs.receive_message(
                    QueueUrl=self._url(names.dead_letter_queue(self._deployment, team)),
                    MaxNumberOfMessages=SQS_BATCH,
                    MessageAttributeNames=["All"],
                    VisibilityTimeout=hold_seconds,
                    WaitTimeSeconds=queues.WAIT_SECONDS,
                )
            received = [_dead_letter(team, message) for message in answer.get("Messages", [])]
            fresh = [letter for letter in received if letter.message_id not in letters]
            letters |= {letter.message_id: letter for letter in received}
            if not fresh or (most is not None and len(letters) >= most):
                return list(letters.values())

    def count_messages(self, team: str) -> int:
        """Return the number of messages that no cycle has taken in, approximately as SQS does."""
        return self._count(names.request_queue(self._deployment, team), f"queue of team {team}")

    def count_dead_letters(self, team: str) -> int:
        """Return the number of a team's rejected messages, as SQS counts them: approximately."""
        name = names.dead_letter_queue(self._deployment, team)
        return self._count(name, f"dead-letter queue of team {team}")

    def left_behind(self, teams: Collection[str]) -> list[LeftBehind]:
        """Return what the queues of teams that are not among ``teams`` hold."""
        prefix = f"{self._deployment}-"
        with explained("the list of queues"):
            pages = self._sqs.get_paginator("list_queues").paginate(
                QueueNamePrefix=prefix, PaginationConfig={"PageSize": LISTED_QUEUES}
            )
            found = [url.rpartition("/")[2] for page in pages for url in page.get("QueueUrls", ())]
        return [
            LeftBehind(
                team=team,
                messages=self.count_messages(team) if requests else 0,
                dead_letters=self.count_dead_letters(team) if dead else 0,
            )
            for team, (requests, dead) in removed_teams(found, self._deployment, teams).items()
        ]

    def _count(self, name: str, what: str) -> int:
        with explained(what):
            answer = self._sqs.get_queue_attributes(
                QueueUrl=self._url(name),
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesNotVisible",
                ],
            )
        return sum(int(number) for number in answer["Attributes"].values())

    def show_again(self, letters: Sequence[DeadLetter]) -> None:
        """Let dead letters be received again at once. Some that were deleted change nothing."""
        for first in range(0, len(letters), SQS_BATCH):
            batch = letters[first : first + SQS_BATCH]
            with explained(f"dead-letter queue of team {batch[0].team}"):
                self._sqs.change_message_visibility_batch(
                    QueueUrl=self._url(names.dead_letter_queue(self._deployment, batch[0].team)),
                    Entries=[
                        {"Id": str(i), "ReceiptHandle": each.receipt, "VisibilityTimeout": 0}
                        for i, each in enumerate(batch)
                    ],
                )

    def delete(self, letter: DeadLetter) -> None:
        """Delete a dead letter."""
        with explained(f"dead-letter queue of team {letter.team}"):
            self._sqs.delete_message(
                QueueUrl=self._url(names.dead_letter_queue(self._deployment, letter.team)),
                ReceiptHandle=letter.receipt,
            )

    def _url(self, name: str) -> str:
        if name not in self._urls:
            self._urls[name] = self._sqs.get_queue_url(QueueName=name)["QueueUrl"]
        return self._urls[name]

    @cached_property
    def _sqs(self) -> SQSClient:
        return self._connection.service("sqs")  # type: ignore[no-any-return]


def removed_teams(
    queue_names: Sequence[str], deployment: str, teams: Collection[str]
) -> dict[str, tuple[bool, bool]]:
    """Return the teams that have queues and are not among ``teams``, in order.

    Args:
        queue_names: all queues whose names begin with the deployment's name and a hyphen.
        deployment: the deployment's name.
        teams: the teams in the settings.

    Returns:
        By team, whether its request queue and its dead-letter queue exist.
    """
    found = set(queue_names)
    others = {name.partition(OF_A_DEPLOYMENT)[0] for name in found if OF_A_DEPLOYMENT in name}
    prefixes = tuple(f"{other}-" for other in others - {deployment})
    own = [name.removeprefix(f"{deployment}-") for name in found if not name.startswith(prefixes)]
    endings = (names.request_queue("", "")[1:], names.dead_letter_queue("", "")[1:])
    candidates = {
        name.removesuffix(ending)
        for name in own
        for ending in endings
        if name.endswith(ending) and name != ending
    }
    return {
        team: (
            names.request_queue(deployment, team) in found,
            names.dead_letter_queue(deployment, team) in found,
        )
        for team in sorted(candidates - set(teams))
    }


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
