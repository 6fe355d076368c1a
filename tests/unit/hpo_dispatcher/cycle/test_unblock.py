"""What becomes of requests that wait for others."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from hpo_dispatcher.contract.documents.capacity import CapacityDocument
from hpo_dispatcher.contract.entry import Entry, Key, Status
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from hpo_dispatcher.cycle import reconcile
from hpo_dispatcher.cycle.outcome import ReconcileOutcome
from hpoq.simulation.in_memory_ledger import MemoryRequests
from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload
from tests.support.reconcile_scene import BROKEN, DEMAND, EU, INVALID, RANGES, ended, entry, scene
from tests.support.scheduling_scene import M5, NOON, ago
from tests.support.unreliable_dispatcher import ample


def test_requests_whose_parents_have_ended_are_reported_as_they_are_in_their_queue() -> None:
    at = scene(ended("p"), entry("a", after=["p"]), entry("b", warm_start_from=["p"]))
    outcome = at.unblock()
    assert at.queue() == ["a", "b"]
    assert outcome.queued == [at["a"], at["b"]]
    assert [(each.blocked, each.reason) for each in outcome.queued] == [(False, "")] * 2
    assert (outcome.changes, outcome.broken_templates) == ([], 0)


def test_a_request_on_hold_waits_for_its_team_once_its_parents_have_ended() -> None:
    at = scene(ended("p"), entry("a", after=["p"], on_hold=True), entry("b", after=["p"]))
    assert [each.request_id for each in at.unblock().queued] == at.queue() == ["b"]
    assert (at["a"].blocked, at["a"].on_hold) == (False, True)


def test_requests_whose_templates_are_broken_are_counted_and_keep_none_of_the_others() -> None:
    broken = [
        entry(name, after=["p"], template=BROKEN, max_parallel=0, instances={}) for name in "abc"
    ]
    at = scene(ended("p"), *broken, entry("d", after=["p"]))
    outcome = at.unblock()
    assert outcome.broken_templates == 3
    assert [each.request_id for each in outcome.queued] == ["d"]
    assert [at[name].blocked for name in "abc"] == [True] * 3


def test_a_request_joins_its_queue_with_the_demand_under_the_fixed_template() -> None:
    at = scene(ended("p"), entry("a", after=["p"], max_parallel=0, instances={}))
    assert [each.max_parallel for each in at.unblock().queued] == [DEMAND]
    assert (at["a"].max_parallel, at["a"].instances) == (DEMAND, {M5: 1})


def test_a_request_that_is_invalid_under_the_fixed_template_is_rejected_when_it_starts() -> None:
    at = scene(ended("p"), entry("a", after=["p"], template=INVALID, max_parallel=0))
    assert [each.request_id for each in at.unblock().queued] == ["a"]
    assert at["a"].max_parallel == 0


def test_requests_that_can_never_start_end_now_and_keep_none_of_the_others() -> None:
    at = scene(
        ended("failed", status=Status.FAILED), ended("here"), ended("there", target=EU),
        entry("a", after=["failed"]), entry("b", warm_start_from=["here", "there"]),
        entry("c", after=["d"]), entry("d", after=["c"]), entry("e", after=["here"]),
    )  # fmt: skip
    outcome = at.unblock()
    reasons = {
        "a": "dependency failed is Failed",
        "b": "a warm start needs parents on one target: here ran on home, there ran on eu",
        "c": "its dependencies form a cycle: c -> d -> c",
        "d": "its dependencies form a cycle: d -> c -> d",
    }
    for name, reason in reasons.items():
        assert (at[name].status, at[name].reason) == (Status.CANCELLED, reason)
        assert at[name].ended_at == NOON
    assert {each.request_id: each.reason for each in outcome.changes} == reasons
    told = {(each.previous_status, each.status, each.at) for each in outcome.changes}
    assert told == {(Status.QUEUED, Status.CANCELLED, NOON)}
    assert [each.request_id for each in outcome.queued] == ["e"]


def test_a_warm_start_runs_on_the_target_of_its_parents_and_what_only_comes_after_anywhere() -> (
    None
):
    both: dict[str, Any] = {"targets": ("home", EU)}
    at = scene(
        ended("p", target=EU), entry("warm", warm_start_from=["p"], **both),
        entry("after", after=["p"], **both),
    )  # fmt: skip
    assert {each.request_id: each.targets for each in at.unblock().queued} == {
        "warm": (EU,), "after": ("home", EU),
    }  # fmt: skip
    assert at["warm"].targets == (EU,)


@pytest.mark.parametrize(("days", "status"), [(14, Status.QUEUED), (14.1, Status.CANCELLED)])
def test_a_request_waits_for_a_parent_as_long_as_its_message_may_be_in_the_queue(
    days: float, status: Status
) -> None:
    """A message stays 14 days in its queue: SetQueueAttributes in the SQS API reference."""
    at = scene(entry("a", after=["gone"], accepted_at=ago(days * 24 * 60)))
    at.unblock()
    assert at["a"].status is status
    assert ("did not arrive within 14 days" in at["a"].reason) is (status is Status.CANCELLED)


def test_a_warm_start_that_sagemaker_would_refuse_ends_before_its_parent_has_ended() -> None:
    other = {
        "request_id": "a", "hyperparameter_ranges": {"depth": RANGES["lr"]},
        "warm_start_from": ["p"],
    }  # fmt: skip
    at = scene(
        ended("p", status=Status.IN_PROGRESS),
        entry("a", warm_start_from=["p"], request_json=json.dumps(other)),
        entry("b", warm_start_from=["p"]),
    )  # fmt: skip
    at.unblock()
    assert (at["a"].status, at["b"].status) == (Status.CANCELLED, Status.QUEUED)
    assert at["a"].reason == "warm start from p: it searched lr, which this request lacks"


def test_where_nothing_waits_no_entry_is_read() -> None:
    at = scene(ended("p"), entry("a"))
    assert at.unblock() == ReconcileOutcome(changes=[], queued=[], broken_templates=0)
    assert at.ledger.calls["dynamodb:BatchGetItem"] == 0


def test_a_request_behind_one_that_is_blocked_waits_for_it() -> None:
    at = scene(
        ended("p"), entry("a", after=["p"]), entry("b", after=["a"]), entry("c", after=["a", "p"])
    )
    assert [each.request_id for each in at.unblock().queued] == ["a"]
    assert at.unblock().queued == []


def test_a_request_that_was_cancelled_meanwhile_keeps_none_of_the_others() -> None:
    at = scene(
        ended("p"), entry("a", after=["p"]), entry("b", after=["p"]), entry("c", after=["p"])
    )
    real = at.ledger

    class Meanwhile:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def get_all(self, keys: Sequence[Key]) -> Mapping[Key, Entry]:
            found = dict(real.get_all(keys))
            found.pop(("fraud", "a"), None)  # its row has expired
            if ("fraud", "b") in found:
                found["fraud", "b"] = replace(found["fraud", "b"], status=Status.CANCELLED)
            return found

    requests: Any = Meanwhile()
    at.reconciler = replace(at.reconciler, requests=requests)
    assert [each.request_id for each in at.unblock().queued] == ["c"]


# More requests wait for others than a cycle reads


class Reads:
    """A ledger that records which blocked requests are read team by team."""

    def __init__(self, requests: MemoryRequests) -> None:
        self._requests = requests
        self.read: list[tuple[str, list[str]]] = []
        self.most: set[int | None] = set()  # that may be read at once

    def __getattr__(self, name: str) -> Any:
        return getattr(self._requests, name)

    def blocked(self, count: int | None = None) -> Any:
        self.most.add(count)
        return self._requests.blocked(count)

    def blocked_of(self, team: str, after: str, count: int) -> Any:
        found = self._requests.blocked_of(team, after, count)
        self.read.append((team, [each.request_id for each in found]))
        return found


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a cycle read fewer blocked requests."""
    monkeypatch.setattr(reconcile, "BLOCKED_READ", 6)
    monkeypatch.setattr(reconcile, "BLOCKED_OF_TEAM", 3)


