"""How queues are drained: all threads work, and a team that never stops sending delays none."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from hpo_dispatcher.cycle.intake.drain import BATCH, LATE, THREADS, Drain
from hpo_dispatcher.cycle.outcome import IntakeOutcome
from hpo_dispatcher.ports import MESSAGES_AT_ONCE, Envelope, Unavailable
from tests.support.scheduling_scene import NOON


@dataclass
class Queues:
    """Queues with so many messages, which record how each receive waits."""

    messages: Counter[str]
    down: Sequence[str] = ()
    seconds_late: Sequence[float] = (0.0,)  # of the messages of a receive, in turn
    waits: list[bool] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def receive(self, team: str, *, wait: bool = True) -> Sequence[Envelope]:
        if team in self.down:
            raise Unavailable(f"sqs:ReceiveMessage: {team}")
        with self._lock:
            self.waits.append(wait)
            taken = min(MESSAGES_AT_ONCE, self.messages[team])
            self.messages[team] -= taken
            left = self.messages[team]
        late = [timedelta(seconds=each) for each in self.seconds_late]
        return [
            Envelope(
                team=team, message_id=f"{left + n}", receipt=f"{left + n}", body="",
                sent_at=NOON + LATE + late[n % len(late)],
            )
            for n in range(taken)
        ]  # fmt: skip


class Accounting:
    """An accounting that counts messages, and may wait until several threads are in it."""

    def __init__(self, together: int = 1) -> None:
        self.batches: list[tuple[str, int]] = []
        self._together = threading.Barrier(together)
        self._firsts = iter(range(together))

    def process(self, batch: Sequence[Envelope]) -> None:
        self.batches.append((batch[0].team, len(batch)))
        if next(self._firsts, None) is not None:
            self._together.wait(5)


def drain(queues: Queues, accounting: Accounting, *, calls_in_time: int = 10_000) -> IntakeOutcome:
    """Drain all queues; after so many calls, there is no time left."""
    outcome = IntakeOutcome(clock=lambda: NOON)
    left = iter(range(calls_in_time))
    fakes: Any = {"queues": queues, "accounting": accounting, "outcome": outcome}
    Drain(**fakes, out_of_time=lambda: next(left, None) is None, late=NOON + LATE).all_queues(
        [*queues.messages]
    )
    return outcome


def processed(accounting: Accounting) -> Mapping[str, int]:
    counts: Counter[str] = Counter()
    for team, count in accounting.batches:
        counts[team] += count
    return counts


@pytest.mark.parametrize("full", [1, 2, 4, THREADS])
def test_full_queues_are_drained_by_all_threads_at_once(full: int) -> None:
    queues = Queues(Counter({f"t{n}": 20 * BATCH for n in range(full)}))
    accounting = Accounting(together=THREADS)
    assert drain(queues, accounting).problems == []
    assert processed(accounting) == {f"t{n}": 20 * BATCH for n in range(full)}


def test_every_queue_is_drained_however_many_are_full() -> None:
    queues = Queues(Counter({f"t{n:02}": BATCH + n for n in range(3 * THREADS)}))
    accounting = Accounting()
    drain(queues, accounting)
    assert processed(accounting) == {f"t{n:02}": BATCH + n for n in range(3 * THREADS)}


@pytest.mark.parametrize(("messages", "receives"), [(0, 1), (3, 2), (10, 3), (39, 5)])
def test_a_queue_that_is_not_full_is_drained_once(messages: int, receives: int) -> None:
    """An empty queue costs one receive; what has come is processed without waiting for more."""
    queues, accounting = Queues(Counter({"t": messages})), Accounting()
    drain(queues, accounting)
    assert accounting.batches == ([("t", messages)] if messages else [])
    assert len(queues.waits) == receives


def test_only_the_first_receive_of_a_batch_waits_for_messages() -> None:
    queues = Queues(Counter({"t": 25}))
    drain(queues, Accounting())
    assert queues.waits == [True, False, False, True]


def test_messages_are_accounted_for_in_batches() -> None:
    queues, accounting = Queues(Counter({"t": 2 * BATCH + 5})), Accounting()
    drain(queues, accounting)
    assert sorted(accounting.batches) == [("t", 5), ("t", BATCH), ("t", BATCH)]


@pytest.mark.parametrize(
    ("seconds_late", "batches"),
    [((0.001,), THREADS), ((0.0,), 3 * THREADS), ((0.001, 0.0), 3 * THREADS)],
    ids=["late", "in time", "some in time"],
)
def test_a_team_that_never_stops_sending_keeps_no_cycle_from_starting_jobs(
    seconds_late: Sequence[float], batches: int
) -> None:
    """Each thread stops after a batch of which all messages are late."""
    queues = Queues(Counter({"t": 3 * THREADS * BATCH}), seconds_late=seconds_late)
    accounting = Accounting(together=THREADS)
    drain(queues, accounting)
    assert processed(accounting)["t"] == batches * BATCH


def test_a_queue_that_cannot_be_received_from_is_named_and_the_others_are_drained() -> None:
    queues = Queues(Counter({"a": 3, "b": 3, "c": 3}), down=["b"])
    accounting = Accounting()
    outcome = drain(queues, accounting)
    assert outcome.problems == ["intake of b: sqs:ReceiveMessage: b"]
    assert processed(accounting) == {"a": 3, "c": 3}


def test_a_batch_that_the_ledger_does_not_take_is_a_problem_of_its_team_only() -> None:
    class Failing(Accounting):
        def process(self, batch: Sequence[Envelope]) -> None:
            if batch[0].team == "b":
                raise Unavailable("dynamodb:TransactWriteItems")
            super().process(batch)

    accounting = Failing()
    outcome = drain(Queues(Counter({"a": 3, "b": 3, "c": 3})), accounting)
    assert outcome.problems == ["intake of b: dynamodb:TransactWriteItems"]
    assert processed(accounting) == {"a": 3, "c": 3}


def test_without_time_the_messages_stay_in_their_queues() -> None:
    queues, accounting = Queues(Counter({"t": 100})), Accounting()
    assert drain(queues, accounting, calls_in_time=2).problems == []
    assert accounting.batches == [("t", 20)]
    assert queues.messages["t"] == 80
