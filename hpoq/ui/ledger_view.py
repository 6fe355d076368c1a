"""What the pages know of a deployment: requests, capacity and dead letters."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from hpo_dispatcher.contract.documents.capacity import CapacityDocument
from hpo_dispatcher.contract.entry import Entry
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.forecast.outlooks import Forecast
from hpoq.client import Client, DeadLetter
from hpoq.errors import NotPermitted
from hpoq.results.failures import FailureGroup, grouped
from hpoq.results.training_jobs import of_entry
from hpoq.ui.background import Background, Known, Pending, Report
from hpoq.wait_reasons import removed_teams

T = TypeVar("T")

FRESH = 2.0  # seconds for which an answer is reused
SELDOM = 15.0  # seconds for which an answer is reused that changes little or costs calls
REPORTED = 250  # requests between two reports of what has been read
LETTERS = 100  # dead letters of a team on the page
DESCRIBERS = 2  # threads that describe tuning jobs: SageMaker allows few calls per second
PER_DESCRIPTION = 0.5  # seconds
READERS = 6  # threads that read many rows or send many calls


@dataclass(frozen=True, kw_only=True)
class DeploymentState:
    """What the dispatcher has published, and what follows from it at once."""

    capacity: CapacityDocument | None  # None before the first cycle
    teams: Mapping[str, TeamSettings]  # of the settings
    shown: Sequence[str]  # teams whose requests the pages show, removed ones included

    @property
    def positions(self) -> Forecast:
        """A forecast without expected starts, which are expensive to estimate."""
        document = self.capacity and self.capacity.model_copy(update={"run_times": ()})
        return Forecast(document, self.teams)


@dataclass(frozen=True, kw_only=True)
class RequestList:
    """The requests of all shown teams, as far as they have been read."""

    entries: Sequence[Entry]
    complete: bool
    left_out: Sequence[str]  # teams whose requests the reader may not see
    notes: Sequence[str]  # why requests of other teams are missing


@dataclass(frozen=True, kw_only=True)
class TeamMessages:
    """The messages in the queues of a team."""

    team: str
    messages: int  # not taken in by a cycle yet
    dead_letters: int


class LedgerView:
    """A deployment as far as the session may read it, fetched by threads.

    Args:
        client: a client of the deployment.
        team: the team whose requests are shown; None for all teams.
        background: keeps the answers.
    """

    def __init__(self, client: Client, team: str | None, background: Background) -> None:
        self._client = client
        self._team = team
        self._background = background
        self._readers = threading.Semaphore(READERS)
        self._describers = threading.Semaphore(DESCRIBERS)

    def state(self) -> Pending[DeploymentState]:
        """Return what the dispatcher has published."""
        return self._background.ask("state", lambda _: self._state(), FRESH)

    def forecast(self, state: DeploymentState) -> Pending[Forecast]:
        """Return the forecast of all starts, which takes seconds for a busy account."""
        at = state.capacity.at if state.capacity else None

        def ask(_: Report[Forecast]) -> Forecast:
            return Forecast(state.capacity, state.teams)

        return self._background.ask(("forecast", at), ask, float("inf"))

    def requests(self, state: DeploymentState) -> Callable[[float], RequestList]:
        """Start reading the requests; return a function from a deadline to what is known then."""
        pending = {team: self._entries(team, state.capacity) for team in state.shown}
        return lambda deadline: _merged({team: each.by(deadline) for team, each in pending.items()})

    def live(self, entry: Entry, among: int) -> Pending[Entry]:
        """Return a running request with its tuning job's counters, as ``hpoq list`` shows it.

        Args:
            entry: of the ledger.
            among: the number of running requests on the page.
        """

        def ask(_: Report[Entry]) -> Entry:
            with self._describers:
                return self._client.live(entry)

        return self._background.ask(("live", entry.key), ask, live_seconds(among))

    def request(self, team: str, request_id: str) -> Entry:
        """Return a request with its tuning job's counters.

        Raises:
            NotFound: the request does not exist.
        """
        return self._client.live(self._client.get(team, request_id))

    def failures(self, entry: Entry) -> Pending[list[FailureGroup]]:
        """Return the reasons of a request's failed training jobs."""
        seconds = float("inf") if entry.status.ended else SELDOM
        return self._background.ask(
            ("failures", entry.key, entry.status),
            lambda _: self._read(lambda: grouped(of_entry(self._client, entry))),
            seconds,
        )

    def queues(self, team: str) -> Pending[TeamMessages]:
        """Return the counts of a team's messages."""

        def ask() -> TeamMessages:
            return TeamMessages(
                team=team,
                messages=self._client.count_messages(team),
                dead_letters=self._client.count_dead_letters(team),
            )

        return self._background.ask(("queues", team), lambda _: self._read(ask), SELDOM)

    def dead_letters(self, team: str) -> Pending[list[DeadLetter]]:
        """Return the first rejected messages of a team, which stay in its dead-letter queue."""

        def ask() -> list[DeadLetter]:
            letters = self._client.dead_letters(team, most=LETTERS)
            self._client.show_again(letters)
            return letters

        return self._background.ask(("dead letters", team), lambda _: self._read(ask), SELDOM)

    def act(self, team: str, action: str, **fields: Any) -> None:
        """Send an action on a request.

        Raises:
            InvalidRequest: a field is wrong; nothing was sent.
            NotPermitted: the caller may not send messages of the team.
        """
        self._client.act(team, action, **fields)

    def _state(self) -> DeploymentState:
        self._client.reload_settings()
        capacity, teams = self._client.capacity(), self._client.settings.deployment.teams
        everywhere = sorted({*teams, *removed_teams(capacity, teams)})
        shown = [self._team] if self._team else everywhere
        return DeploymentState(capacity=capacity, teams=teams, shown=shown)

    def _entries(self, team: str, capacity: CapacityDocument | None) -> Pending[list[Entry]]:
        def ask(report: Report[list[Entry]]) -> list[Entry]:
            return self._read(lambda: self._all_entries(team, capacity, report))

        return self._background.ask(("entries", team), ask, FRESH)

    def _all_entries(
        self, team: str, capacity: CapacityDocument | None, report: Report[list[Entry]]
    ) -> list[Entry]:
        """Read a team's entries, the head of its queue first."""
        listed = capacity.waiting if capacity else ()
        heads = self._client.get_all(team, [e.request_id for e in listed if e.team == team])
        found = dict(heads)
        report([*found.values()])
        for number, entry in enumerate(self._client.entries(team), 1):
            found[entry.request_id] = entry
            if number % REPORTED == 0:
                report([*found.values()])
        return [*found.values()]

    def _read(self, fetch: Callable[[], T]) -> T:
        with self._readers:
            return fetch()


def live_seconds(among: int) -> float:
    """Return how long to reuse the counters of a running request, one of so many on a page."""
    return max(FRESH, PER_DESCRIPTION * among)


def with_counters(entry: Entry, live: Entry) -> Entry:
    """Return an entry with the counters and the best training job of a later reading."""
    return replace(entry, counters=live.counters, best=live.best)


def _merged(found: Mapping[str, Known[list[Entry]]]) -> RequestList:
    denied = [team for team, each in found.items() if isinstance(each.error, NotPermitted)]
    notes = [str(e.error) for team, e in found.items() if e.error and team not in denied]
    return RequestList(
        entries=[entry for each in found.values() for entry in each.value or ()],
        complete=all(each.complete for each in found.values()),
        left_out=denied,
        notes=[*dict.fromkeys(notes)],
    )
