"""What a plan is made from: quotas, settings, usage, budgets and what was refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from hpo_dispatcher.contract.documents.capacity import WaitKind
from hpo_dispatcher.contract.entry import HOUR, Entry, Key, RunningEntry, Status
from hpo_dispatcher.contract.errors import Unreadable
from hpo_dispatcher.contract.settings import Limits, TargetSettings, TeamSettings
from hpo_dispatcher.cycle.decision import queue_heads
from hpo_dispatcher.cycle.decision.decide import Decider, PlanMemory
from hpo_dispatcher.cycle.outcome import Decision, Observation
from hpo_dispatcher.ports import TuningJobDetail
from hpo_dispatcher.scheduling.backoff import Backoff, Delay
from hpo_dispatcher.scheduling.history.queue_counts import BEHIND
from hpo_dispatcher.scheduling.history.run_times import RunTimes, Work
from hpo_dispatcher.scheduling.snapshot import ReservationTimer
from hpoq.simulation.in_memory_ledger import MemoryDocuments
from tests.support.scheduling_scene import M5, NOON, ago

TEAMS = {"fraud": TeamSettings(), "vision": TeamSettings()}


def entry(request_id: str, team: str = "fraud", **fields: Any) -> Entry:
    given: dict[str, Any] = {
        "status": Status.QUEUED, "accepted_at": ago(20), "instances": {M5: 2}, "max_parallel": 2,
        "max_training_jobs": 2, "most_instance_seconds": HOUR,
    }  # fmt: skip
    return Entry(team=team, request_id=request_id, **(given | fields))


class Ledger:
    """A ledger with these entries in the queues."""

    def __init__(self, *queued: Entry, elsewhere: Sequence[Entry] = (), spent: int = 0) -> None:
        self.queued, self.known = queued, {each.key: each for each in (*queued, *elsewhere)}
        self.used, self.months = spent, list[str]()
        self.asked: list[tuple[str, int]] = []
        self.read_from: list[str] = []

    def heads(self, team: str, count: int) -> Sequence[Entry]:
        self.asked.append((team, count))
        return [each for each in self.queued if each.team == team][:count]

    def queued_from(self, team: str, sort_key: str, count: int) -> Sequence[Entry]:
        self.read_from.append(sort_key)
        return ()

    def get_all(self, keys: Sequence[Key]) -> Mapping[Key, Entry]:
        return {key: self.known[key] for key in keys if key in self.known}

    def spent(self, month: str) -> Mapping[str, int]:
        self.months.append(month)
        return {"fraud": self.used}


class Quotas:
    """Quotas that AWS has raised since they were read."""

    def __init__(self, known: dict[str, int], newer: dict[str, int] | None = None) -> None:
        self.known, self.newer = known, newer or known
        self.ages: list[timedelta] = []

    def training_instances(self, max_age: timedelta) -> Mapping[str, int]:
        self.ages.append(max_age)
        return self.newer if max_age <= timedelta(hours=1) else self.known


def memory(**fields: Any) -> PlanMemory:
    given: dict[str, Any] = {
        "reservation_timers": {}, "backoff": Backoff(), "run_times": RunTimes(), "usage": {},
        "usage_at": None,
    }  # fmt: skip
    return PlanMemory(**(given | fields))


def decide(
    ledger: Ledger,
    *,
    active: Sequence[RunningEntry] = (),
    ended: Sequence[tuple[RunningEntry, TuningJobDetail]] = (),
    remembered: PlanMemory | None = None,
    quotas: Quotas | None = None,
    teams: Mapping[str, TeamSettings] = TEAMS,
    limits: Limits | None = None,
    now: datetime = NOON,
    target_settings: Mapping[str, TargetSettings] | None = None,
) -> Decision:
    fakes: dict[str, Any] = {
        "requests": ledger, "documents": MemoryDocuments(), "tuning": None,
        "quotas": quotas or Quotas({}),
    }  # fmt: skip
    decider = Decider(
        teams=teams,
        limits=limits or Limits(tuning_jobs=9),
        clock=lambda: now,
        **fakes,
        target_settings=target_settings or {},
    )
    seen = Observation(listed={}, active=active, ended=ended, missing=())
    return decider.decide(seen, [], remembered or memory())


def started(decided: Decision) -> list[str]:
    return [head.request_id for head in decided.plan.starts]


def kinds(decided: Decision) -> dict[str, WaitKind]:
    return {wait.head.request_id: wait.reason.kind for wait in decided.plan.waits}


def running(name: str, **fields: Any) -> RunningEntry:
    given: dict[str, Any] = {
        "team": "fraud", "request_id": name, "status": Status.IN_PROGRESS, "instances": {M5: 2},
        "started_at": ago(60), "most_instance_seconds": 2 * HOUR,
    }  # fmt: skip
    return RunningEntry(tuning_job_name=name, **(given | fields))


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, {M5: 10, "ml.c5.xlarge": 4}),
        ({"instances": {M5: 6}}, {M5: 6, "ml.c5.xlarge": 4}),  # the settings replace a quota
        ({"headroom": {M5: 3}}, {M5: 7, "ml.c5.xlarge": 4}),
        ({"headroom": {M5: 11}}, {M5: 0, "ml.c5.xlarge": 4}),
        ({"headroom": {"ml.p3.2xlarge": 3}}, {M5: 10, "ml.c5.xlarge": 4}),
    ],
)
def test_the_limits_are_the_quotas_and_the_settings_without_the_headroom(
    limits: dict[str, Any], expected: dict[str, int]
) -> None:
    quotas = Quotas({M5: 10, "ml.c5.xlarge": 4})
    decided = decide(Ledger(), quotas=quotas, limits=Limits(tuning_jobs=9, **limits))
    assert decided.capacity.instances == expected
    assert decided.capacity.tuning_jobs == 9
    assert quotas.ages == [timedelta(days=1)]


def test_a_plan_knows_who_may_use_home_and_how_much_it_is_preferred() -> None:
    home = TargetSettings(teams=("vision",), preference=0.5)
    capacity = decide(Ledger(), target_settings={"home": home}).capacity
    assert (capacity.teams, capacity.preference) == (("vision",), 0.5)
    capacity = decide(Ledger()).capacity
    assert (capacity.teams, capacity.preference) == ((), 1.0)


def test_quotas_are_read_again_if_a_request_needs_more_than_they_were() -> None:
    quotas = Quotas({M5: 1}, {M5: 8})
    decided = decide(Ledger(entry("large")), quotas=quotas)
    assert quotas.ages == [timedelta(days=1), timedelta(hours=1)]
    assert decided.capacity.instances == {M5: 8}
    assert started(decided) == ["large"]
    still = decide(Ledger(entry("large")), quotas=Quotas({M5: 1}))
    assert kinds(still) == {"large": WaitKind.NEVER_FITS}


def test_as_many_heads_are_read_as_could_start_and_ten_more() -> None:
    ledger = Ledger()
    decide(ledger, active=[running(f"j{n}") for n in range(3)])
    assert ledger.asked == [("fraud", 6 + 10), ("vision", 6 + 10)]
    ledger.asked.clear()
    decide(ledger, active=[running(f"j{n}") for n in range(12)])
    assert ledger.asked == [("fraud", 10), ("vision", 10)]


def test_a_long_queue_is_read_on_where_the_last_cycle_has_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queue_heads, "MOST_HEADS", 25)
    ledger = Ledger(*(entry(f"r{n:02}") for n in range(25)))
    position = entry("r77").queue_sort_key
    decide(ledger, quotas=Quotas({M5: 1}), remembered=memory(read_up_to={"fraud": position}))
    assert {*ledger.read_from} == {position + BEHIND}


def test_a_request_that_cannot_be_read_is_named_and_its_slot_goes_to_the_next() -> None:
    damaged = entry("a", request_json="{", accepted_at=ago(30))
    decided = decide(Ledger(damaged, entry("b")), limits=Limits(tuning_jobs=1))
    assert started(decided) == ["b"]
    with pytest.raises(Unreadable) as unreadable:
        _ = damaged.request
    assert decided.problems == (str(unreadable.value),)


def test_a_request_is_expected_to_run_as_long_as_recent_ones_of_its_template() -> None:
    run_times = RunTimes()
    for _ in range(20):
        for template, seconds in (("short", 600), ("long", 1200)):
            run_times.record(Work(team="fraud", template=template, rounds=1), seconds)
    ledger = Ledger(*(entry(name, template=name) for name in ("long", "short")))
    (long, short) = decide(ledger, remembered=memory(run_times=run_times)).plan.starts
    assert (long.expected_seconds, short.expected_seconds) == (1200, 600)


def delayed(retry_at: datetime) -> Delay:
    return Delay(kind=WaitKind.ACCOUNT_FAULT, since=ago(90), tries=1, retry_at=retry_at)


def test_a_refused_request_waits_with_its_timer_and_hides_none_behind_it() -> None:
    timer = ReservationTimer(since=ago(50))
    waits = Backoff(requests={("fraud", "a"): delayed(ago(-5))})
    ledger = Ledger(entry("a"), entry("b"))
    decided = decide(
        ledger, remembered=memory(backoff=waits, reservation_timers={("fraud", "a"): timer})
    )
    assert ledger.asked[0] == ("fraud", 9 + 10 + 1)
    assert (started(decided), kinds(decided)) == (["b"], {"a": WaitKind.ACCOUNT_FAULT})
    assert decided.plan.reservation_timers[("fraud", "a")] == timer
    assert decided.backoff == waits


def test_a_refused_request_that_was_withdrawn_or_has_ended_is_forgotten() -> None:
    names = ("held", "ended", "gone", "far")
    waits = Backoff(requests={("fraud", name): delayed(ago(-5)) for name in names})
    elsewhere = [
        entry("held", on_hold=True), entry("ended", status=Status.CANCELLED), entry("far")
    ]  # fmt: skip
    decided = decide(Ledger(elsewhere=elsewhere), remembered=memory(backoff=waits))
    assert decided.backoff.requests.keys() == {("fraud", "far")}


def test_use_since_the_last_cycle_is_added_until_the_end_of_each_job() -> None:
    """Two of ten instances for an hour are a fifth of an hour of the account."""
    gone = running("gone", team="vision")
    detail = TuningJobDetail(
        name="gone", status=Status.COMPLETED, counters={}, best=None, ended_at=ago(30),
        failure_reason="",
    )  # fmt: skip
    decided = decide(
        Ledger(), active=[running("a"), gone], ended=[(gone, detail)],
        remembered=memory(usage_at=ago(60), usage={}), quotas=Quotas({M5: 10}),
        limits=Limits(tuning_jobs=100, usage_half_life_hours=100_000),
    )  # fmt: skip
    assert decided.usage == pytest.approx({"fraud": 0.2, "vision": 0.1}, rel=0.01)


def test_before_the_first_cycle_nothing_was_used() -> None:
    assert decide(Ledger(), active=[running("a")]).usage == {}


BUDGET = {"fraud": TeamSettings(monthly_instance_hours=4), "vision": TeamSettings()}


@pytest.mark.parametrize(("spent", "waits"), [(1, []), (1.1, ["b"])])
def test_a_budget_counts_what_ended_what_runs_and_what_may_start(
    spent: float, waits: list[str]
) -> None:
    """4 hours: 2 are set aside for the running job, and each request may use one."""
    ledger = Ledger(entry("b"), entry("v", "vision"), spent=round(spent * HOUR))
    decided = decide(ledger, active=[running("a")], teams=BUDGET)
    assert [name for name, kind in kinds(decided).items() if kind is WaitKind.TEAM_BUDGET] == waits
    assert ledger.months == ["2026-11"]
    assert decided.budgets.keys() == {"fraud"}
    assert decided.budgets["fraud"].set_aside == 2 * HOUR


def test_a_job_that_has_ended_counts_with_what_it_used() -> None:
    job = running("a", started_at=ago(30))
    detail = TuningJobDetail(
        name="a", status=Status.COMPLETED, counters={}, best=None, ended_at=None, failure_reason=""
    )
    decided = decide(Ledger(), active=[job], ended=[(job, detail)], teams=BUDGET)
    assert (decided.budgets["fraud"].spent, decided.budgets["fraud"].set_aside) == (HOUR, 0)


def test_without_budgets_nothing_about_them_is_read() -> None:
    ledger = Ledger(entry("a"))
    assert decide(ledger).budgets == {}
    assert ledger.months == []


def test_a_promised_request_goes_first_whoevers_turn_it_is() -> None:
    ledger = Ledger(entry("f"), replace(entry("v", "vision"), accepted_at=ago(1)))
    stopping = running("x", preempted_for=("vision", "v"), status=Status.STOPPING)
    decided = decide(ledger, active=[stopping], limits=Limits(tuning_jobs=2))
    assert started(decided) == ["v"]


# What hides what


def test_requests_that_could_all_start_are_read_no_farther_than_the_slots_reach() -> None:
    ledger = Ledger(*(entry(f"r{n:02}") for n in range(60)))
    decided = decide(ledger)
    assert ledger.asked == [("fraud", 9 + 10), ("vision", 9 + 10)]
    assert len(started(decided)) == 9


def test_the_queue_of_a_full_account_is_read_no_farther_than_it_is_explained() -> None:
    ledger = Ledger(*(entry(f"r{n:02}") for n in range(60)))
    decided = decide(ledger, active=[running(f"j{n}") for n in range(9)])
    assert ledger.asked == [("fraud", 10), ("vision", 10)]
    assert (started(decided), len(decided.plan.waits)) == ([], 10)


def test_requests_beyond_the_budget_hide_none_that_it_allows() -> None:
    large = [entry(f"r{n:02}", most_instance_seconds=9 * HOUR) for n in range(60)]
    ledger = Ledger(*large, entry("small", accepted_at=ago(1)))
    decided = decide(ledger, teams=BUDGET)
    assert started(decided) == ["small"]
    assert len(kinds(decided)) == len(large)


def test_every_request_that_cannot_be_read_is_named_and_makes_room() -> None:
    """One slot: the second one is only planned once the first one is left out."""
    damaged = [entry(name, request_json="{", accepted_at=ago(30)) for name in "ab"]
    decided = decide(Ledger(*damaged, entry("c")), limits=Limits(tuning_jobs=1))
    assert started(decided) == ["c"]
    assert [problem.split(":")[0] for problem in decided.problems] == [
        "ledger row fraud/a", "ledger row fraud/b"
    ]  # fmt: skip
