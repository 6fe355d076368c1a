"""Applies the actions of teams: cancel, priority, hold and release."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import assert_never

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.message import Action, Cancel, Hold, Release, SetPriority
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.cycle.outcome import IntakeOutcome
from hpo_dispatcher.ports import Added, Documents, Ending, Envelope, Requests

# A cancel is retried if the request changes in between. A request starts and ends at most once
# each before its state is final.
ATTEMPTS = 5
TEAMS_ON_HOLD = "held-teams"  # the name of the document


@dataclass(frozen=True, kw_only=True)
class TeamActions:
    """The actions of all teams on their requests."""

    requests: Requests
    documents: Documents
    teams: Mapping[str, TeamSettings]
    clock: Callable[[], datetime]
    outcome: IntakeOutcome
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def apply(self, envelope: Envelope, action: Action) -> None:
        """Apply one action to the requests of the team that sent it."""
        match action:
            case Cancel():
                self._cancel(envelope, action.request_id)
            case SetPriority():
                self._set_priority(envelope.team, action)
            case Hold(request_id=str() as request_id):
                self._hold(envelope.team, request_id)
            case Release(request_id=str() as request_id):
                self._release(envelope.team, request_id)
            case Hold():
                self._set_team_on_hold(envelope.team, on_hold=True)
            case Release():
                self._set_team_on_hold(envelope.team, on_hold=False)
            case _:
                assert_never(action)
        self.outcome.count("actions")

    def _set_priority(self, team: str, action: SetPriority) -> None:
        priority = self.teams[team].capped(action.priority)
        entry = self.requests.set_priority(team, action.request_id, priority)
        if entry:
            self.outcome.left_queue(entry)
            self.outcome.joined_queue(replace(entry, priority=priority))

    def _hold(self, team: str, request_id: str) -> None:
        """Put a request on hold. A request that is no longer queued is left alone."""
        entry = self.requests.hold(team, request_id)
        if entry:
            self.outcome.on_hold.add(entry.key)
            self.outcome.left_queue(entry)

    def _release(self, team: str, request_id: str) -> None:
        entry = self.requests.release(team, request_id)
        if entry:
            self.outcome.on_hold.discard(entry.key)
            self.outcome.joined_queue(replace(entry, on_hold=False))

    def _set_team_on_hold(self, team: str, *, on_hold: bool) -> None:
        with self._lock:  # all teams share the document
            teams = teams_on_hold(self.documents) - {team}
            teams |= {team} if on_hold else set()
            self.documents.put(TEAMS_ON_HOLD, json.dumps(sorted(teams)))

    def _cancel(self, envelope: Envelope, request_id: str) -> None:
        """Cancel a request in any state, or before it arrives. Repeating it changes nothing."""
        for _ in range(ATTEMPTS):
            entry = self.requests.get(envelope.team, request_id)
            if entry is None:
                done = self._cancel_in_advance(envelope, request_id)
            elif entry.status is Status.QUEUED:
                done = self._cancel_queued(entry)
            elif entry.status is Status.IN_PROGRESS or entry.preempted_for:
                done = self._stop_running(entry)
            else:
                done = True
            if done:
                return

    def _cancel_in_advance(self, envelope: Envelope, request_id: str) -> bool:
        entry = Entry(
            team=envelope.team,
            request_id=request_id,
            status=Status.CANCELLED,
            accepted_at=envelope.sent_at,
            ended_at=self.clock(),
            reason="cancelled before its request arrived",
        )
        return self.requests.add([entry]) == [Added.NEW]

    def _cancel_queued(self, entry: Entry) -> bool:
        ending = Ending(
            team=entry.team,
            request_id=entry.request_id,
            was=(Status.QUEUED,),
            # A preempted request has run before, and keeps its results.
            status=Status.STOPPED if entry.earlier else Status.CANCELLED,
            ended_at=self.clock(),
            reason="cancelled by its team",
            counters=entry.counters,
        )
        finished = bool(self.requests.finish([ending]))
        if finished:
            self.outcome.left_queue(entry)
            self.outcome.changed(replace(entry, status=ending.status), entry.status)
        return finished

    def _stop_running(self, entry: Entry) -> bool:
        stopped = self.requests.stop(entry)
        if stopped:
            self.outcome.changed(replace(entry, status=Status.STOPPING), entry.status)
        return stopped


def teams_on_hold(documents: Documents) -> set[str]:
    """Return the teams whose requests do not start because the team is on hold."""
    return set(json.loads(documents.get(TEAMS_ON_HOLD) or "[]"))
