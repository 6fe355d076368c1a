"""Ports that tell the log what passes through them: one line for each thing done to a request.

Every such line carries ``request_id``, ``team`` and ``tuning_job``, so one query of the log tells
a request's whole story.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, assert_never

from hpo_dispatcher.contract.documents.events import StateChange
from hpo_dispatcher.contract.names import TAG_REQUEST_ID, TAG_TEAM, tuning_job_name
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.contract.workflows.answers import OwedAnswer, WorkflowFailure, WorkflowResult
from hpo_dispatcher.ports import (
    AlreadyOurs,
    Created,
    Creation,
    Envelope,
    Events,
    Rejection,
    Reply,
    RequestQueues,
    TuningJob,
    TuningJobDetail,
    TuningService,
    Unavailable,
    Workflows,
)


class Log(Protocol):
    """A logger, such as Powertools' or the standard library's."""

    def info(self, message: str, /, *, extra: dict[str, Any]) -> None:
        """Log an expected event."""

    def warning(self, message: str, /, *, extra: dict[str, Any]) -> None:
        """Log an event that may need attention."""


@dataclass(frozen=True, kw_only=True)
class LoggedEvents:
    """``Events``; a line per state change."""

    events: Events
    log: Log

    def publish(self, changes: Sequence[StateChange]) -> None:
        """See ``Events``."""
        for change in changes:
            fields = {
                "request_id": change.request_id,
                "team": change.team,
                "tuning_job": tuning_job_name(change.team, change.request_id),
                "status": str(change.status),
                "previous_status": str(change.previous_status or ""),
                "reason": change.reason,
            }
            if change.target != HOME:
                fields["target"] = change.target
            self.log.info("request state change", extra=fields)
        self.events.publish(changes)


@dataclass(frozen=True, kw_only=True)
class LoggedQueues:
    """``RequestQueues`` that logs each rejection."""

    queues: RequestQueues
    log: Log
    rejected: Callable[[str], None]  # called with the class name of each rejection's error

    def receive(self, team: str, *, wait: bool = True) -> Sequence[Envelope]:
        """See ``RequestQueues``."""
        return self.queues.receive(team, wait=wait)

    def delete(self, envelopes: Sequence[Envelope]) -> None:
        """See ``RequestQueues``."""
        self.queues.delete(envelopes)

    def reject(self, rejection: Rejection) -> None:
        """See ``RequestQueues``."""
        self.queues.reject(rejection)
        kind = type(rejection.error).__name__
        fields = {
            "request_id": rejection.request_id,
            "team": rejection.team,
            "tuning_job": tuning_job_name(rejection.team, rejection.request_id),
            "message_id": rejection.message_id,
            "error": kind,
            "field": rejection.error.field,
            "reason": str(rejection.error),
        }
        self.log.warning("request rejected", extra=fields)
        self.rejected(kind)


@dataclass(frozen=True, kw_only=True)
class LoggedTuning:
    """``TuningService`` that logs each creation."""

    tuning: TuningService
    log: Log
    created: Callable[[str], None]  # called with the name of each created tuning job
    target: str = HOME

    def in_progress(self) -> Sequence[TuningJob]:
        """See ``TuningService``."""
        return self.tuning.in_progress()

    def describe(self, name: str) -> TuningJobDetail | None:
        """See ``TuningService``."""
        return self.tuning.describe(name)

    def search_ended(self, names: Sequence[str]) -> Mapping[str, TuningJobDetail]:
        """See ``TuningService``."""
        try:
            return self.tuning.search_ended(names)
        except Unavailable as error:  # each is described instead
            self.log.warning("tuning jobs not searched", extra={"reason": str(error)})
            raise

    def trained(self, names: Sequence[str]) -> Mapping[str, datetime]:
        """See ``TuningService``."""
        try:
            return self.tuning.trained(names)
        except Unavailable as error:  # their tuning jobs are created later
            self.log.warning("training jobs not searched", extra={"reason": str(error)})
            raise

    def instances(self, name: str) -> Mapping[str, int]:
        """See ``TuningService``."""
        return self.tuning.instances(name)

    def create(self, api_request: Mapping[str, Any]) -> Creation:
        """See ``TuningService``."""
        tags = {tag["Key"]: tag["Value"] for tag in api_request["Tags"]}
        name = api_request["HyperParameterTuningJobName"]
        fields = {
            "request_id": tags.get(TAG_REQUEST_ID, ""),
            "team": tags.get(TAG_TEAM, ""),
            "tuning_job": name,
        }
        if self.target != HOME:
            fields["target"] = self.target
        try:
            outcome = self.tuning.create(api_request)
        except Unavailable as error:
            self.log.warning("tuning job not created", extra={**fields, "reason": str(error)})
            raise
        said = {**fields, "outcome": type(outcome).__name__}
        if isinstance(outcome, Created | AlreadyOurs):
            self.created(name)
            self.log.info("tuning job created", extra=said)
        else:
            reason = getattr(outcome, "message", None) or getattr(outcome, "owner", "")
            self.log.warning("tuning job not created", extra={**said, "reason": reason})
        return outcome

    def stop(self, name: str) -> bool:
        """See ``TuningService``."""
        return self.tuning.stop(name)

    def model_uri(self, training_job_name: str) -> str | None:
        """See ``TuningService``."""
        try:
            return self.tuning.model_uri(training_job_name)
        except Unavailable as error:  # the answer of a workflow waits for it
            fields = {"training_job": training_job_name, "reason": str(error)}
            self.log.warning("model not found", extra=fields)
            raise


_NOT_PERMITTED = "the setting workflows does not name the workflow any more"


@dataclass(frozen=True, kw_only=True)
class LoggedWorkflows:
    """``Workflows``; a line per answer, without its token."""

    workflows: Workflows
    log: Log

    def succeed(self, owed: OwedAnswer, result: WorkflowResult) -> Reply:
        """See ``Workflows``."""
        return self._logged("success", owed, lambda: self.workflows.succeed(owed, result))

    def fail(self, owed: OwedAnswer, failure: WorkflowFailure) -> Reply:
        """See ``Workflows``."""
        return self._logged(failure.error, owed, lambda: self.workflows.fail(owed, failure))

    def heartbeat(self, owed: OwedAnswer) -> Reply:
        """See ``Workflows``."""
        try:
            reply = self.workflows.heartbeat(owed)
        except Unavailable as error:  # the next cycle sends another one
            self.log.warning("no heartbeat sent", extra={**_fields_of(owed), "reason": str(error)})
            raise
        match reply:
            case Reply.NOBODY_WAITS:
                self.log.warning("no workflow waits any more", extra=_fields_of(owed))
            case Reply.NOT_PERMITTED:
                fields = {**_fields_of(owed), "reason": _NOT_PERMITTED}
                self.log.warning("no heartbeat sent", extra=fields)
        return reply

    def _logged(self, answer: str, owed: OwedAnswer, call: Callable[[], Reply]) -> Reply:
        fields = {**_fields_of(owed), "answer": answer}
        try:
            reply = call()
        except Unavailable as error:
            self.log.warning("workflow not answered", extra={**fields, "reason": str(error)})
            raise
        match reply:
            case Reply.TAKEN:
                self.log.info("workflow answered", extra=fields)
            case Reply.NOBODY_WAITS:
                self.log.warning("no workflow waits any more", extra=fields)
            case Reply.NOT_PERMITTED:
                reason = {"reason": _NOT_PERMITTED}
                self.log.warning("workflow not answered", extra={**fields, **reason})
            case _:
                assert_never(reply)
        return reply


def _fields_of(owed: OwedAnswer) -> dict[str, Any]:
    return {
        "request_id": owed.request_id,
        "team": owed.team,
        "tuning_job": tuning_job_name(owed.team, owed.request_id),
        "workflow": str(owed.callback.kind),
        "attempts": owed.attempts,
    }
