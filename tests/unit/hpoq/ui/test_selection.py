from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import BestTrainingJob, Entry, Status
from hpoq.ui.selection import NAMES, ORDERS, PAGE_SIZE, Selection, pages
from tests.support.page_scene import NOW, entry


def ids(found: Any) -> list[str]:
    return [each.request_id for each in found]


def ended(request_id: str, status: Status, minutes: int, **fields: Any) -> Entry:
    return entry(request_id, status, ended_at=NOW - timedelta(minutes=minutes), **fields)


def test_the_queue_comes_from_its_head_after_what_runs_and_before_what_ended() -> None:
    found = [
        ended("ended-first", Status.COMPLETED, 50),
        ended("ended-last", Status.FAILED, 5),
        entry("paused", on_hold=True, minutes=900),
        entry("younger", minutes=10),
        entry("older", minutes=20),
        entry("urgent", minutes=1, priority=9),
        entry("runs", Status.IN_PROGRESS, started_at=NOW),
        entry("stops", Status.STOPPING, started_at=NOW - timedelta(minutes=1)),
    ]
    assert ids(Selection().matching(found)) == [
        "stops", "runs", "urgent", "older", "younger", "paused", "ended-last", "ended-first",
    ]  # fmt: skip


def test_ten_thousand_requests_can_be_paged_through_from_the_head_of_the_queue() -> None:
    found = [entry(f"r{n:05}", minutes=10_000 - n) for n in range(10_000)]
    seen: list[str] = []
    chosen = Selection()
    matching = chosen.matching(found[::-1])
    for number in range(1, pages(len(matching)) + 1):
        chosen = Selection.of({"page": str(number)})
        seen += ids(chosen.on_page(matching))
    assert seen == ids(found)
    assert pages(len(found)) == 10_000 / PAGE_SIZE


FILTERS = [
    ({"team": "vision"}, ["seen"]),
    ({"status": "Failed"}, ["broken"]),
    ({"text": "BROK"}, ["broken"]),  # ids
    ({"text": "out of memory"}, ["broken"]),  # reasons
    ({"text": "fraud-xy"}, ["tuned"]),  # tuning jobs
    ({"text": "xgboost"}, ["boosted"]),  # templates
    ({"team": "fraud", "status": "Queued", "text": "oo"}, ["boosted"]),
    ({"text": "nothing of the kind"}, []),
    ({"status": "failed; drop"}, ["boosted", "broken", "seen", "tuned"]),  # no status: ignored
]


@pytest.mark.parametrize(("query", "expected"), FILTERS)
def test_filters(query: dict[str, str], expected: list[str]) -> None:
    found = [
        entry("seen", team="vision"),
        entry("broken", Status.FAILED, reason="CUDA out of memory"),
        entry("tuned", Status.COMPLETED, tuning_job_name="fraud-xy-1"),
        entry("boosted", template="xgboost"),
    ]
    assert sorted(ids(Selection.of(query).matching(found))) == expected


def best(objective: float) -> BestTrainingJob:
    return BestTrainingJob(name="t", objective=objective, metric="auc", hyperparameters={})


def test_every_order_can_be_chosen_and_reversed() -> None:
    found = [
        entry("a", minutes=3, team="vision", best=best(0.2), started_at=NOW, ended_at=NOW),
        entry("b", minutes=2, best=best(0.9)),
        entry("c", minutes=1, team="vision"),
    ]
    for order in ORDERS:
        forth = Selection.of({"sort": order}).matching(found)
        back = Selection.of({"sort": f"-{order}"}).matching(found)
        assert ids(forth) == ids(back)[::-1]
        assert sorted(ids(forth)) == ["a", "b", "c"]
    assert ids(Selection.of({"sort": "accepted"}).matching(found)) == ["a", "b", "c"]
    assert ids(Selection.of({"sort": "best"}).matching(found)) == ["a", "b", "c"]
    assert ids(Selection.of({"sort": "team"}).matching(found)) == ["b", "a", "c"]
    assert {name.removeprefix("-") for name in NAMES} == set(ORDERS)


@pytest.mark.parametrize("page", ["", "0", "-1", "x", "²", "9" * 5000, "1.5"])
def test_a_page_number_that_makes_no_sense_is_the_first_page(page: str) -> None:
    assert Selection.of({"page": page, "sort": "password"}) == Selection()


def test_a_page_behind_the_last_one_is_the_last_one() -> None:
    assert Selection(page=900).within(120).page == 3
    assert Selection(page=900).within(0).page == 1


def test_links_keep_the_filters_and_return_to_the_first_page() -> None:
    chosen = Selection.of({"team": "a&b", "sort": "waited", "page": "7"})
    assert chosen.link(status="Failed") == "/?team=a%26b&status=Failed&sort=waited"
    assert chosen.link(page=8) == "/?team=a%26b&sort=waited&page=8"
    assert chosen.sorted_by("waited") == "/?team=a%26b&sort=-waited"
    assert chosen.direction("waited") == "ascending"
    assert Selection().link() == "/"
