"""The texts of wait reasons, where they depend on what they name."""

from __future__ import annotations

import pytest

from hpo_dispatcher.contract.documents.capacity import WaitKind
from hpo_dispatcher.scheduling import wording
from hpo_dispatcher.scheduling.reasons import next_in_queue
from hpo_dispatcher.scheduling.wording import InUse
from tests.support.scheduling_scene import M5, NOON


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "waits for other requests to end"),
        (["a"], "waits for a to end"),
        (["b", "a", "b"], "waits for b, a to end"),
    ],
)
def test_each_request_that_is_waited_for_is_named_once(names: list[str], text: str) -> None:
    assert wording.waits_for_requests(names) == text


def test_a_request_that_starts_next_says_so() -> None:
    reason = next_in_queue()
    assert (reason.kind, reason.text) == (WaitKind.NEXT_IN_QUEUE, wording.next_in_queue())


def test_the_largest_users_come_first_and_others_after_teams_with_as_much() -> None:
    users = {None: 3, "b": 3, "a": 3, "c": 9}
    found = InUse.of(M5, 18, 20, users)
    assert found == InUse(f"{M5} 18/20 in use", "used by: c 9, a 3, b 3, others 3")
    assert InUse.of(M5, 0, 0, {}) == InUse(f"{M5} 0/0 in use", "")


@pytest.mark.parametrize(
    ("count", "names"),
    [(5, "t0 9, t1 8, t2 7, t3 6, t4 5"), (6, "t0 9, t1 8, t2 7, t3 6, t4 5, 1 more teams")],
)
def test_five_users_are_named_and_the_others_are_counted(count: int, names: str) -> None:
    users = {f"t{n}": 9 - n for n in range(count)}
    assert InUse.of(M5, 1, 1, users).users == f"used by: {names}"


@pytest.mark.parametrize(("count", "more"), [(5, False), (6, True)])
def test_five_reservations_and_five_teams_are_named(count: int, more: bool) -> None:
    text = wording.resource_in_use(
        InUse("x 1/1 in use", ""), amount=2,
        reserved_for=[("t", f"r{n}") for n in range(count)],
        unlent_by=[f"t{n}" for n in range(count)],
    )  # fmt: skip
    parts = text.split("; ")
    assert parts[0] == "x 1/1 in use, 2 needed"
    assert parts[1:6] == [f"reserved for t/r{n}" for n in range(5)]
    assert ("reserved for 1 more" in parts) is more
    assert "team t4 does not lend its idle share" in parts
    assert "team t5 does not lend its idle share" not in parts
    assert ("nor do 1 other teams" in parts) is more


@pytest.mark.parametrize(
    ("amount", "most", "text"),
    [
        (11, 10, f"needs 11 {M5}, the limit is 10: never fits"),
        (10, 5, f"needs 10 {M5}, team a may use 5 of 10: never fits"),
    ],
)
def test_what_never_fits_names_the_limit_or_the_part_of_the_team(
    amount: int, most: int, text: str
) -> None:
    assert wording.never_fits(M5, amount=amount, limit=10, team="a", most=most) == text


def test_a_total_is_counted_in_instances() -> None:
    text = wording.never_fits("all training instances", amount=9, limit=4, team="a", most=4)
    assert text == "needs 9 of all training instances, the limit is 4: never fits"


@pytest.mark.parametrize(
    ("before", "part"), [("", "jobs, up to"), ("3", "jobs, 3 for requests before it, up to")]
)
def test_a_budget_names_earlier_requests_if_there_are_any(before: str, part: str) -> None:
    text = wording.over_budget(
        "a", allowed="9", spent="1", set_aside="2", before=before, wanted="7", renewed="2026-12-01"
    )
    assert part in text
    assert text.startswith("the budget of team a is 9 instance-hours a month: 1 spent, 2 set aside")
    assert text.endswith("up to 7 needed; renewed on 2026-12-01")


def test_empty_texts_are_left_out() -> None:
    assert wording.together(["a", "", "b"]) == "a; b"


def test_times_are_in_utc() -> None:
    assert wording.already_stopped(NOON) == (
        "it was stopped before and runs until at least 12:00 UTC"
    )
    assert wording.refused_by_aws("no role", NOON) == "no role; tried again at 12:00 UTC"
