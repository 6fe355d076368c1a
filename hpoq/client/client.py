"""The client of a deployment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from hpo_dispatcher.contract import names
from hpo_dispatcher.contract.documents.capacity import CapacityDocument
from hpo_dispatcher.contract.documents.events import Submitted
from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.message import parse_fields, parse_message, request_id_of
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.contract.validation.problems import nearest
from hpoq.botocore_config import INTERACTIVE
from hpoq.client import tuning_jobs
from hpoq.client.connection import DeploymentConnection
from hpoq.client.ledger_reader import LedgerReader
from hpoq.client.targets import TargetConnections
from hpoq.client.team_queues import DeadLetter, LeftBehind, TeamQueues
from hpoq.errors import NotDeployed, NotFound, NotReachable

Message = dict[str, Any]


class Client:
    """A deployment as its users see it: the whole interface in one class, each method a few lines.

    Args:
        deployment: its name, which is the name of its stack.
        session: None for boto3's default session.
    """

    def __init__(self, deployment: str = "hpoq", session: boto3.Session | None = None) -> None:
        self.deployment = deployment
        self._connection = DeploymentConnection(deployment, session)
        self._queues = TeamQueues(self._connection)
        self._ledger = LedgerReader(self._connection)
        self._targets = TargetConnections(self._connection, lambda: self.settings)

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
        bodies = [json.dumps(message) for message in messages]
        for body in bodies:
            parse_message(body, "message-id")
        ids = self._queues.send(team, bodies)
        self._ask_for_cycle(team, len(messages))
        return [request_id_of(each, sent) for each, sent in zip(messages, ids, strict=True)]

    def act(self, team: str, action: str, **fields: Any) -> None:
        """Send an action: cancel, priority, hold or release."""
        self._act(team, [{"version": 1, "action": action, **fields}])

    def cancel_all(self, team: str, request_ids: Sequence[str]) -> None:
        """Send a cancel for each of these requests.

        Raises:
            InvalidRequest: one of them is not a valid request id; nothing was sent.
        """
        self._act(team, [{"version": 1, "action": "cancel", "request_id": i} for i in request_ids])

    def _act(self, team: str, messages: Sequence[Message]) -> None:
        for message in messages:
            parse_fields(message, "message-id")
        self._queues.send(team, [json.dumps(message) for message in messages])
        self._ask_for_cycle(team, len(messages))

    def _ask_for_cycle(self, team: str, count: int) -> bool:
        """Request a cycle now, and return whether that was possible.

        Without the permission, the next scheduled cycle does the work.
        """
        detail = Submitted(deployment=self.deployment, team=team, count=count)
        entry = {
            "Source": names.EVENT_SOURCE,
            "DetailType": names.SUBMITTED_EVENT,
            "Detail": detail.to_json(),
        }
        try:
            answer = self._connection.service("events").put_events(Entries=[entry])
        except (BotoCoreError, ClientError):
            return False
        return not answer["FailedEntryCount"]

    # Reading

    @cached_property
    def settings(self) -> SettingsDocument:
        """The teams, limits, guardrails and templates of the deployment.

        Raises:
            NotDeployed: the deployment has never run a cycle, or there is none.
        """
        document = self._ledger.document(names.SETTINGS_DOCUMENT)
        if document is None:
            when = "It does within ten minutes of being deployed"
            if self._ask_for_cycle("", 0):
                when = "It was asked to run now: repeat the command in half a minute"
            raise NotDeployed(f"the dispatcher of {self.deployment!r} has not run yet. {when}")
        return SettingsDocument.parse(document)

    def reload_settings(self) -> None:
        """Read the settings again when they are needed next: the deployment may have changed."""
        self.__dict__.pop("settings", None)

    def capacity(self) -> CapacityDocument | None:
        """Return what is in use and which requests wait for what; None before the first cycle."""
        return CapacityDocument.parse(self._ledger.document(names.CAPACITY_DOCUMENT))

    def queued_between(self, team: str, first: str, last: str) -> int | None:
        """Return how many requests of a team's queue are between two sort keys; None: unknown."""
        return self._ledger.queued_between(team, first, last)

    def teams(self) -> list[str]:
        """Return the teams of the deployment."""
        return sorted(self.settings.deployment.teams)

    def require_team(self, team: str) -> None:
        """Check that the settings have a team.

        Raises:
            NotDeployed: they do not; the error names those that they have.
        """
        if team not in (teams := self.teams()):
            guess = nearest(team, teams)
            fix = f"{guess} Teams: {', '.join(teams)}".strip()
            raise NotDeployed(f"{self.deployment!r} has no team {team!r}. {fix}")

    def get(self, team: str, request_id: str) -> Entry:
        """Return a request.

        Raises:
            NotFound: it has not arrived in the ledger, or never will.
        """
        entry = self._ledger.get(team, request_id)
        if entry is None:
            raise NotFound(
                f"no request {request_id!r} of team {team} in the ledger. "
                "A request just sent appears with the next cycle; see also `hpoq redrive`"
            )
        return entry

    def entries(self, team: str, statuses: Iterable[Status] = ()) -> Iterator[Entry]:
        """Yield a team's requests, ordered by request id."""
        wanted = set(statuses) or set(Status)
        return (entry for entry in self._ledger.entries(team) if entry.status in wanted)

    def get_all(self, team: str, request_ids: Iterable[str]) -> dict[str, Entry]:
        """Return the requests with these ids that are in the ledger, by id."""
        return self._ledger.get_all(team, request_ids)

    def on(self, target: str) -> Client | DeploymentConnection:
        """Return what has the services of a target, with the user's credentials there.

        Raises:
            NotReachable: the settings have no such target, or the user has no usable profile.
        """
        return self if target == HOME else self._targets.on(target)

    def session_on(self, target: str) -> boto3.Session:
        """Return a session with the user's credentials on a target and its Region.

        Raises:
            NotReachable: as ``on``.
        """
        return self._targets.on(target).boto_session

    def why_unread(self, entry: Entry) -> str:
        """Return why the target of a request cannot be read; empty if it can."""
        try:
            self.on(entry.target)
        except NotReachable as error:
            return str(error)
        return ""

    def live(self, entry: Entry) -> Entry:
        """Return the entry with its tuning job's current counters and best training job."""
        return tuning_jobs.live(self.on, entry)

    def has_tuning_job(self, entry: Entry) -> bool:
        """Return whether the entry's tuning job exists and the caller may describe it."""
        return tuning_jobs.exists(self.on, entry)

    def model_uri(self, entry: Entry) -> str | None:
        """Return the S3 URI of the best training job's model; None without permission.

        Raises:
            NotFound: somebody has deleted the training job in SageMaker.
        """
        return tuning_jobs.model_uri(self.on, entry)

    def document(self, name: str) -> str | None:
        """Return a document that the dispatcher publishes; None if there is none."""
        return self._ledger.document(name)

    def service(self, name: str, config: Config = INTERACTIVE) -> Any:
        """Return the botocore client of an AWS service, in the account of the deployment."""
        return self._connection.service(name, config)

    def count_messages(self, team: str) -> int:
        """Return the number of messages that no cycle has taken in, approximately as SQS does."""
        return self._queues.count_messages(team)

    # Dead letters

    def dead_letters(
        self, team: str, hold_seconds: int = 30, most: int | None = None
    ) -> list[DeadLetter]:
        """Receive a team's rejected messages, hidden from other receivers for ``hold_seconds``.

        Args:
            team: whose dead-letter queue.
            hold_seconds: the visibility timeout.
            most: stop after this number or a few more; None for all messages.
        """
        return self._queues.dead_letters(team, hold_seconds, most)

    def left_behind(self) -> list[LeftBehind]:
        """Return what the queues of teams that are no longer in the settings hold.

        Raises:
            NotPermitted: the user may not list queues.
        """
        return self._queues.left_behind(self.settings.deployment.teams)

    def count_dead_letters(self, team: str) -> int:
        """Return the number of a team's rejected messages, as SQS counts them: approximately."""
        return self._queues.count_dead_letters(team)

    def show_again(self, letters: Sequence[DeadLetter]) -> None:
        """Let dead letters be received again at once, which looking at them has hidden."""
        self._queues.show_again(letters)

    def forget(self, letter: DeadLetter) -> None:
        """Delete a dead letter."""
        self._queues.delete(letter)

    def redrive(self, letter: DeadLetter, body: str | None = None) -> str:
        """Resubmit a dead letter to its team's queue, fixed or unchanged, and delete it."""
        (sent,) = self._queues.send(letter.team, [body or letter.body])
        self._queues.delete(letter)
        self._ask_for_cycle(letter.team, 1)
        return sent
