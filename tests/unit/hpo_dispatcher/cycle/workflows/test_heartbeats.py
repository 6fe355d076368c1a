"""Heartbeats are sent at intervals, however many steps wait and however often cycles run."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hpo_dispatcher.contract.workflows.answers import OwedAnswer, WorkflowFailure
from hpo_dispatcher.contract.workflows.callbacks import Callback, CallbackKind
from hpo_dispatcher.cycle.workflows.heartbeats import (
    INTERVAL,
    MOST_REMEMBERED,
    SpacedHeartbeats,
)
from hpo_dispatcher.ports import Reply, Unavailable
from hpoq.simulation.in_memory_workflows import MemoryWorkflows
from tests.support.waiting_workflows import task_token

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def owed(name: str) -> OwedAnswer:
    callback = Callback(kind=CallbackKind.STEP_FUNCTIONS, token=task_token(name))
    return OwedAnswer(callback=callback, team="fraud", request_id=name)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def services() -> MemoryWorkflows:
    memory = MemoryWorkflows()
    for name in "ab":
        memory.wait(task_token(name))
    return memory


def test_cycles_that_follow_each_other_send_one_heartbeat_for_each_step(
    services: MemoryWorkflows, clock: Clock
) -> None:
    spaced = SpacedHeartbeats(services, clock)
    for _ in range(5):
        for name in "ab":
            assert spaced.heartbeat(owed(name)) is Reply.TAKEN
        clock.now += timedelta(seconds=30)
    assert services.heartbeats == {task_token("a"): 1, task_token("b"): 1}
    clock.now = NOON + INTERVAL
    spaced.heartbeat(owed("a"))
    assert services.heartbeats == {task_token("a"): 2, task_token("b"): 1}


def test_every_scheduled_cycle_sends_one(services: MemoryWorkflows, clock: Clock) -> None:
    spaced = SpacedHeartbeats(services, clock)
    for _ in range(3):
        spaced.heartbeat(owed("a"))
        clock.now += timedelta(minutes=10)
    assert services.heartbeats == {task_token("a"): 3}


def test_a_heartbeat_that_was_not_taken_is_sent_again(
    services: MemoryWorkflows, clock: Clock
) -> None:
    class Failing(MemoryWorkflows):
        def heartbeat(self, owed: OwedAnswer) -> Reply:
            raise Unavailable("states:SendTaskHeartbeat: ThrottlingException")

    with pytest.raises(Unavailable):
        SpacedHeartbeats(Failing(), clock).heartbeat(owed("a"))
    spaced = SpacedHeartbeats(services, clock)
    gone = replace(owed("a"), callback=owed("gone").callback)
    assert [spaced.heartbeat(gone) for _ in range(2)] == [Reply.NOBODY_WAITS] * 2


def test_an_answer_is_never_held_back(services: MemoryWorkflows, clock: Clock) -> None:
    spaced = SpacedHeartbeats(services, clock)
    spaced.heartbeat(owed("a"))
    failure = WorkflowFailure(error="Hpoq.Failed", cause="no data")
    assert spaced.fail(owed("a"), failure) is Reply.TAKEN
    assert services.answered == [(task_token("a"), failure)]


def test_however_many_steps_wait_each_gets_one_heartbeat_and_old_ones_are_forgotten(
    clock: Clock,
) -> None:
    class Taking(MemoryWorkflows):
        sent = 0

        def heartbeat(self, owed: OwedAnswer) -> Reply:
            self.sent += 1
            return Reply.TAKEN

    services = Taking()
    spaced = SpacedHeartbeats(services, clock)
    early, late = ([owed(f"{when}-{n}") for n in range(MOST_REMEMBERED // 2)] for when in "el")
    for steps in (early, late):
        for each in steps:
            spaced.heartbeat(each)
        clock.now += INTERVAL / 2
    assert services.sent == MOST_REMEMBERED
    spaced.heartbeat(owed("one more"))  # the early ones are forgotten
    for each in late:
        spaced.heartbeat(each)
    assert services.sent == MOST_REMEMBERED + 1
    for each in early:
        spaced.heartbeat(each)
    assert services.sent == MOST_REMEMBERED + 1 + len(early)
