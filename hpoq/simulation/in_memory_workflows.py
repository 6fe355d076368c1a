"""The ports to workflows in memory: answers that are owed, and the steps that wait for them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

from hpo_dispatcher.contract.workflows.answers import OwedAnswer, WorkflowFailure, WorkflowResult
from hpo_dispatcher.contract.workflows.callbacks import CallbackKind
from hpo_dispatcher.ports import Reply

Answer = WorkflowResult | WorkflowFailure


class MemoryOwedAnswers:
    """``OwedAnswers`` in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owed: dict[str, OwedAnswer] = {}  # by digest of the token
        self.calls: Counter[str] = Counter()

    def owe(self, answers: Sequence[OwedAnswer]) -> None:
        """See ``OwedAnswers``."""
        with self._called("TransactWriteItems"):
            for each in answers:
                self._owed.setdefault(each.callback.digest, each)

    def owed(self) -> Sequence[OwedAnswer]:
        """See ``OwedAnswers``."""
        with self._called("Query"):
            return list(self._owed.values())

    def postpone(self, owed: OwedAnswer) -> None:
        """See ``OwedAnswers``."""
        with self._called("UpdateItem"):
            if owed.callback.digest in self._owed:
                self._owed[owed.callback.digest] = owed

    def settle(self, answers: Sequence[OwedAnswer]) -> None:
        """See ``OwedAnswers``."""
        with self._called("TransactWriteItems"):
            for each in answers:
                self._owed.pop(each.callback.digest, None)

    def _called(self, operation: str) -> threading.Lock:
        self.calls[f"dynamodb:{operation}"] += 1
        return self._lock


class MemoryWorkflows:
    """``Workflows`` in memory, which know the steps that ``wait`` announced."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[str] = set()  # tokens
        self.answered: list[tuple[str, Answer]] = []  # by token, in order
        self.heartbeats: Counter[str] = Counter()  # by token
        self.calls: Counter[str] = Counter()

    def wait(self, token: str) -> None:
        """Let a step wait for the answer to its token."""
        self._waiting.add(token)

    def succeed(self, owed: OwedAnswer, result: WorkflowResult) -> Reply:
        """See ``Workflows``."""
        return self._close(owed, result)

    def fail(self, owed: OwedAnswer, failure: WorkflowFailure) -> Reply:
        """See ``Workflows``."""
        return self._close(owed, failure)

    def heartbeat(self, owed: OwedAnswer) -> Reply:
        """See ``Workflows``."""
        if owed.callback.kind is not CallbackKind.STEP_FUNCTIONS:
            return Reply.TAKEN
        with self._lock:
            self.calls["states:SendTaskHeartbeat"] += 1
            if owed.callback.token not in self._waiting:
                return Reply.NOBODY_WAITS
            self.heartbeats[owed.callback.token] += 1
            return Reply.TAKEN

    def _close(self, owed: OwedAnswer, answer: Answer) -> Reply:
        token, name = owed.callback.token, type(answer).__name__
        with self._lock:
            self.calls[f"{owed.callback.kind}:{name}"] += 1
            if token not in self._waiting:
                return Reply.NOBODY_WAITS
            self._waiting.discard(token)
            self.answered.append((token, answer))
            return Reply.TAKEN
