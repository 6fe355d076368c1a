"""What the steps of a cycle report, and the numbers that are made of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hpo_dispatcher.contract.aws_limits import QuotaExceeded
from hpo_dispatcher.contract.documents.capacity import WaitKind, WaitReason
from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.cycle.outcome import (
    ActOutcome,
    AnswersOutcome,
    CycleOutcome,
    Decision,
    IntakeOutcome,
    Observation,
    QueueMove,
    ReconcileOutcome,
    Summary,
    state_change,
)
from hpo_dispatcher.ports import TuningJob
from hpo_dispatcher.scheduling.backoff import Backoff, Delay, Refusals
from hpo_dispatcher.scheduling.plan import Plan
from hpo_dispatcher.scheduling.snapshot import Capacity, Wait
from tests.support.scheduling_scene import M5, NOON, ago, queued


def entry(request_id: str, **fields: Any) -> Entry:
    given: dict[str, Any] = {
        "team": "fraud", "status": Status.QUEUED, "accepted_at": ago(5), "instances": {M5: 2}
    }  # fmt: skip
    return Entry(request_id=request_id, **(given | fields))


def taken(**fields: Any) -> IntakeOutcome:
    return IntakeOutcome(clock=lambda: NOON, **fields)


def decision(**fields: Any) -> Decision:
    given: dict[str, Any] = {
        "plan": Plan(starts=(), waits=()),
        "entries": {},
        "queues": {},
        "whole": frozenset(),
        "teams_on_hold": frozenset(),
        "running_jobs": (),
        "capacity": Capacity(tuning_jobs=9),
        "budgets": {},
    }
    return Decision(**(given | fields))


def outcome(**parts: Any) -> CycleOutcome:
    given: dict[str, Any] = {
        "taken": taken(),
        "seen": Observation(listed={}, active=(), ended=(), missing=()),
        "decided": decision(),
        "done": ActOutcome(),
        "finished": ReconcileOutcome(changes=[], queued=[]),
        "answered": AnswersOutcome(),
    }
    return CycleOutcome(**(given | parts))


def test_a_summary_counts_what_every_step_has_done() -> None:
    heads = [queued("fraud", name) for name in "abc"]
    reason = WaitReason(kind=WaitKind.TUNING_JOBS, text="full")
    intake = taken(problems=["intake"])
    counts = {
        "received": 11, "new": 5, "repeated": 2, "rejected": 3, "actions": 4, "broken_templates": 6
    }  # fmt: skip
    for what, number in counts.items():
        intake.count(what, number)
    key = ("fraud", "a")
    change = state_change(key, Status.COMPLETED, Status.IN_PROGRESS, NOON)
    cycle = outcome(
        taken=intake,
        seen=Observation(
            listed={n: TuningJob(name=n, status=Status.IN_PROGRESS) for n in ("x", "y", "z")},
            active=(), ended=(), missing=(),
        ),
        decided=decision(
            plan=Plan(starts=(), waits=tuple(Wait(head, reason) for head in heads)),
            problems=("decision",),
        ),
        done=ActOutcome(
            started=[("fraud", n) for n in "de"], requeued=[key], rejected=[key, key, key],
            preempted=[("fraud", n) for n in "fghi"], problems=["act"],
        ),
        finished=ReconcileOutcome(changes=[change] * 8, queued=[]),
        answered=AnswersOutcome(unanswered=12, given_up=13, problems=["answers"]),
    )  # fmt: skip
    summary = cycle.summary(limit=100, unreadable=["row"], account_faults=7, seconds=1.5)
    assert summary == Summary(
        received=11, accepted=5, repeated=2, rejected=3 + 3, actions=4, in_progress=3 + 2,
        limit=100, started=2, requeued=1, stopped=4, waiting=3, finished=8, account_faults=7 + 6,
        unanswered_workflows=12, given_up_workflows=13,
        problems=("intake", "decision", "act", "answers", "row"), seconds=1.5,
    )  # fmt: skip
    assert summary.as_dict()["problems"] == ("intake", "decision", "act", "answers", "row")


def test_a_cycle_without_anything_reports_zeros() -> None:
    summary = outcome().summary(limit=5, unreadable=[], account_faults=0, seconds=0.0)
    assert summary == Summary(limit=5)


def test_the_next_cycle_delays_what_was_refused_and_nothing_that_started_or_ended() -> None:
    keys = {name: ("fraud", name) for name in ("started", "rejected", "failed", "waits", "new")}
    delay = Delay(
        kind=WaitKind.ACCOUNT_FAULT, since=ago(60), tries=1, retry_at=NOON + timedelta(minutes=5)
    )
    before = Backoff(requests={key: delay for name, key in keys.items() if name != "new"})
    quota = QuotaExceeded(
        name="ml.m5.xlarge for training job usage", limit=4, in_use=3, requested=2
    )
    done = ActOutcome(
        started=[keys["started"]], rejected=[keys["rejected"]], failed=[keys["failed"]],
        delayed={keys["new"]: WaitKind.ACCOUNT_QUOTA}, quotas={M5: quota},
    )  # fmt: skip
    cycle = outcome(
        decided=decision(
            entries={keys["started"]: entry("started")}, backoff=before, running_jobs=()
        ),
        done=done,
    )

    after = cycle.backoff(NOON)

    assert after.requests.keys() == {keys["waits"], keys["new"]}
    assert after.requests[keys["waits"]] == delay
    assert after.requests[keys["new"]].kind is WaitKind.ACCOUNT_QUOTA
    assert after.limits[M5].quota == quota
    assert after.limits[M5].users == {entry("started").job_name}
    assert after.limits[M5].counted == 2
    assert done.refusals == Refusals(requests=done.delayed, quotas=done.quotas)


def test_what_left_its_queue_has_started_or_was_rejected_and_was_not_queued_again() -> None:
    a, b, c = (("fraud", name) for name in "abc")
    done = ActOutcome(dequeued={a, b, c}, requeued=[b], started=[a], rejected=[c])
    assert done.out_of_queue == {a, c}


@pytest.mark.parametrize(
    ("fields", "moves"), [({}, 1), ({"blocked": True}, 0), ({"on_hold": True}, 0)]
)
def test_only_a_request_that_is_in_a_queue_joins_or_leaves_one(
    fields: dict[str, bool], moves: int
) -> None:
    of = entry("a", **fields)
    joining, leaving = taken(), taken()
    joining.joined_queue(of)
    leaving.left_queue(of)
    move = QueueMove(team="fraud", sort_key=of.queue_sort_key, joined=True)
    assert joining.moves == [move] * moves
    assert leaving.moves == [replace(move, joined=False)] * moves


def test_intake_has_queued_what_it_accepted_unless_it_waits_or_is_on_hold() -> None:
    plain, waits, held = entry("plain"), entry("waits", blocked=True), entry("held")
    unblocked = entry("unblocked")
    intake = taken(accepted=[plain, waits, held], on_hold={held.key}, unblocked=[unblocked])
    assert intake.queued() == [plain, unblocked]


def test_a_change_names_the_request_its_states_its_tuning_job_and_the_reason() -> None:
    intake = taken()
    intake.changed(
        entry("a", status=Status.CANCELLED, tuning_job_name="job", reason="by its team"),
        Status.QUEUED,
    )
    (change,) = intake.changes
    assert (change.team, change.request_id, change.at) == ("fraud", "a", NOON)
    assert (change.status, change.previous_status) == (Status.CANCELLED, Status.QUEUED)
    assert (change.tuning_job_name, change.reason) == ("job", "by its team")


def test_messages_are_counted_one_by_one_unless_a_number_is_given() -> None:
    intake = taken()
    intake.count("rejected")
    intake.count("rejected")
    intake.count("received", 40)
    assert intake.counts == {"rejected": 2, "received": 40}
