"""What a team may ever use of a resource, what is left of it, and how loaded it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hpo_dispatcher.contract.aws_limits import ALL_INSTANCES
from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.allocation import Allocation
from hpo_dispatcher.scheduling.snapshot import SLOTS, Head
from tests.support.scheduling_scene import G5, M5, queued, running

LIMITS = {SLOTS: 10, M5: 20}
TEAMS = {
    "capped": TeamSettings(ceiling=0.5),
    "open": TeamSettings(),
    "owner": TeamSettings(guaranteed_share=0.5, lend=0.2),  # never lends 6 of the 20 instances
}


FOUR = {SLOTS: 1, M5: 4, ALL_INSTANCES: 4}


def allocation(*, foreign: int = 0, ours: int = 0, owner: int = 0) -> Allocation:
    """Return an allocation in which so many instances are in use."""
    used = [(None, foreign), ("open", ours), ("owner", owner)]
    jobs = [job for team, n in used if n for job in running(team, 1, {M5: n})]
    return Allocation(LIMITS, TEAMS, jobs)


def needs(team: str, m5: int) -> Head:
    return queued(team, "r", 0, {M5: m5})


@pytest.mark.parametrize(
    ("team", "foreign", "most"),
    [
        ("capped", 0, 10),  # its ceiling
        ("open", 0, 14),  # what the owner lends
        ("unknown", 0, 14),
        ("owner", 0, 20),
        ("open", 5, 9),  # jobs of other users of the account may never end
        ("capped", 5, 9),
        ("capped", 4, 10),
        ("owner", 5, 15),
    ],
)
@pytest.mark.parametrize("ours", [0, 20])
def test_what_a_request_needs_can_be_met_if_it_fits_once_all_our_jobs_have_ended(
    team: str, foreign: int, most: int, ours: int
) -> None:
    of = allocation(foreign=foreign, ours=ours)
    assert of.can_be_met(needs(team, most))
    assert not of.can_be_met(needs(team, most + 1))


def test_a_type_without_a_limit_can_always_be_met() -> None:
    assert allocation().can_be_met(queued("capped", "r", 0, {G5: 99}))


@pytest.mark.parametrize(
    ("team", "most"), [("capped", 10), ("open", 14), ("unknown", 14), ("owner", 20)]
)
def test_what_exceeds_the_most_that_a_team_may_use_is_impossible(team: str, most: int) -> None:
    of = allocation(foreign=20)
    assert of.at_most(team, M5) == most
    assert of.impossible(needs(team, most)) == []
    assert of.impossible(needs(team, most + 1)) == [M5]


@pytest.mark.parametrize(
    ("team", "left"), [("capped", 8), ("open", 2), ("unknown", 8), ("owner", 8)]
)
def test_what_is_left_for_a_team_is_free_and_within_what_it_may_use(team: str, left: int) -> None:
    """12 of 20 instances are in use by team open, which may use two more."""
    of = allocation(ours=12)
    assert of.left_for(team)[M5] == left


@pytest.mark.parametrize(("owner", "free"), [(0, 4), (3, 4), (6, 4), (8, 2)])
def test_what_a_team_never_lends_is_free_for_itself_only_as_far_as_it_does_not_use_it(
    owner: int, free: int
) -> None:
    """10 of 20 instances are in use by team open; six belong to the owner alone."""
    of = allocation(ours=10, owner=owner)
    assert of.has_free(needs("open", free))
    assert not of.has_free(needs("open", free + 1))
    assert of.has_free(needs("owner", 10 - owner))
    assert not of.has_free(needs("owner", 11 - owner))
    unlent = ["owner"] if owner < 6 else []
    assert of.unlent_by_others(needs("open", 1), M5) == unlent
    assert of.unlent_by_others(needs("owner", 1), M5) == []


def test_a_released_job_frees_its_capacity_until_it_is_restored() -> None:
    (job,) = running("owner", 1, {M5: 8})
    of = Allocation(LIMITS, TEAMS, [job, *running("open", 1, {M5: 10})])
    for _ in range(2):
        assert of.has_free(needs("open", 2))
        assert not of.has_free(needs("open", 3))
        assert of.share("owner") == 0.4
        of.release(job)
        assert of.has_free(needs("owner", 10))
        assert of.has_free(needs("open", 4)), "the owner lends no more than that"
        assert not of.has_free(needs("open", 5))
        assert of.share("owner") == 0.0
        of.restore(job)


def test_the_share_of_a_team_is_the_largest_part_of_any_limit() -> None:
    jobs = [*running("open", 3), *running("capped", 1, {M5: 12}), *running("owner", 1, {G5: 99})]
    of = Allocation(LIMITS | {"none": 0}, TEAMS, jobs)
    shares = {team: of.share(team) for team in ("open", "capped", "owner", "unknown", None)}
    assert shares == {"open": 0.3, "capped": 0.6, "owner": 0.1, "unknown": 0.0, None: 0.0}


def test_the_load_of_a_request_is_the_fullest_of_what_it_needs() -> None:
    of = Allocation(LIMITS | {G5: 4}, {}, [*running("open", 2), *running("open", 1, {M5: 10})])
    assert of.load(queued("open", "r")) == 0.3
    assert of.load(needs("open", 1)) == 0.5
    of.reserve(needs("open", 4))
    assert of.load(needs("open", 1)) == 0.7
    assert of.load(queued("open", "r", 0, {G5: 1})) == 0.4, "three in use and one reserved"


def test_what_starts_gives_up_its_reservation_and_uses_what_it_needs() -> None:
    of, head = allocation(), needs("capped", 4)
    of.reserve(head)
    assert not of.has_free(needs("open", 11))
    of.admit(head)
    assert (len(of.reservations), +of.reservations.total) == (0, {})
    assert of.by_team["capped"] == FOUR
    assert of.has_free(needs("open", 10))
    assert not of.has_free(needs("open", 11))


@pytest.mark.parametrize("lacking", [True, False])
def test_what_is_owed_keeps_no_slot_and_no_total_while_its_instances_are_not_free(
    lacking: bool,
) -> None:
    of, head = allocation(ours=17 if lacking else 16), needs("owner", 4)
    of.reserve_owed(head)
    (reservation,) = of.reservations
    assert reservation.amounts == ({M5: 4} if lacking else FOUR)
    assert reservation.of_team == FOUR


def test_what_cannot_be_met_is_neither_reserved_as_owed_nor_as_overdue() -> None:
    of, head = allocation(foreign=18), needs("owner", 3)
    of.reserve_owed(head)
    of.reserve_overdue(head)
    assert len(of.reservations) == 0


def test_what_jobs_are_stopped_for_is_kept_whole_even_if_less_was_kept_before() -> None:
    of, head = allocation(ours=17), needs("owner", 4)
    of.reserve_owed(head)
    of.reserve_freed(head)
    (reservation,) = of.reservations
    assert reservation.amounts == FOUR
    other = replace(head, request_id="other")
    of.reserve_freed(other)
    assert [each.head for each in of.reservations] == [head, other]
    assert of.reservations.total == {M5: 8, SLOTS: 2, ALL_INSTANCES: 8}


@pytest.mark.parametrize(
    ("in_use", "kept"),
    [
        (2, {M5: 8, ALL_INSTANCES: 8, SLOTS: 1}),  # it fits below the ceiling
        (3, {M5: 7, ALL_INSTANCES: 7}),  # its own team's job frees one, and with it the slot
        (9, {M5: 1, ALL_INSTANCES: 1}),
        (10, {}),
    ],
)
def test_of_an_overdue_request_at_its_ceiling_is_kept_what_its_own_team_does_not_free(
    in_use: int, kept: dict[str, int]
) -> None:
    of = Allocation(LIMITS, TEAMS, running("capped", 1, {M5: in_use}))
    of.reserve_overdue(needs("capped", 8))
    (reservation,) = of.reservations
    assert reservation.amounts == kept
    assert reservation.of_team == {M5: 8, ALL_INSTANCES: 8, SLOTS: 1}
