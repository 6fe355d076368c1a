"""The ports to workflows that wait for requests, and to the answers that are owed to them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Protocol

from hpo_dispatcher.contract.workflows.answers import OwedAnswer, WorkflowFailure, WorkflowResult


class OwedAnswers(Protocol):
    """The answers that workflows wait for, in the ledger.

    Every method may raise ``Unavailable``, and ``LedgerMissing`` once the ledger's table is gone.
    """

    def owe(self, answers: Sequence[OwedAnswer]) -> None:
        """Keep answers until they are settled; an answer that is owed already stays as it is."""

    def owed(self) -> Sequence[OwedAnswer]:
        """Return all answers that are owed, read consistently."""

    def postpone(self, owed: OwedAnswer) -> None:
        """Write the attempts and the next attempt of an answer, unless it has been settled."""

    def settle(self, answers: Sequence[OwedAnswer]) -> None:
        """Forget answers; forgetting them twice is harmless."""


class Reply(Enum):
    """What a service says to an answer."""

    TAKEN = auto()
    NOBODY_WAITS = auto()  # the step was answered before, has timed out, or never existed
    NOT_PERMITTED = auto()  # no service was asked: the settings do not name the workflow


class Workflows(Protocol):
    """The services whose workflows wait. Every method may raise ``Unavailable``."""

    def succeed(self, owed: OwedAnswer, result: WorkflowResult) -> Reply:
        """Complete a step. Repeating an answer is harmless."""

    def fail(self, owed: OwedAnswer, failure: WorkflowFailure) -> Reply:
        """Fail a step. Repeating an answer is harmless."""

    def heartbeat(self, owed: OwedAnswer) -> Reply:
        """Tell a step of Step Functions that its request has not ended."""
