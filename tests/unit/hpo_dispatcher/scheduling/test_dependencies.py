"""When a request may start that waits for others, and when it never can."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hpo_dispatcher.contract.entry import BlockedEntry, Entry, Status
from hpo_dispatcher.scheduling.dependencies import (
    Hopeless,
    Ready,
    Verdict,
    Waiting,
    cyclic,
    graph_of,
    judge,
    may_change,
)
from tests.support.scheduling_scene import NOON

FORTNIGHT = timedelta(days=14)  # a message stays so long in its queue: SetQueueAttributes
NEVER_CAME = Hopeless("dependency p did not arrive within 14 days")


def child(*parents: str) -> BlockedEntry:
    return BlockedEntry(team="fraud", request_id="child", after=parents, warm_start_from=())


def parent(status: Status, request_id: str = "p") -> Entry:
    return Entry(team="fraud", request_id=request_id, status=status, accepted_at=NOON)


# For every state of a parent: a parent without a result ends its child, a stopped one has results.
VERDICTS: dict[Status, Verdict] = {
    Status.QUEUED: Waiting("waits for p (Queued)"),
    Status.IN_PROGRESS: Waiting("waits for p (InProgress)"),
    Status.STOPPING: Waiting("waits for p (Stopping)"),
    Status.STOPPED: Ready(),
    Status.COMPLETED: Ready(),
    Status.FAILED: Hopeless("dependency p is Failed"),
    Status.CANCELLED: Hopeless("dependency p is Cancelled"),
    Status.REJECTED: Hopeless("dependency p is Rejected"),
}


@pytest.mark.parametrize("status", Status)
def test_the_state_of_its_parent_decides_about_a_request(status: Status) -> None:
    verdict = judge(child("p"), {"p": parent(status)}, {}, waited=timedelta(days=99))
    assert verdict == VERDICTS[status]


@pytest.mark.parametrize("status", Status)
def test_a_request_is_judged_again_unless_its_parent_has_still_to_end(status: Status) -> None:
    blocked = child("p")
    graph = graph_of([blocked])
    outside = {("fraud", "p"): parent(status)}
    again = may_change(blocked, graph, outside, cyclic(graph))
    assert again is not isinstance(VERDICTS[status], Waiting)


def test_a_parent_that_is_not_in_the_ledger_is_waited_for_a_fortnight_and_no_longer() -> None:
    blocked = child("p")
    graph = graph_of([blocked])
    assert may_change(blocked, graph, {}, cyclic(graph)), "it may have waited long enough"
    assert judge(blocked, {}, {}, FORTNIGHT) == Waiting("waits for p (not in the ledger yet)")
    assert judge(blocked, {}, {}, FORTNIGHT + timedelta(seconds=1)) == NEVER_CAME


def test_one_parent_of_several_decides_only_if_it_has_no_result() -> None:
    blocked = child("done", "p")
    graph = graph_of([blocked])
    done = parent(Status.COMPLETED, "done")
    for status, verdict in VERDICTS.items():
        parents = {"done": done, "p": parent(status)}
        outside = {("fraud", name): each for name, each in parents.items()}
        assert judge(blocked, parents, {}) == verdict
        again = may_change(blocked, graph, outside, cyclic(graph))
        assert again is not isinstance(verdict, Waiting)


def test_a_request_behind_one_that_waits_itself_is_not_judged_again() -> None:
    first, second = child("p"), BlockedEntry(
        team="fraud", request_id="second", after=("child",), warm_start_from=()
    )  # fmt: skip
    graph = graph_of([first, second])
    outside = {("fraud", "p"): parent(Status.COMPLETED)}
    assert may_change(first, graph, outside, cyclic(graph))
    assert not may_change(second, graph, outside, cyclic(graph))


def test_a_parent_of_another_team_is_not_the_parent() -> None:
    blocked = child("p")
    graph = graph_of([blocked])
    outside = {("vision", "p"): parent(Status.IN_PROGRESS)}
    assert may_change(blocked, graph, outside, cyclic(graph))
