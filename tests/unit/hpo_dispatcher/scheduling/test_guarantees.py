"""What a team is guaranteed, what of it others may borrow, and that it is given back first."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.settings import parse_deployment
from hpo_dispatcher.scheduling.snapshot import SLOTS, Head, ReservationTimer, RunningJob
from tests.support.scheduling_scene import (
    G5,
    M5,
    ago,
    decide,
    heads_of,
    queued,
    reason,
    running,
    running_jobs_of,
    started,
    teams_of,
)


def test_an_idle_guarantee_is_borrowed_whole_unless_the_team_lends_less() -> None:
    heads = [queued("fraud", f"r{n}") for n in range(10)]
    assert len(decide(*heads, slots=10, vision={"guaranteed_share": 0.4}).starts) == 10


def test_what_a_team_does_not_lend_stays_free_and_the_wait_reason_says_so() -> None:
    heads = [queued("fraud", f"r{n}") for n in range(10)]
    decided = decide(*heads, slots=10, vision={"guaranteed_share": 0.4, "lend": 0.1})
    assert len(decided.starts) == 7
    assert reason(decided, "r9") == (
        "tuning jobs 7/10 in use, 1 needed; used by: fraud 7; "
        "team vision does not lend its idle share"
    )


def test_what_a_team_does_not_lend_is_its_own_to_use() -> None:
    heads = [queued("vision", f"v{n}") for n in range(4)]
    decided = decide(
        *heads,
        running=running("fraud", 7),
        slots=10,
        vision={"guaranteed_share": 0.3, "lend": 0},
    )
    assert len(decided.starts) == 3


# vision lends 4 of its 10 instances and 2 of its 5 slots; the others stay its own.
LENDS_SOME = {"guaranteed_share": 0.5, "lend": 0.2}


def test_a_request_beyond_its_teams_guarantee_may_use_what_the_team_does_not_lend() -> None:
    decided = decide(
        queued("vision", "big", 0, {M5: 11}), running=running("fraud", 7),
        slots=10, instances={M5: 20}, vision=LENDS_SOME,
    )  # fmt: skip
    assert started(decided) == [("vision", "big")]


def test_what_a_team_does_not_lend_is_free_for_it_and_not_for_an_equal_request_of_another() -> None:
    decided = decide(
        queued("fraud", "older", 50, {M5: 11}), queued("vision", "big", 0, {M5: 11}),
        running=running("fraud", 7), slots=10, instances={M5: 20}, vision=LENDS_SOME,
    )  # fmt: skip
    assert started(decided) == [("vision", "big")]


def test_a_team_that_lends_nothing_may_use_the_whole_account_itself() -> None:
    decided = decide(
        queued("vision", "all", 0, {M5: 20}), instances={M5: 20},
        vision={"guaranteed_share": 0.5, "lend": 0},
    )  # fmt: skip
    assert started(decided) == [("vision", "all")]


def test_a_team_does_not_wait_for_its_own_share_to_be_lent() -> None:
    decided = decide(
        queued("vision", "big", 0, {M5: 15}), running=running("fraud", 1, {M5: 10}),
        instances={M5: 20}, vision=LENDS_SOME,
    )  # fmt: skip
    assert reason(decided, "big") == "ml.m5.xlarge 10/20 in use, 15 needed; used by: fraud 10"


def test_what_is_reserved_for_a_team_is_part_of_what_it_does_not_lend() -> None:
    """vision keeps 10 of 20: 4 for a request that waits for another type, and 6 unused."""
    decided = decide(
        queued("vision", "waits", 9, {M5: 4, G5: 2}), queued("fraud", "f", 0, {M5: 10}),
        running=running("fraud", 1, {G5: 4}), instances={M5: 20, G5: 4},
        vision={"guaranteed_share": 0.5, "lend": 0},
    )  # fmt: skip
    assert started(decided) == [("fraud", "f")]


def test_what_a_team_holds_of_its_guarantee_is_not_kept_for_it_twice() -> None:
    heads = [queued("fraud", f"r{n}") for n in range(9)]
    decided = decide(
        *heads,
        running=running("vision", 2),
        slots=10,
        vision={"guaranteed_share": 0.4, "lend": 0},
    )
    assert len(decided.starts) == 6


def test_a_team_borrows_at_most_what_it_may_and_the_wait_reason_says_so() -> None:
    heads = [queued("fraud", f"r{n}") for n in range(10)]
    decided = decide(*heads, slots=10, fraud={"guaranteed_share": 0.2, "borrow": 0.3})
    assert len(decided.starts) == 5
    assert reason(decided, "r9") == (
        "team fraud is at its ceiling of 50%: 20% guaranteed, 30% borrowed"
    )


def test_what_others_borrowed_is_given_back_before_anybody_borrows_more() -> None:
    """Five are free; the owner needs eight: what is free is not lent out again meanwhile."""
    owner, borrower = queued("vision", "v", 0, {M5: 8}), queued("fraud", "f", 50, {M5: 1})
    decided = decide(
        borrower, owner, running=running("fraud", 3, {M5: 5}), instances={M5: 20},
        vision={"guaranteed_share": 0.5},
    )  # fmt: skip
    assert started(decided) == []
    assert reason(decided, "f") == (
        "ml.m5.xlarge 15/20 in use, 1 needed; used by: fraud 15; reserved for vision/v"
    )


def test_nothing_is_kept_at_once_for_what_goes_beyond_the_guarantee() -> None:
    owner, borrower = queued("vision", "v", 0, {M5: 11}), queued("fraud", "f", 50, {M5: 1})
    decided = decide(
        borrower, owner, running=running("fraud", 3, {M5: 4}), instances={M5: 20},
        vision={"guaranteed_share": 0.5},
    )  # fmt: skip
    assert started(decided) == [("fraud", "f")]


def test_several_requests_within_one_guarantee_are_owed_together() -> None:
    owners = [queued("vision", f"v{n}", 0, {M5: 4}) for n in range(3)]
    decided = decide(
        *owners, queued("fraud", "f", 50, {M5: 2}), running=running("fraud", 4, {M5: 4}),
        instances={M5: 20}, vision={"guaranteed_share": 0.5},
    )  # fmt: skip
    assert started(decided) == [("vision", "v0")]
    assert "reserved for vision/v1" in reason(decided, "f")
    assert "reserved for vision/v2" not in reason(decided, "f"), "12 are more than half of 20"


@pytest.mark.parametrize(("priority", "covered"), [(0, False), (1, True)])
def test_a_request_behind_one_beyond_the_guarantee_is_owed_unless_it_has_a_lower_priority(
    priority: int, covered: bool
) -> None:
    """Of 20 instances vision is guaranteed 10. Its first request needs 11, its second one 3."""
    decided = decide(
        queued("vision", "big", 9, {M5: 11}, 1), queued("vision", "v", 8, {M5: 3}, priority),
        queued("fraud", "f", 50, {M5: 2}), running=running("fraud", 1, {M5: 18}),
        instances={M5: 20}, vision={"guaranteed_share": 0.5},
    )  # fmt: skip
    assert (started(decided) == []) is covered
    assert reason(decided, "big")
    if covered:
        assert reason(decided, "f").endswith("reserved for vision/v")


def test_what_was_passed_for_long_goes_before_what_is_owed_so_neither_waits_for_the_other() -> None:
    big, owner = queued("fraud", "big", 99, {M5: 20}), queued("vision", "v", 0, {M5: 5})
    timers = {("fraud", "big"): ReservationTimer(since=ago(99), passed_at=ago(30))}
    settings = {"vision": {"guaranteed_share": 0.5}}
    decided = decide(
        big, owner, running=running("speech", 1, {M5: 1}), instances={M5: 20}, timers=timers,
        **settings,
    )  # fmt: skip
    assert started(decided) == []
    assert "kept" not in reason(decided, "big")
    assert reason(decided, "v").endswith("reserved for fraud/big")
    alone = decide(big, owner, instances={M5: 20}, timers=timers, **settings)
    assert started(alone) == [("fraud", "big")]


def test_what_needs_more_than_others_lend_never_fits_and_says_so() -> None:
    decided = decide(
        queued("fraud", "big", 0, {M5: 15}), instances={M5: 20},
        vision={"guaranteed_share": 0.5, "lend": 0.2},
    )  # fmt: skip
    assert reason(decided, "big") == (
        "needs 15 ml.m5.xlarge, team fraud may use 14 of 20: never fits"
    )


@pytest.mark.parametrize(
    ("teams", "problem"),
    [
        ({"fraud": {"guaranteed_share": 0.6}, "vision": {"guaranteed_share": 0.5}},
         "teams: the guaranteed shares of all teams add up to 1.1. "
         "Lower them to a total of at most 1"),
        ({"fraud": {"guaranteed_share": 0.2, "lend": 0.3}},
         "teams.fraud: lend 0.3 exceeds the guaranteed share 0.2. "
         "Lend at most the guaranteed share"),
        ({"fraud": {"guaranteed_share": 0.5, "ceiling": 0.4}},
         "teams.fraud: the ceiling 0.4 is below the guaranteed share 0.5. "
         "Raise the ceiling or lower the guaranteed share"),
        ({"fraud": {"borrow": 0}},
         "teams.fraud: guaranteed_share and borrow are both 0, so the team could start nothing. "
         "Raise one of them"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_kept_are_refused(teams: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        parse_deployment({"teams": teams})
    assert str(refused.value).endswith(problem)


@given(heads_of, running_jobs_of, st.integers(0, 30), st.integers(0, 30), teams_of)
def test_whatever_is_lent_and_borrowed_no_limit_and_no_ceiling_is_passed(
    heads: list[Head],
    running_jobs: list[RunningJob],
    slots: int,
    instances: int,
    teams: dict[str, dict[str, Any]],
) -> None:
    decided = decide(*heads, running=running_jobs, slots=slots, instances={M5: instances}, **teams)
    limits = {SLOTS: slots, M5: instances}
    before, after = _held(running_jobs), _held(running_jobs)
    for head in decided.starts:
        after[head.team].update(head.needs)
    for resource, limit in limits.items():
        in_use = sum(held[resource] for held in after.values())
        assert in_use <= max(limit, sum(held[resource] for held in before.values()))
        unlent = 0
        for team, fields in teams.items():
            guaranteed, lent = fields["guaranteed_share"], fields["lend"]
            most = min(1.0, guaranteed + fields.get("borrow", 1.0))
            assert after[team][resource] <= max(before[team][resource], most * limit + 1e-9)
            own = math.floor((guaranteed - lent) * limit + 1e-9)
            unlent += max(0, own - after[team][resource])
        borrowers = {h.team for h in decided.starts if _borrows(h, after, teams, limits, resource)}
        if borrowers:  # somebody started beyond what is his own: the rest is still there
            assert in_use + unlent <= limit
    accounted = [*decided.starts, *(wait.head for wait in decided.waits)]
    assert Counter(h.request_id for h in accounted) == Counter(h.request_id for h in heads)
    assert all(wait.reason.text for wait in decided.waits)


def _held(running_jobs: list[RunningJob]) -> dict[str | None, Counter[str]]:
    held: dict[str | None, Counter[str]] = {team: Counter() for team in ("a", "b", "c", None)}
    for job in running_jobs:
        held[job.team].update(job.needs)
    return held


def _borrows(
    head: Head,
    held: dict[str | None, Counter[str]],
    teams: dict[str, dict[str, Any]],
    limits: dict[str, int],
    resource: str,
) -> bool:
    """Whether the last of a team's starts took more than what it lends to nobody."""
    fields = teams[head.team]
    own = math.floor((fields["guaranteed_share"] - fields["lend"]) * limits[resource] + 1e-9)
    return resource in head.needs and held[head.team][resource] > own
