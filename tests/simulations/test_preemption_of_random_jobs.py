"""What is stopped is allowed, needed and enough, whatever runs and waits."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hpo_dispatcher.scheduling.plan import Plan
from hpo_dispatcher.scheduling.preemption import RUNS_FOR
from hpo_dispatcher.scheduling.snapshot import SLOTS, Head, RunningJob
from tests.support.preemption_scene import decide, job
from tests.support.scheduling_scene import G5, M5, NOON, queued, started

LIMITS = {SLOTS: 8, M5: 20, G5: 12}
TEAMS = ["a", "b", "c"]
team_settings = st.fixed_dictionaries(
    {
        "guaranteed_share": st.sampled_from([0.0, 0.25, 0.33]),
        "preemptible": st.sampled_from([True, True, False]),
        "weight": st.sampled_from([0.5, 1.0, 3.0]),
        "ceiling": st.sampled_from([0.5, 1.0]),
    }
)
amounts = st.dictionaries(st.sampled_from([M5, G5]), st.integers(1, 6))
minutes = st.integers(0, 300)
# Strategies are built once: building them for each example takes longer than drawing from them.
drawn_jobs = st.fixed_dictionaries(
    {
        "team": st.sampled_from([*TEAMS, None]),
        "minutes_ago": minutes,
        "instances": amounts,
        "priority": st.integers(-1, 2),
        "resume_blocker": st.sampled_from(["", "", "", "Grid"]),
        "resumed": st.booleans(),
        "stopping": st.sampled_from([False, False, False, True]),
    }
)
drawn_heads = st.fixed_dictionaries(
    {
        "team": st.sampled_from(TEAMS),
        "minutes_ago": minutes,
        "instances": amounts,
        "priority": st.integers(-1, 3),
    }
)


drawn_scenes = st.tuples(
    st.lists(drawn_jobs, min_size=6, max_size=16),
    st.lists(drawn_heads, min_size=1, max_size=8),
    st.fixed_dictionaries(dict.fromkeys(TEAMS, team_settings)),
)


@st.composite
def scenes(draw: st.DrawFn) -> dict[str, Any]:
    """An account within its limits, and lines of requests."""
    running_jobs: list[RunningJob] = []
    held: Counter[str] = Counter()
    of_jobs, of_heads, teams = draw(drawn_scenes)
    for number, fields in enumerate(of_jobs):
        running_job = job(request_id=f"j{number}", **fields)
        if all(held[r] + running_job.needs.get(r, 0) <= most for r, most in LIMITS.items()):
            held.update(running_job.needs)
            running_jobs.append(running_job)
    heads = [queued(request_id=f"h{number}", **fields) for number, fields in enumerate(of_heads)]
    return {"heads": heads, "running": running_jobs, "teams": teams}


def decided_in(scene: dict[str, Any], **changed: Any) -> Plan:
    scene = scene | changed
    return decide(
        *scene["heads"], running=scene["running"], slots=LIMITS[SLOTS],
        instances={M5: LIMITS[M5], G5: LIMITS[G5]},
        promised=scene.get("promised", frozenset()), **scene["teams"],
    )  # fmt: skip


def used(running_jobs: list[RunningJob], heads: list[Head]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in (*running_jobs, *heads):
        total.update(each.needs)
    return total


@given(scenes())
@settings(max_examples=100, deadline=None)
def test_only_what_may_be_stopped_is_stopped_once_and_with_a_claim(scene: dict[str, Any]) -> None:
    decided = decided_in(scene)
    names = [stop.job.tuning_job_name for stop in decided.stops]
    assert len(names) == len(set(names))
    for stop in decided.stops:
        job, head = stop.job, stop.head
        assert job.team is not None
        assert scene["teams"][job.team]["preemptible"]
        assert job.resume_blocker == ""
        assert not job.stopping
        assert head.key not in started(decided)
        if job.resumed:
            assert job.started_at is not None
            assert NOON - job.started_at >= RUNS_FOR
        if job.team == head.team:
            assert job.priority < head.priority
            continue
        guaranteed = scene["teams"][job.team]["guaranteed_share"]
        of_team = [h for h in scene["running"] if h.team == job.team and not h.stopping]
        held = used(of_team, [])
        assert any(held[r] > guaranteed * LIMITS[r] for r in LIMITS.keys() & job.needs), (
            "it has borrowed"
        )
        covers = scene["teams"][head.team]["guaranteed_share"]
        own = used([h for h in scene["running"] if h.team == head.team and not h.stopping], [])
        assert all(
            own[r] + n <= covers * LIMITS[r] + 1e-9 for r, n in head.needs.items() if r in LIMITS
        )


@given(scenes())
@settings(max_examples=100, deadline=None)
def test_what_is_stopped_makes_its_heads_fit_and_none_of_it_in_vain(scene: dict[str, Any]) -> None:
    decided = decided_in(scene)
    gone = {stop.job.tuning_job_name for stop in decided.stops}
    stay = [h for h in scene["running"] if h.tuning_job_name not in gone and not h.stopping]
    served = list({stop.head.key: stop.head for stop in decided.stops}.values())
    after = used(stay, [*decided.starts, *served])
    for head in served:
        assert all(after[r] <= LIMITS[r] for r in head.needs if r in LIMITS), "all of them fit"
    # Of the last head's, each is needed: the allocation of earlier ones were balanced before it.
    for stop in decided.stops:
        if stop.head is not decided.stops[-1].head or stop.job.team == stop.head.team:
            continue
        without = used([*stay, stop.job], [*decided.starts, *served])
        assert any(without[r] > LIMITS[r] for r in LIMITS.keys() & stop.head.needs)


@given(scenes())
@settings(max_examples=100, deadline=None)
def test_nothing_more_is_stopped_while_it_drains_and_then_its_heads_start(
    scene: dict[str, Any],
) -> None:
    decided = decided_in(scene)
    served = {stop.job.tuning_job_name: stop.head.key for stop in decided.stops}
    running = [
        job(h.team, h.request_id, 0, dict(h.instances), priority=h.priority) for h in decided.starts
    ]
    waiting = [wait.head for wait in decided.waits]
    draining = [
        replace(h, stopping=True, preempted_for=served[h.tuning_job_name])
        if h.tuning_job_name in served
        else h
        for h in scene["running"]
    ]
    promised = frozenset(served.values())

    again = decided_in(scene, heads=waiting, running=[*draining, *running], promised=promised)
    assert [s for s in again.stops if s.head.key in promised] == []

    left = [h for h in draining if not h.stopping] + running
    left += [job(h.team, h.request_id, 0, dict(h.instances)) for h in again.starts]
    still = [wait.head for wait in again.waits]
    after = decided_in(scene, heads=still, running=left, promised=promised)
    assert promised <= {*started(again), *started(after)}
