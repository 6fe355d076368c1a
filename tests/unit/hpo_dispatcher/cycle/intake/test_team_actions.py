"""What the actions of teams do to requests in each state."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import BestTrainingJob, EarlierJob, Entry, Key, Status
from hpo_dispatcher.contract.message import Cancel, Hold, Release, SetPriority
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.cycle.intake.team_actions import (
    ATTEMPTS,
    TEAMS_ON_HOLD,
    TeamActions,
    teams_on_hold,
)
from hpo_dispatcher.cycle.outcome import IntakeOutcome
from hpo_dispatcher.ports import Added, Ending, Envelope
from hpoq.simulation.in_memory_ledger import MemoryDocuments, MemoryLeases, MemoryRequests
from tests.support.scheduling_scene import NOON, ago

MESSAGE = Envelope(team="fraud", message_id="m", receipt="m", body="", sent_at=ago(5))
EARLIER = EarlierJob(
    tuning_job_name="before", counters={"Completed": 3}, interrupted=0, seconds=1,
    instance_seconds=1, found=True,
)  # fmt: skip
BEST = BestTrainingJob(name="t", objective=0.9, metric="auc", hyperparameters={})


class Scene:
    """A ledger in memory, and the actions on it."""

    def __init__(self, *entries: Entry) -> None:
        leases = MemoryLeases()
        leases.acquire("me", NOON, ago(-10))
        self.requests, self.documents = MemoryRequests(leases), MemoryDocuments()
        queued = [replace(e, status=Status.QUEUED, started_at=None) for e in entries]
        self.requests.add(queued)
        started = [e for e in queued if self._given(e, entries).status is not Status.QUEUED]
        self.requests.start(started, "me", ago(9))
        self.outcome = IntakeOutcome(clock=lambda: NOON)
        self.actions = TeamActions(
            requests=self.requests, documents=self.documents,
            teams={"fraud": TeamSettings(priority_cap=50), "vision": TeamSettings()},
            clock=lambda: NOON, outcome=self.outcome,
        )  # fmt: skip

    def _given(self, entry: Entry, entries: Sequence[Entry]) -> Entry:
        return next(each for each in entries if each.key == entry.key)

    def apply(self, action: Any, team: str = "fraud") -> None:
        self.actions.apply(replace(MESSAGE, team=team), action)

    def entry(self) -> Entry:
        return self.requests.entries["fraud", "r"]

    def changes(self) -> list[tuple[str, str, str]]:
        """Return from and to which state requests have changed, and why."""
        return [
            (str(each.previous_status), str(each.status), each.reason)
            for each in self.outcome.changes
        ]

    def moves(self) -> list[bool]:
        """Return whether requests joined or left a queue."""
        return [move.joined for move in self.outcome.moves]


def entry(**fields: Any) -> Entry:
    given: dict[str, Any] = {
        "team": "fraud", "request_id": "r", "status": Status.QUEUED, "accepted_at": ago(20)
    }  # fmt: skip
    return Entry(**(given | fields))


CANCEL = Cancel(action="cancel", request_id="r")


def test_a_queued_request_is_cancelled_and_leaves_its_queue() -> None:
    scene = Scene(entry())
    scene.apply(CANCEL)
    found = scene.entry()
    assert (found.status, found.reason, found.ended_at) == (
        Status.CANCELLED, "cancelled by its team", NOON
    )  # fmt: skip
    assert scene.changes() == [("Queued", "Cancelled", "")]
    assert scene.moves() == [False]
    assert scene.outcome.counts["actions"] == 1


@pytest.mark.parametrize("field", ["blocked", "on_hold"])
def test_a_request_that_is_in_no_queue_leaves_none(field: str) -> None:
    scene = Scene(entry(**{field: True}))
    scene.apply(CANCEL)
    assert scene.entry().status is Status.CANCELLED
    assert scene.moves() == []


def test_a_preempted_request_keeps_what_it_found() -> None:
    scene = Scene(entry(earlier=(EARLIER,), counters={"Completed": 3}, best=BEST))
    scene.apply(CANCEL)
    found = scene.entry()
    assert (found.status, found.counters, found.best) == (Status.STOPPED, {"Completed": 3}, BEST)
    assert scene.changes() == [("Queued", "Stopped", "")]


def test_a_running_request_is_stopped_once() -> None:
    scene = Scene(entry(status=Status.IN_PROGRESS))
    scene.apply(CANCEL)
    scene.apply(CANCEL)
    assert scene.entry().status is Status.STOPPING
    assert scene.changes() == [("InProgress", "Stopping", "")]
    assert scene.moves() == []
    assert scene.outcome.counts["actions"] == 2


def test_a_request_is_cancelled_before_it_arrives() -> None:
    scene = Scene()
    scene.apply(CANCEL)
    found = scene.entry()
    assert (found.status, found.reason) == (
        Status.CANCELLED, "cancelled before its request arrived"
    )  # fmt: skip
    assert (found.accepted_at, found.ended_at) == (MESSAGE.sent_at, NOON)
    assert scene.changes() == [], "nobody has heard of it"
    assert scene.requests.add([entry()]) == [Added.CANCELLED]


def test_a_request_that_has_ended_is_left_alone() -> None:
    scene = Scene(entry())
    scene.apply(CANCEL)
    scene.outcome.changes.clear()
    before = scene.requests.calls["dynamodb:GetItem"]
    scene.apply(CANCEL)
    assert (scene.entry().reason, scene.changes()) == ("cancelled by its team", [])
    assert scene.requests.calls["dynamodb:GetItem"] == before + 1, "it cannot change any more"


class Changing:
    """A ledger in which a request always changes between a read and a write."""

    def __init__(self) -> None:
        self.reads = 0

    def get(self, team: str, request_id: str) -> Entry:
        self.reads += 1
        return entry()

    def finish(self, endings: Sequence[Ending]) -> Sequence[Key]:
        return []


def test_a_cancel_is_tried_as_often_as_a_request_can_change() -> None:
    scene, requests = Scene(), Changing()
    changing: Any = requests
    replace(scene.actions, requests=changing).apply(MESSAGE, CANCEL)
    assert requests.reads == ATTEMPTS
    assert scene.moves() == scene.changes() == []


def priority(level: int) -> SetPriority:
    return SetPriority(action="priority", request_id="r", priority=level)


@pytest.mark.parametrize(("asked", "given"), [(7, 7), (50, 50), (51, 50), (-3, -3)])
def test_a_priority_is_capped_and_moves_the_request_within_its_queue(
    asked: int, given: int
) -> None:
    scene = Scene(entry())
    before = scene.entry().queue_sort_key
    scene.apply(priority(asked))
    assert scene.entry().priority == given
    after = scene.entry().queue_sort_key
    assert [(m.sort_key, m.joined) for m in scene.outcome.moves] == [(before, False), (after, True)]


@pytest.mark.parametrize("fields", [{"blocked": True}, {"on_hold": True}])
def test_a_priority_moves_no_request_that_is_in_no_queue(fields: Mapping[str, bool]) -> None:
    scene = Scene(entry(**fields))
    scene.apply(priority(9))
    assert (scene.entry().priority, scene.moves()) == (9, [])


def test_a_priority_leaves_a_running_request_alone() -> None:
    scene = Scene(entry(status=Status.IN_PROGRESS))
    scene.apply(priority(9))
    assert (scene.entry().priority, scene.moves()) == (0, [])


HOLD = Hold(action="hold", request_id="r")
RELEASE = Release(action="release", request_id="r")


def test_a_request_is_put_on_hold_and_released() -> None:
    scene = Scene(entry())
    scene.apply(HOLD)
    assert scene.entry().on_hold
    assert (scene.outcome.on_hold, scene.moves()) == ({("fraud", "r")}, [False])
    scene.apply(HOLD)
    assert scene.moves() == [False], "it is in no queue any more"
    scene.apply(RELEASE)
    assert not scene.entry().on_hold
    assert (scene.outcome.on_hold, scene.moves()) == (set(), [False, True])
    scene.apply(RELEASE)
    assert scene.moves() == [False, True]


@pytest.mark.parametrize("action", [HOLD, RELEASE])
def test_a_running_or_unknown_request_is_not_held(action: Hold | Release) -> None:
    for scene in (Scene(entry(status=Status.IN_PROGRESS)), Scene()):
        scene.apply(action)
        assert (scene.outcome.on_hold, scene.moves()) == (set(), [])


def test_a_team_is_put_on_hold_and_released_beside_others() -> None:
    scene = Scene(entry())
    assert teams_on_hold(scene.documents) == set()
    scene.apply(Hold(action="hold"), team="vision")
    scene.apply(Hold(action="hold"))
    scene.apply(Hold(action="hold"))
    assert json.loads(scene.documents.get(TEAMS_ON_HOLD) or "") == ["fraud", "vision"]
    scene.apply(Release(action="release"))
    assert teams_on_hold(scene.documents) == {"vision"}
    scene.apply(Release(action="release"))
    assert teams_on_hold(scene.documents) == {"vision"}
    assert not scene.entry().on_hold, "its requests are not"