def waiting(team: str, count: int) -> list[Entry]:
    return [entry(f"A{n}", team, after=["p"]) for n in range(count)]


@pytest.mark.usefixtures("few_at_once")
def test_each_cycle_reads_on_in_each_team_and_begins_again_at_its_end() -> None:
    at = scene(*waiting("fraud", 7), *waiting("vision", 3), *waiting("nlp", 1),
               teams=("fraud", "vision", "nlp"))  # fmt: skip
    requests: Any = Reads(at.ledger)
    at.reconciler = replace(at.reconciler, requests=requests)
    for _ in range(4):
        at.unblock()
    of = {
        team: [read for each, read in requests.read if each == team]
        for team in ("fraud", "vision", "nlp")
    }
    assert requests.most == {6 + 1}
    first = ["A0", "A1", "A2"]
    assert of["fraud"] == [first, ["A3", "A4", "A5"], ["A6"], first]
    assert of["vision"] == [first, [], first, []]
    assert of["nlp"] == [["A0"]] * 4


@pytest.mark.usefixtures("few_at_once")
def test_the_requests_of_every_team_that_were_read_join_their_queues() -> None:
    parents = [ended("p", team) for team in ("fraud", "vision")]
    at = scene(*parents, *waiting("fraud", 7), *waiting("vision", 2))
    at.unblock()
    assert (at.queue("fraud"), at.queue("vision")) == (["A0", "A1", "A2"], ["A0", "A1"])


@pytest.mark.usefixtures("few_at_once")
@pytest.mark.parametrize(("count", "joined"), [(6, 6), (7, 3)])
def test_while_few_wait_all_of_them_are_read(count: int, joined: int) -> None:
    at = scene(ended("p"), *waiting("fraud", count))
    assert len(at.unblock().queued) == joined


# What is published about it


@pytest.mark.parametrize("arrives_after_the_end", [False, True])
def test_a_request_that_joins_its_queue_behind_what_a_cycle_reads_is_counted(
    arrives_after_the_end: bool,
) -> None:
    """Of a long queue, a cycle only reads the first requests, and counts those that move."""
    names = [f"r{n:02}" for n in range(40)]
    parent = Arrival(at=0, team="fraud", request_id="p", seconds=60, priority=1)
    before = [Arrival(at=0, team="fraud", request_id=name, seconds=3600) for name in names]
    last = Arrival(at=0, team="fraud", request_id="z", seconds=60, priority=-1, after=("p",))
    workload = Workload(name="w", arrivals=[parent, *before, last], teams={"fraud": {}}, slots=1)
    account = Simulation(workload)

    def counted() -> int:
        account.dispatcher.run(ample())
        document = CapacityDocument.parse(account.documents.get(CAPACITY_DOCUMENT))
        assert document is not None
        return document.queues["fraud"].queued

    for each in (parent, *before, *[last] * (not arrives_after_the_end)):
        account.send(each)
    assert counted() == len(names)
    account.clock.wait(61)
    account.sagemaker.end_due()
    if arrives_after_the_end:
        assert counted() == len(names) - 1, "one has started instead of p"
        account.send(last)
    assert counted() == account.requests.queue_length("fraud") == len(names)
