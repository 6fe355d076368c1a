"""The reasons and counts that a cycle publishes for those who ask why a request waits."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from hpo_dispatcher.contract.entry import Status, queue_sort_key
from hpo_dispatcher.cycle.outcome import QueueMove
from hpo_dispatcher.cycle.publish import update_counts
from hpo_dispatcher.scheduling.history.queue_counts import PER_MARK, QueueCounts
from tests.support.dispatcher_account import Account
from tests.support.scheduling_scene import NOON


def published(account: Account) -> dict[str, Any]:
    import json

    document = account.dispatcher().documents.get("capacity")
    assert document is not None
    written: dict[str, Any] = json.loads(document)
    return written


def one_slot(account: Account, *request_ids: str) -> None:
    account.configure(limits={"tuning_jobs": 1})
    for request_id in request_ids:
        account.request("fraud", request_id)
    account.cycle()


def test_what_waits_is_listed_by_its_place_in_its_teams_line(account: Account) -> None:
    account.request("vision", "v")
    one_slot(account, "a", "b", "c")
    places = {(w["team"], w["request_id"]): w["position"] for w in published(account)["waiting"]}
    assert len(places) == 3
    assert sorted(place for (team, _), place in places.items() if team == "fraud")[0] == 1
    assert places.get(("vision", "v"), 1) == 1


def test_what_started_counts_as_running_and_no_longer_as_queued(account: Account) -> None:
    one_slot(account, "a", "b", "c")
    document = published(account)
    (running,) = document["running"]
    assert (running["team"], running["template"], running["rounds"]) == (
        "fraud", "credit-default-cpu", 10
    )  # fmt: skip
    assert document["queues"]["fraud"]["queued"] == 2
    assert document["queues"]["fraud"]["complete"]


def test_who_is_held_or_cancelled_leaves_the_count_and_who_is_released_comes_back(
    account: Account,
) -> None:
    account.send("fraud", {"action": "hold"})  # the team: nothing starts, nothing is read
    one_slot(account, *"abcd")
    for action, request_id in (("hold", "b"), ("cancel", "c")):
        account.send("fraud", {"action": action, "request_id": request_id})
    account.cycle()
    assert published(account)["queues"]["fraud"]["queued"] == 2
    account.send("fraud", {"action": "release", "request_id": "b"})
    account.cycle()
    assert published(account)["queues"]["fraud"]["queued"] == 3


def test_a_line_longer_than_a_cycle_reads_is_counted_all_the_same(account: Account) -> None:
    one_slot(account, *(f"r{number}" for number in range(40)))
    document = published(account)
    assert document["queues"]["fraud"]["queued"] == 39
    assert len(document["waiting"]) < 39


def test_a_request_held_in_the_drain_that_brought_it_does_not_start(account: Account) -> None:
    account.request("fraud", "a")
    account.send("fraud", {"action": "hold", "request_id": "a"})
    assert account.cycle().started == 0
    entry = account.dispatcher().requests.get("fraud", "a")
    assert entry is not None
    assert (entry.status, entry.on_hold) == (Status.QUEUED, True)


def test_a_held_request_does_not_start_when_what_it_waited_for_has_ended(
    account: Account,
) -> None:
    account.request("fraud", "child", after=["parent"])
    account.cycle()
    account.send("fraud", {"action": "hold", "request_id": "child"})
    account.cycle()
    account.request("fraud", "parent")
    account.cycle()
    account.cycle()  # moto's tuning jobs end at once
    account.cycle()
    entry = account.dispatcher().requests.get("fraud", "child")
    assert entry is not None
    assert (entry.status, entry.blocked) == (Status.QUEUED, False)


def test_a_team_on_hold_is_named(account: Account) -> None:
    account.send("fraud", {"action": "hold"})
    account.cycle()
    assert published(account)["teams_on_hold"] == ["fraud"]


def test_run_times_are_remembered_when_tuning_jobs_end(account: Account) -> None:
    account.request("fraud", "a")
    account.cycle()
    account.cycle()
    (kind,) = published(account)["run_times"]
    assert (kind["team"], kind["template"]) == ("fraud", "credit-default-cpu")
    assert len(kind["seconds_per_round"]) == 1


def test_positions_are_right_to_half_a_mark_when_requests_join_out_of_order() -> None:
    """Intake has several threads: the requests of one cycle join in any order."""
    keys = [queue_sort_key(0, NOON + timedelta(seconds=n), f"r{n}") for n in range(500)]
    moves = [QueueMove(team="fraud", sort_key=key, joined=True) for key in keys]
    random.Random(1).shuffle(moves)
    counts = QueueCounts()
    update_counts(counts, moves, {}, [])
    errors = [abs(counts.of("fraud").before(key) - number) for number, key in enumerate(keys)]
    assert max(errors) <= PER_MARK // 2
