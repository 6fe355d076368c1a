"""Answers workflows whose requests have ended, and tells the others that theirs have not.

What is owed is in the ledger from before its message is deleted until a service has taken the
answer, so a killed cycle loses no answer. A repeated answer changes nothing: its step is closed, or
the repetition has the same ClientRequestToken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import assert_never

from hpo_dispatcher.contract.entry import Entry, Key
from hpo_dispatcher.contract.errors import Unreadable
from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.contract.settings import WorkflowSettings
from hpo_dispatcher.contract.workflows.answers import OwedAnswer, WorkflowResult
from hpo_dispatcher.cycle.outcome import AnswersOutcome
from hpo_dispatcher.cycle.pacing import Deadline, map_concurrently
from hpo_dispatcher.cycle.targets.services import Services, service_on
from hpo_dispatcher.cycle.workflows.verdict import (
    Failure,
    Heartbeat,
    Later,
    Success,
    after_failed_attempt,
    verdict,
)
from hpo_dispatcher.ports import Entries, OwedAnswers, Reply, Unavailable, Workflows


class AnswerOutcome(Enum):
    """What has become of an answer in a cycle."""

    UNCHANGED = auto()
    SETTLED = auto()  # the service has it, or nobody waits for it
    FAILED = auto()  # in this cycle
    POSTPONED = auto()  # failed before, and the next attempt is later


@dataclass(frozen=True, kw_only=True)
class Answering:
    """The last duty of a cycle: answers that workflows wait for."""

    answers: OwedAnswers
    workflows: Workflows
    settings: WorkflowSettings
    requests: Entries
    services: Services
    redactor: Redactor
    clock: Callable[[], datetime]

    def run(self, deadline: Deadline) -> AnswersOutcome:
        """Answer until the deadline; the next cycle continues.

        Returns:
            What is still unanswered, and the problems with the ledger. A service that does not take
            an answer is no problem of the cycle: the answer is postponed.
        """
        try:
            owed = self.answers.owed()
            if not owed:
                return AnswersOutcome()
            self.redactor.hide(*(each.callback.token for each in owed))
            entries = self._entries(owed)
        except Unavailable as error:
            return AnswersOutcome(problems=[f"answers to workflows: {error}"])
        readable = [each for each in owed if each.key in entries]
        readable.sort(key=lambda each: not _has_ended(each, entries[each.key]))
        outcomes = map_concurrently(
            lambda each: self._tell(each, entries[each.key], deadline), readable
        )
        return self._write(list(zip(readable, outcomes, strict=True)))

    def _entries(self, owed: Sequence[OwedAnswer]) -> Mapping[Key, Entry | None]:
        """Return the requests of answers; without those that this version cannot read."""
        keys = list(dict.fromkeys(each.key for each in owed))
        found: dict[Key, Entry | None] = {**self.requests.get_all(keys)}
        for key in keys:
            if key not in found:
                try:
                    found[key] = self.requests.get(*key)
                except Unreadable:  # the version that wrote it will answer
                    continue
        return found

    def _tell(self, owed: OwedAnswer, entry: Entry | None, deadline: Deadline) -> AnswerOutcome:
        """Tell one workflow what there is to tell."""
        if deadline.passed():
            return AnswerOutcome.UNCHANGED
        told = verdict(owed, entry, self.clock())
        try:
            match told:
                case Later():
                    return AnswerOutcome.POSTPONED
                case Heartbeat():
                    return _OF_HEARTBEAT[self.workflows.heartbeat(owed)]
                case Success(entry=completed):
                    result = self._result(completed, owed)
                    return _OF_ANSWER[self.workflows.succeed(owed, result)]
                case Failure(failure=failure):
                    return _OF_ANSWER[self.workflows.fail(owed, failure)]
                case _:
                    assert_never(told)
        except Unavailable:  # logged by the port
            return AnswerOutcome.UNCHANGED if isinstance(told, Heartbeat) else AnswerOutcome.FAILED

    def _result(self, entry: Entry, owed: OwedAnswer) -> WorkflowResult:
        best = entry.best
        # The permission to look for a model goes with the setting that names workflows.
        finds_model = best is not None and self.settings.permits(owed.callback)
        return WorkflowResult(
            team=entry.team,
            request_id=entry.request_id,
            tuning_job_name=entry.tuning_job_name or entry.job_name,
            best_training_job=best.name if best else None,
            objective_metric=best.metric if best else None,
            objective_value=best.objective if best else None,
            model_uri=self._model_uri(entry, best.name) if best and finds_model else None,
        )

    def _model_uri(self, entry: Entry, training_job_name: str) -> str | None:
        return service_on(self.services, entry.target).model_uri(training_job_name)

    def _write(self, outcomes: Sequence[tuple[OwedAnswer, AnswerOutcome]]) -> AnswersOutcome:
        """Write to the ledger what has become of the answers."""
        settled = [owed for owed, outcome in outcomes if outcome is AnswerOutcome.SETTLED]
        unanswered = sum(outcome is AnswerOutcome.POSTPONED for _, outcome in outcomes)
        given_up = 0
        problems = []
        for owed, outcome in outcomes:
            if outcome is not AnswerOutcome.FAILED:
                continue
            later = after_failed_attempt(owed, self.clock())
            if later is None:  # the warnings about its attempts are in the log
                settled.append(owed)
                given_up += 1
                continue
            unanswered += 1
            try:
                self.answers.postpone(later)
            except Unavailable as error:
                problems.append(f"answers to workflows: {error}")
        try:
            if settled:
                self.answers.settle(settled)
        except Unavailable as error:  # they are repeated
            problems.append(f"answers to workflows: {error}")
        return AnswersOutcome(unanswered=unanswered, given_up=given_up, problems=problems)


_OF_ANSWER: Mapping[Reply, AnswerOutcome] = {
    Reply.TAKEN: AnswerOutcome.SETTLED,
    Reply.NOBODY_WAITS: AnswerOutcome.SETTLED,
    Reply.NOT_PERMITTED: AnswerOutcome.FAILED,
}
_OF_HEARTBEAT: Mapping[Reply, AnswerOutcome] = {
    **_OF_ANSWER,
    Reply.TAKEN: AnswerOutcome.UNCHANGED,
}


def _has_ended(owed: OwedAnswer, entry: Entry | None) -> bool:
    return bool(owed.refusal) or entry is None or entry.status.ended
