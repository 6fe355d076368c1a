"""The capacity document stays small, whatever the account looks like."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo_dispatcher.contract.documents.capacity import (
    BudgetUse,
    CapacityDocument,
    QueueLength,
    RecentArrival,
    ResourceUse,
    RunningTuningJob,
    RunTimeSamples,
    TargetUse,
    WaitingRequest,
    WaitKind,
)
from hpo_dispatcher.cycle.document_size import MOST_BYTES, USERS_NAMED, fitted
from tests.support.scheduling_scene import NOON, decide, queued, running


def document(waiting: int, marks: int, kinds: int, teams: int, text: str) -> CapacityDocument:
    names = [f"team-{n:03}" for n in range(teams)]
    return CapacityDocument(
        at=NOON,
        tuning_jobs=ResourceUse(limit=100),
        instances={
            f"ml.t{n}.large": ResourceUse(limit=1000, by_team=dict.fromkeys(names, 1))
            for n in range(20)
        },
        waiting=tuple(
            WaitingRequest(
                team=names[n % teams], request_id=f"r{n}", position=1 + n // teams, reason=text,
                reason_kind=WaitKind.INSTANCES, accepted_at=NOON,
            )
            for n in range(waiting)
        ),
        queues={
            name: QueueLength(
                queued=20 * (marks // teams),
                marks=tuple((f"1000#{n:060}", 20) for n in range(marks // teams)),
            )
            for name in names
        },
        run_times=tuple(
            RunTimeSamples(team="t", template=f"t{n}", seconds_per_round=(12345.6,) * 20)
            for n in range(kinds)
        ),
    )  # fmt: skip


@pytest.mark.parametrize("text", ["in use", "reserved for " * 100, "é" * 5000])
@pytest.mark.parametrize(("marks", "kinds", "teams"), [(0, 0, 1), (500, 100, 100), (2000, 200, 9)])
def test_no_document_exceeds_its_size(text: str, marks: int, kinds: int, teams: int) -> None:
    small = fitted(document(500, marks, kinds, teams, text))
    assert len(small.to_json().encode()) <= MOST_BYTES


def test_a_document_that_is_small_enough_is_published_whole() -> None:
    whole = document(50, 100, 10, 5, "in use")
    assert fitted(whole) == whole


def test_the_first_requests_of_every_queue_are_shown_first() -> None:
    small = fitted(document(500, 500, 100, 50, "in use, " * 50))
    assert 0 < len(small.waiting) < 500
    assert [each.request_id for each in small.waiting] == [
        f"r{n}" for n in range(len(small.waiting))
    ]


def test_queue_lengths_stay_right_when_marks_are_merged() -> None:
    small = fitted(document(0, 4000, 0, 4, ""))
    for queue in small.queues.values():
        assert sum(count for _, count in queue.marks) == queue.queued


def test_a_reason_names_few_of_many_users_and_reservations() -> None:
    owed = [queued("vision", f"v{n}", 50) for n in range(90)]
    users = [job for n in range(95) for job in running(f"t{n:02}")]
    decided = decide(
        *owed, queued("fraud", "late"), running=users, slots=95, vision={"guaranteed_share": 0.9}
    )
    (wait,) = [each for each in decided.waits if each.head.team == "fraud"]
    assert len(wait.reason.text) < 300
    assert "90 more teams" in wait.reason.text


def test_the_largest_users_of_a_resource_are_named_and_of_equal_ones_the_first_by_name() -> None:
    use = {f"team-{n:03}": 1 + n % 3 for n in range(300)}
    whole = document(0, 0, 0, 1, "")
    crowded = {f"ml.t{n}.large": ResourceUse(limit=999, in_use=600, by_team=use) for n in range(40)}
    small = fitted(whole.model_copy(update={"instances": crowded}))
    assert len(small.to_json().encode()) <= MOST_BYTES
    for each in small.instances.values():
        assert each.by_team == {f"team-{n:03}": 3 for n in range(2, 2 + 3 * USERS_NAMED, 3)}
        assert (each.limit, each.in_use) == (999, 600)


@pytest.mark.parametrize("spare", [0, 1])
def test_waiting_requests_fill_the_document_to_its_last_byte(spare: int) -> None:
    whole = document(3, 0, 0, 1, "in use")
    size = len(whole.to_json().encode())
    # The list's first request has no comma before it: a byte more is counted than is needed.
    assert len(fitted(whole, size + 1).waiting) == 3
    assert len(fitted(whole, size - 1 - spare).waiting) == 2


def test_of_a_document_that_is_a_byte_too_large_the_newest_half_of_the_samples_is_kept() -> None:
    whole = document(0, 0, 8, 1, "")
    size = len(whole.to_json().encode())
    assert fitted(whole, size) == whole
    kept = fitted(whole, size - 1).run_times
    assert [each.template for each in kept] == ["t4", "t5", "t6", "t7"]


TEAMS = [f"team-{n:015}" for n in range(100)]  # as long as a team's name may be
TYPES = [f"ml.p4de{n:02}.24xlarge (spot)" for n in range(20)]
LONGEST = "x" * 64  # a request's id, or the name of a template
# A tuning job of ten training job definitions, of a type each: CreateHyperParameterTuningJob takes
# no more (API reference, TrainingJobDefinitions).
DEFINED = dict.fromkeys(TYPES[:10], 1000)


def largest(
    running: int, arrivals: int, kinds: int, marks: int, reason: str, uses: int, targets: int
) -> CapacityDocument:
    """Return the document of a hundred teams that use twenty types, with the longest names.

    Args:
        running: tuning jobs.
        arrivals: that are remembered.
        kinds: of tuning jobs whose run times are remembered.
        marks: of each team's queue.
        reason: why 500 requests wait.
        uses: teams that use each type.
        targets: besides home.
    """
    work = {"instances": DEFINED, "template": LONGEST, "rounds": 750, "most_seconds": 2592000.0}
    key = f"9999#2026-11-23T12:00:00.000000+00:00#{LONGEST}"
    slots = ResourceUse(limit=100, in_use=100, by_team=dict.fromkeys(TEAMS, 1))
    used = ResourceUse(limit=9999, in_use=9999, by_team=dict.fromkeys(TEAMS[:uses], 99))
    instances, quotas = dict.fromkeys(TYPES, used), dict.fromkeys(TYPES, 9999)
    return CapacityDocument(
        at=NOON,
        tuning_jobs=slots,
        instances=instances,
        targets={
            f"target-{n}": TargetUse(tuning_jobs=slots, instances=instances, quotas=quotas)
            for n in range(targets)
        },
        quotas=quotas,
        waiting=tuple(
            WaitingRequest(
                team=TEAMS[n % 100], request_id=LONGEST, position=1 + n // 100, reason=reason,
                accepted_at=NOON, first_since=NOON, passed_at=NOON, reserved_at=NOON, **work,
            )
            for n in range(500)
        ),
        queues={
            team: QueueLength(queued=10**6 * marks, marks=((key, 10**6),) * marks) for team in TEAMS
        },
        teams_on_hold=tuple(TEAMS),
        running=tuple(
            RunningTuningJob(team=TEAMS[n % 100], started_at=NOON, **work) for n in range(running)
        ),
        run_times=tuple(
            RunTimeSamples(
                team=TEAMS[0], template=f"{n:064}", seconds_per_round=(123456.7,) * 40,
                most_per_round=(2_592_000,) * 40, of_stated=(0.123,) * 20,
            )
            for n in range(kinds)
        ),
        arrivals=(RecentArrival(team=TEAMS[0], at=NOON, **work),) * arrivals,
        budgets={
            team: BudgetUse(month="2026-11", instance_hours=1e6 / 7, spent=1e5 / 7, set_aside=1 / 7)
            for team in TEAMS
        },
        usage=dict.fromkeys(TEAMS, 1 / 7),
    )  # fmt: skip


@settings(max_examples=20)
@given(
    running=st.integers(0, 100),
    arrivals=st.integers(0, 40),
    kinds=st.integers(0, 200),
    marks=st.integers(1, 20),
    reason=st.integers(0, 2000),
    uses=st.integers(0, 100),
    targets=st.integers(0, 5),
)
def test_a_hundred_teams_with_twenty_types_and_the_longest_names_keep_the_document_small(
    running: int, arrivals: int, kinds: int, marks: int, reason: int, uses: int, targets: int
) -> None:
    small = fitted(largest(running, arrivals, kinds, marks, "é" * reason, uses, targets))
    assert len(small.to_json().encode()) <= MOST_BYTES
    assert small.queues.keys() == small.budgets.keys() == small.usage.keys() == set(TEAMS)
    assert {team: queue.queued for team, queue in small.queues.items()} == dict.fromkeys(
        TEAMS, 10**6 * marks
    )


def test_the_largest_document_has_no_running_jobs_if_it_has_no_run_times() -> None:
    whole = largest(
        running=100, arrivals=40, kinds=200, marks=20, reason="in use", uses=100, targets=0
    )
    small = fitted(whole)
    assert len(small.to_json().encode()) <= MOST_BYTES
    assert (small.run_times, small.arrivals, small.running) == ((), (), ())
    assert small.waiting


def test_of_every_target_the_largest_users_are_named_as_of_home() -> None:
    many = {f"team-{n:03}": 1 + n % 3 for n in range(300)}
    use = ResourceUse(limit=999, in_use=600, by_team=many)
    target = TargetUse(tuning_jobs=use, instances={"ml.t1.large": use}, quotas={"ml.t1.large": 9})
    whole = document(0, 0, 0, 1, "").model_copy(update={"targets": {"eu": target, "us": target}})
    small = fitted(whole, len(whole.to_json()) - 1)
    largest_users = {f"team-{n:03}": 3 for n in range(2, 2 + 3 * USERS_NAMED, 3)}
    assert small.targets.keys() == {"eu", "us"}
    for each in small.targets.values():
        assert each.tuning_jobs == use.model_copy(update={"by_team": largest_users})
        assert each.instances == {"ml.t1.large": each.tuning_jobs}
        assert each.quotas == {"ml.t1.large": 9}


def test_what_is_missed_least_is_left_out_first() -> None:
    """Each limit is the size at which the next thing has to go."""
    whole = largest(running=9, arrivals=9, kinds=1, marks=4, reason="", uses=50, targets=1)
    whole = whole.model_copy(update={"waiting": ()})
    seen: list[tuple[int, int, int, int, int]] = []
    small = whole
    while True:
        kept = (
            len(small.run_times), len(small.instances[TYPES[0]].by_team),
            len(small.queues[TEAMS[0]].marks), len(small.arrivals), len(small.running),
        )  # fmt: skip
        if seen and kept == seen[-1]:
            break
        seen.append(kept)
        small = fitted(whole, len(small.to_json().encode()) - 1)
    assert seen == [
        (1, 50, 4, 9, 9), (0, 50, 4, 9, 9), (0, USERS_NAMED, 4, 9, 9), (0, USERS_NAMED, 2, 9, 9),
        (0, USERS_NAMED, 1, 9, 9), (0, USERS_NAMED, 1, 0, 9), (0, USERS_NAMED, 1, 0, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_marks_are_merged_in_pairs_and_the_last_one_of_an_odd_number_stays(count: int) -> None:
    marks = tuple((f"1000#{n}", 10 + n) for n in range(count))
    queues = {"fraud": QueueLength(queued=sum(n for _, n in marks), marks=marks)}
    whole = document(0, 0, 0, 1, "").model_copy(update={"queues": queues})
    small = fitted(whole, len(whole.to_json()) - 1).queues["fraud"]
    assert small.queued == queues["fraud"].queued
    if count > 1:
        assert small.marks == tuple(
            (f"1000#{n}", sum(10 + each for each in range(n, min(n + 2, count))))
            for n in range(0, count, 2)
        )
