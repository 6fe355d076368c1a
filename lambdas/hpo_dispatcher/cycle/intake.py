"""First step of a cycle: messages out of SQS, entries into the ledger."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import assert_never

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.errors import DuplicateRequest, HpoqError, InvalidRequest, Unreadable
from hpo_dispatcher.contract.request import (
    Action,
    Cancel,
    Hold,
    Release,
    SetPriority,
    TuningRequest,
    parse_message,
    request_id_of,
)
from hpo_dispatcher.ports import (
    MESSAGES_AT_ONCE,
    Added,
    Documents,
    Ending,
    Envelope,
    RequestQueues,
    Requests,
    StateChange,
    Unavailable,
)
from hpo_dispatcher.tuning_job.builder import JobBuilder

# Messages gathered before they are written and deleted: whole receives, and no more than one
# ledger transaction takes (100 items at most, two for each).
BATCH = 40
THREADS = 8
# Messages sent later than this after the beginning are the next cycle's, if no older ones came
# with them: a team that never stops sending must not keep the cycle from starting jobs. Also
# covers the difference between SQS's clock and ours.
LATE = timedelta(seconds=2)
# A cancel loses against a start or an end at most once each; then the state is final.
ATTEMPTS = 5
TEAMS_ON_HOLD = "held-teams"


@dataclass
class Intake:
    """What one drain of the queues did; counts by outcome."""

    counts: Counter[str] = field(default_factory=Counter)
    accepted: list[Entry] = field(default_factory=list)
    changes: list[StateChange] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    on_hold: set[tuple[str, str]] = field(default_factory=set)  # accepted and paused in one drain


@dataclass(frozen=True, kw_only=True)
class Move:
    """A request joined or left its team's line."""

    team: str
    sort_key: str
    joined: bool


@dataclass(frozen=True)
class _Rejection:
    envelope: Envelope
    error: InvalidRequest


def intake(
    queues: RequestQueues,
    requests: Requests,
    documents: Documents,
    builder: JobBuilder,
    *,
    clock: Callable[[], datetime],
    out_of_time: Callable[[], bool],
) -> Intake:
    """Move messages into the ledger. A message is deleted only once its entry exists.

    Each team's queue is drained on its own: what is wrong with one delays no other.
    """
    result = Intake()
    desk = _Desk(
        queues=queues, requests=requests, documents=documents, builder=builder, clock=clock,
        result=result, late=clock() + LATE,
    )  # fmt: skip
    teams = builder.deployment.teams
    with ThreadPoolExecutor(THREADS) as pool:
        looks = {team: pool.submit(desk.look, team, out_of_time) for team in teams}
        found = {team: look.result() for team, look in looks.items()}
        drains = [
            pool.submit(desk.drain, team, out_of_time, envelopes)
            for team, envelopes in found.items()
            if envelopes
        ]
        # An empty queue costs one receive; only a full one is worth several drains at once.
        busy = [team for team, envelopes in found.items() if len(envelopes) >= BATCH]
        more = THREADS // max(1, len(busy)) - 1
        drains += [pool.submit(desk.drain, team, out_of_time) for team in busy * more]
        for drain in drains:
            drain.result()
    return result


