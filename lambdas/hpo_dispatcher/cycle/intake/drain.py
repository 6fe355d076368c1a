"""Drains the request queues, several queues and several batches of a queue at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.contract.settings import TeamSettings, WorkflowSettings
from hpo_dispatcher.cycle.intake.accounting import Accounting
from hpo_dispatcher.cycle.intake.team_actions import TeamActions
from hpo_dispatcher.cycle.outcome import IntakeOutcome
from hpo_dispatcher.ports import (
    MESSAGES_AT_ONCE,
    Documents,
    Envelope,
    OwedAnswers,
    RequestQueues,
    Requests,
    Unavailable,
)
from hpo_dispatcher.tuning_job.builder import JobBuilder

# Messages that are accounted for together: a multiple of one receive, and no more than fit into
# one ledger transaction (100 items, two per message).
BATCH = 40
THREADS = 8
# Messages sent later than this after the start of the cycle are left to the next cycle, unless
# older ones arrive with them, so that a team that never stops sending cannot keep the cycle from
# starting jobs. The margin covers the difference between the clocks of SQS and of the function.
LATE = timedelta(seconds=2)


@dataclass(frozen=True, kw_only=True)
class Intake:
    """The first step of a cycle, which moves messages from the queues into the ledger."""

    queues: RequestQueues
    requests: Requests
    documents: Documents
    answers: OwedAnswers
    workflow_settings: WorkflowSettings
    builder: JobBuilder
    redactor: Redactor
    teams: Mapping[str, TeamSettings]
    clock: Callable[[], datetime]

    def run(self, out_of_time: Callable[[], bool]) -> IntakeOutcome:
        """Process the messages of all teams; delete each one after its entry is written.

        Each team's queue is drained separately, so a problem with one delays no other.
        """
        outcome = IntakeOutcome(clock=self.clock)
        actions = TeamActions(
            requests=self.requests,
            documents=self.documents,
            teams=self.teams,
            clock=self.clock,
            outcome=outcome,
        )
        accounting = Accounting(
            queues=self.queues,
            requests=self.requests,
            answers=self.answers,
            workflow_settings=self.workflow_settings,
            builder=self.builder,
            redactor=self.redactor,
            actions=actions,
            clock=self.clock,
            outcome=outcome,
        )
        drain = Drain(
            queues=self.queues,
            accounting=accounting,
            outcome=outcome,
            out_of_time=out_of_time,
            late=self.clock() + LATE,
        )
        drain.all_queues(self.teams)
        return outcome


@dataclass(frozen=True, kw_only=True)
class Drain:
    """One drain of the request queues of all teams."""

    queues: RequestQueues
    accounting: Accounting
    outcome: IntakeOutcome
    out_of_time: Callable[[], bool]
    late: datetime  # messages sent after it may wait for the next cycle

    def all_queues(self, teams: Collection[str]) -> None:
        """Drain the queues of these teams, with several threads for full queues."""
        with ThreadPoolExecutor(THREADS) as pool:
            receives = {team: pool.submit(self._first_batch, team) for team in teams}
            batches = {team: receive.result() for team, receive in receives.items()}
            drains = [
                pool.submit(self._one_queue, team, batch)
                for team, batch in batches.items()
                if batch
            ]
            # An empty queue costs one receive; only a full one is worth several drains at once.
            full = [team for team, batch in batches.items() if len(batch) >= BATCH]
            more = THREADS // max(1, len(full)) - 1
            drains += [pool.submit(self._one_queue, team) for team in full * more]
            for drain in drains:
                drain.result()

    def _first_batch(self, team: str) -> list[Envelope]:
        with self._unavailable_reported(team):
            return self._receive(team)
        return []

    def _one_queue(self, team: str, batch: Sequence[Envelope] = ()) -> None:
        """Process a batch, and further ones until the queue is empty or has only late messages."""
        with self._unavailable_reported(team):
            batch = batch or self._receive(team)
            while batch:
                self.accounting.process(batch)
                if all(envelope.sent_at > self.late for envelope in batch):
                    break
                batch = self._receive(team)

    @contextmanager
    def _unavailable_reported(self, team: str) -> Iterator[None]:
        """Report an unavailable service as a problem of the cycle; messages stay in the queue."""
        try:
            yield
        except Unavailable as error:
            self.outcome.problems.append(f"intake of {team}: {error}")

    def _receive(self, team: str) -> list[Envelope]:
        """Return the next batch of messages; an empty one if the queue is empty.

        Received messages are processed without waiting for a full batch, because it takes a second
        to make sure that a queue is empty.
        """
        batch: list[Envelope] = []
        while len(batch) < BATCH and not self.out_of_time():
            received = self.queues.receive(team, wait=not batch)
            batch += received
            if len(received) < MESSAGES_AT_ONCE:
                break
        return batch
