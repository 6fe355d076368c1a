"""Accounts for received messages: in the ledger, or in the dead-letter queue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.errors import (
    BrokenTemplate,
    DuplicateRequest,
    HpoqError,
    InvalidRequest,
    Unreadable,
)
from hpo_dispatcher.contract.message import (
    Action,
    body_without_token,
    parse_body,
    parse_fields,
    request_id_of,
)
from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.contract.settings import WorkflowSettings
from hpo_dispatcher.contract.workflows.answers import OwedAnswer
from hpo_dispatcher.contract.workflows.callbacks import (
    TASK_TOKEN,
    Callback,
    CallbackKind,
    callback_in,
)
from hpo_dispatcher.cycle.intake.team_actions import TeamActions
from hpo_dispatcher.cycle.outcome import IntakeOutcome
from hpo_dispatcher.ports import (
    Added,
    Envelope,
    OwedAnswers,
    Rejection,
    RequestQueues,
    Requests,
    Unavailable,
)
from hpo_dispatcher.tuning_job.builder import JobBuilder


@dataclass(frozen=True, kw_only=True)
class _Message:
    """A message and its body as a JSON object; no fields if the body could not be parsed."""

    envelope: Envelope
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def request_id(self) -> str:
        """The request id that it names, or its message id."""
        return request_id_of(self.fields, self.envelope.message_id)

    @cached_property
    def callback(self) -> Callback | None:
        """The step of a workflow that waits for it."""
        return callback_in(self.envelope.body, self.fields)


@dataclass(kw_only=True)
class _Batch:
    """Messages by what they turn out to be."""

    requests: list[tuple[_Message, Entry]] = field(default_factory=list)
    actions: list[tuple[_Message, Action]] = field(default_factory=list)
    rejected: list[tuple[_Message, InvalidRequest]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Accounting:
    """The accounting that puts requests into the ledger, applies actions and rejects the rest."""

    queues: RequestQueues
    requests: Requests
    answers: OwedAnswers
    workflow_settings: WorkflowSettings
    builder: JobBuilder
    redactor: Redactor
    actions: TeamActions
    clock: Callable[[], datetime]
    outcome: IntakeOutcome

    def process(self, envelopes: Sequence[Envelope]) -> None:
        """Process every message, then delete those that are accounted for."""
        self.outcome.count("received", len(envelopes))
        batch = _Batch()
        for envelope in envelopes:
            self._read(envelope, batch)
        self._add(batch)
        for message, action in batch.actions:  # after the requests that they may refer to
            try:
                self.actions.apply(message.envelope, action)
            except Unreadable as error:
                batch.rejected.append((message, error))
        refused = [*self._rejected(batch)]
        read = [message for message, _ in (*batch.requests, *batch.actions)]
        self._owe([*refused, *((message, "") for message in read)])
        written = {message.envelope.receipt for message, _ in refused}
        kept = {message.envelope.receipt for message, _ in batch.rejected} - written
        self.queues.delete([each for each in envelopes if each.receipt not in kept])

    def _rejected(self, batch: _Batch) -> Iterator[tuple[_Message, str]]:
        """Reject messages; yield those that were, with their reasons.

        Without the dead-letter queue, which somebody may have deleted, they stay in their queue.
        """
        for message, reason in batch.rejected:
            try:
                yield message, self._reject(message, reason)
            except Unavailable as error:
                problem = f"intake of {message.envelope.team}: {error}"
                if problem not in self.outcome.problems:  # once for all messages
                    self.outcome.problems.append(problem)

    def _owe(self, messages: Iterable[tuple[_Message, str]]) -> None:
        """Write down which workflows wait for messages, before the messages are deleted.

        Args:
            messages: each with the reason of its rejection, or an empty text.
        """
        owed = [
            OwedAnswer(
                callback=message.callback,
                team=message.envelope.team,
                request_id=message.request_id,
                refusal=refusal,
            )
            for message, refusal in messages
            if message.callback and self.workflow_settings.permits(message.callback)
        ]
        if owed:
            self.answers.owe(owed)

    def _check_workflow(self, callback: Callback | None) -> None:
        """Reject a message whose workflow the dispatcher may not answer."""
        if callback:
            self.redactor.hide(callback.token)
            if not self.workflow_settings.permits(callback):
                raise _not_answered(callback)

    def _read(self, envelope: Envelope, batch: _Batch) -> None:
        """Parse a message, once, and put it into the batch."""
        message = _Message(envelope=envelope)
        try:
            message = _Message(envelope=envelope, fields=parse_body(envelope.body))
            parsed = parse_fields(message.fields, envelope.message_id)
            self._check_workflow(message.callback)
            if isinstance(parsed, TuningRequest):
                batch.requests.append((message, self._entry(envelope, parsed)))
            else:
                batch.actions.append((message, parsed))
        except InvalidRequest as error:
            batch.rejected.append((message, error))
        except HpoqError:  # not a fault of the message, which stays in the queue
            raise
        except Exception as error:  # one message must not stop the intake of all others
            batch.rejected.append((message, _internal_error(error)))

    def _entry(self, envelope: Envelope, request: TuningRequest) -> Entry:
        """Return the entry of a request; a broken template blocks it and rejects nothing."""
        try:
            return self.builder.entry(envelope.team, request, envelope.sent_at)
        except BrokenTemplate as error:
            return self.builder.entry_without_demand(
                envelope.team, request, envelope.sent_at, str(error)
            )

    def _add(self, batch: _Batch) -> None:
        if not batch.requests:
            return
        outcomes = self.requests.add([entry for _, entry in batch.requests])
        for (message, entry), added in zip(batch.requests, outcomes, strict=True):
            self.outcome.count(added.name.lower())
            match added:
                case Added.NEW:
                    self.outcome.accepted.append(entry)
                    self.outcome.joined_queue(entry)
                    self.outcome.changed(entry, None)
                case Added.TAKEN:
                    batch.rejected.append((message, _taken(entry.request_id)))
                case Added.REPEATED | Added.CANCELLED:
                    pass

    def _reject(self, message: _Message, reason: InvalidRequest) -> str:
        """Write to the dead-letter queue, then to the ledger; return the reason without secrets.

        A crash in between repeats the rejection, and loses nothing.
        """
        envelope, request_id = message.envelope, message.request_id
        error = self.redactor.error(reason, message.fields or envelope.body)
        rejection = Rejection(
            team=envelope.team,
            request_id=request_id,
            message_id=envelope.message_id,
            body=body_without_token(envelope.body, message.fields, message.callback),
            error=error,
        )
        self.queues.reject(rejection)
        self.outcome.count("rejected")
        entry = Entry(
            team=envelope.team,
            request_id=request_id,
            status=Status.REJECTED,
            accepted_at=envelope.sent_at,
            ended_at=self.clock(),
            reason=str(error),
        )
        if not isinstance(error, DuplicateRequest) and self.requests.add([entry]) == [Added.NEW]:
            self.outcome.changed(entry, None)
        return str(error)


def _not_answered(callback: Callback) -> InvalidRequest:
    if callback.kind is CallbackKind.STEP_FUNCTIONS:
        problem = "this deployment answers no state machines"
        fix = "Ask for the state machine in the setting workflows.state_machines"
        return InvalidRequest(TASK_TOKEN, problem, fix)
    problem = f"this deployment does not answer the pipeline {callback.pipeline}"
    fix = "Ask for the pipeline in the setting workflows.pipelines"
    return InvalidRequest("pipelineExecutionArn", problem, fix)


def _taken(request_id: str) -> DuplicateRequest:
    return DuplicateRequest(
        "request_id",
        f"{request_id!r} was already used, with different content",
        "Send it under a new request id",
    )


def _internal_error(error: Exception) -> InvalidRequest:
    """Return an error without the text of a bug's exception, which may quote a secret."""
    return InvalidRequest(
        "body",
        f"hpoq hit an internal error while reading this message ({type(error).__name__})",
        "Report the bug with this message; redrive the message once it is fixed",
    )