@dataclass(frozen=True, kw_only=True)
class _Desk:
    queues: RequestQueues
    requests: Requests
    documents: Documents
    builder: JobBuilder
    clock: Callable[[], datetime]
    result: Intake
    late: datetime  # what was sent after it may wait for the next cycle
    lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self, team: str, out_of_time: Callable[[], bool]) -> list[Envelope]:
        """The first messages of a team."""
        with self._noting(team):
            return self._gather(team, out_of_time)
        return []

    def drain(
        self, team: str, out_of_time: Callable[[], bool], envelopes: Sequence[Envelope] = ()
    ) -> None:
        """Take these messages, and others until there are none or only late ones."""
        with self._noting(team):
            envelopes = envelopes or self._gather(team, out_of_time)
            while envelopes:
                self._take(envelopes)
                if all(envelope.sent_at > self.late for envelope in envelopes):
                    break
                envelopes = self._gather(team, out_of_time)

    @contextmanager
    def _noting(self, team: str) -> Iterator[None]:
        """What is not available now is a problem of this cycle: the messages stay in the queue."""
        try:
            yield
        except Unavailable as error:
            self.result.problems.append(f"intake of {team}: {error}")

    def _gather(self, team: str, out_of_time: Callable[[], bool]) -> list[Envelope]:
        """Messages to account for together; none if the queue is empty.

        What is there waits for no more: to find a queue empty for sure takes a second.
        """
        envelopes: list[Envelope] = []
        while len(envelopes) < BATCH and not out_of_time():
            received = self.queues.receive(team, wait=not envelopes)
            envelopes += received
            if len(received) < MESSAGES_AT_ONCE:
                break
        return envelopes

    def _take(self, envelopes: Sequence[Envelope]) -> None:
        """Account for every message, then delete them together."""
        self._count("received", len(envelopes))
        rejections: list[_Rejection] = []
        entries: list[tuple[Envelope, Entry]] = []
        actions: list[tuple[Envelope, Action]] = []
        for envelope in envelopes:
            try:
                message = parse_message(envelope.body, envelope.message_id)
                if isinstance(message, TuningRequest):
                    entry = self.builder.entry(envelope.team, message, envelope.sent_at, ())
                    entries.append((envelope, entry))
                else:
                    actions.append((envelope, message))
            except InvalidRequest as error:
                rejections.append(_Rejection(envelope, error))
            except HpoqError:  # not the message's fault: it stays in the queue
                raise
            except Exception as error:
                rejections.append(_Rejection(envelope, _our_mistake(error)))
        rejections += self._add(entries)
        for envelope, action in actions:  # they may mean what has come with them
            try:
                self._act(envelope, action)
            except Unreadable as error:
                rejections.append(_Rejection(envelope, error))
        for rejection in rejections:
            self._reject(rejection)
        self.queues.delete(envelopes)

    def _add(self, entries: Sequence[tuple[Envelope, Entry]]) -> list[_Rejection]:
        if not entries:
            return []
        rejections = []
        outcomes = self.requests.add([entry for _, entry in entries])
        for (envelope, entry), outcome in zip(entries, outcomes, strict=True):
            self._count(outcome.name.lower())
            match outcome:
                case Added.NEW:
                    self.result.accepted.append(entry)
                    self._moved(entry, joined=True)
                    self._changed(entry, None)
                case Added.TAKEN:
                    rejections.append(_Rejection(envelope, _taken(entry.request_id)))
                case Added.REPEATED | Added.CANCELLED:
                    pass
        return rejections

    def _reject(self, rejection: _Rejection) -> None:
        """Dead-letter queue first: a crash after it repeats the rejection, and loses nothing."""
        envelope = rejection.envelope
        error = self.builder.redactor.error(rejection.error, envelope.body)
        self.queues.reject(envelope.team, envelope.message_id, envelope.body, error)
        self._count("rejected")
        entry = Entry(
            team=envelope.team,
            request_id=request_id_of(envelope.body, envelope.message_id),
            status=Status.REJECTED,
            accepted_at=envelope.sent_at,
            ended_at=self.clock(),
            reason=str(error),
        )
        if not isinstance(error, DuplicateRequest) and self.requests.add([entry]) == [Added.NEW]:
            self._changed(entry, None)

    def _act(self, envelope: Envelope, action: Action) -> None:
        match action:
            case Cancel():
                self._cancel(envelope, action.request_id)
            case SetPriority():
                self._set_priority(envelope.team, action)
            case Hold() | Release():
                self._hold_or_release(envelope.team, action)
            case _:
                assert_never(action)
        self._count("actions")

    def _set_priority(self, team: str, action: SetPriority) -> None:
        priority = self.builder.capped(team, action.priority)
        entry = self.requests.set_priority(team, action.request_id, priority)
        if entry:
            self._moved(entry, joined=False)
            self._moved(replace(entry, priority=priority), joined=True)

    def _hold_or_release(self, team: str, action: Hold | Release) -> None:
        """What is no longer queued cannot be held any more; that is not an error."""
        if action.request_id and isinstance(action, Hold):
            held = self.requests.hold(team, action.request_id)
            if held:
                self.result.on_hold.add(held.key)
                self._moved(held, joined=False)
        elif action.request_id:
            released = self.requests.release(team, action.request_id)
            if released:
                self.result.on_hold.discard(released.key)
                self._moved(replace(released, on_hold=False), joined=True)
        else:
            with self.lock:  # teams share the document
                teams = teams_on_hold(self.documents) - {team}
                teams |= {team} if isinstance(action, Hold) else set()
                self.documents.put(TEAMS_ON_HOLD, json.dumps(sorted(teams)))

    def _cancel(self, envelope: Envelope, request_id: str) -> None:
        """In every state, also before the request has come; repeating changes nothing."""
        for _ in range(ATTEMPTS):
            entry = self.requests.get(envelope.team, request_id)
            if entry is None:
                if self._cancel_in_advance(envelope, request_id):
                    return
            elif entry.status is Status.QUEUED:
                if self._cancel_queued(entry):
                    return
            elif entry.status is Status.IN_PROGRESS or entry.preempted_for:
                if self.requests.stop(entry):
                    self._changed(replace(entry, status=Status.STOPPING), entry.status)
                    return
            else:
                return

    def _cancel_in_advance(self, envelope: Envelope, request_id: str) -> bool:
        entry = Entry(
            team=envelope.team,
            request_id=request_id,
            status=Status.CANCELLED,
            accepted_at=envelope.sent_at,
            ended_at=self.clock(),
            reason="cancelled before its request came",
        )
        return self.requests.add([entry]) == [Added.NEW]

    def _cancel_queued(self, entry: Entry) -> bool:
        ending = Ending(
            team=entry.team,
            request_id=entry.request_id,
            was=(Status.QUEUED,),
            # What was to go on has started, and keeps what it found.
            status=Status.STOPPED if entry.earlier else Status.CANCELLED,
            ended_at=self.clock(),
            reason="cancelled by its team",
            counters=entry.counters,
            best=entry.best,
        )
        finished = bool(self.requests.finish([ending]))
        if finished:
            self._moved(entry, joined=False)
            self._changed(replace(entry, status=ending.status), entry.status)
        return finished

    def _count(self, what: str, number: int = 1) -> None:
        with self.lock:  # drains run side by side
            self.result.counts[what] += number

    def _moved(self, entry: Entry, *, joined: bool) -> None:
        """Those that are blocked or held are in no line."""
        if not (entry.blocked or entry.on_hold):
            move = Move(team=entry.team, sort_key=entry.queue_sort_key, joined=joined)
            self.result.moves.append(move)

    def _changed(self, entry: Entry, previous: Status | None) -> None:
        change = StateChange(
            team=entry.team,
            request_id=entry.request_id,
            status=entry.status,
            previous_status=previous,
            tuning_job_name=entry.tuning_job_name,
            reason=entry.reason,
            at=self.clock(),
        )
        self.result.changes.append(change)


def teams_on_hold(documents: Documents) -> set[str]:
    """Teams that want none of their requests started."""
    return set(json.loads(documents.get(TEAMS_ON_HOLD) or "[]"))


def _taken(request_id: str) -> DuplicateRequest:
    return DuplicateRequest(
        "request_id",
        f"{request_id!r} was used before, with other content",
        "Send it under a new request id",
    )


def _our_mistake(error: Exception) -> InvalidRequest:
    """Without the error's own words: they may quote what is secret."""
    return InvalidRequest(
        "body",
        f"hpoq failed on it ({type(error).__name__})",
        "Report it with this message; redrive it once that is mended",
    )
