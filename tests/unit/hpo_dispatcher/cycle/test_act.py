"""What becomes of a planned start, by what SageMaker answers to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hpo_dispatcher.contract.aws_limits import ALL_INSTANCES_QUOTA, QuotaExceeded
from hpo_dispatcher.contract.documents.capacity import WaitKind
from hpo_dispatcher.contract.entry import RunningEntry, Status
from hpo_dispatcher.contract.errors import BrokenTemplate, InvalidRequest
from hpo_dispatcher.cycle.outcome import Observation
from hpo_dispatcher.ports import (
    AccountFault,
    AlreadyOurs,
    AtLimit,
    NameTaken,
    NotReplicated,
    NotYetVisible,
    Refused,
    Unavailable,
    Untagged,
)
from tests.support.scheduling_scene import NOON
from tests.support.start_scene import EU, HOME, Answer, StartScene, entry, start_scene

KEY = ("fraud", "b")
QUOTA = QuotaExceeded(name=ALL_INSTANCES_QUOTA, limit=4, in_use=3, requested=2)
UNKNOWN_QUOTA = replace(QUOTA, name="a quota of the future")
STARTED = ("Queued", "InProgress", "")
TAKEN = "request_id: the tuning job name {name} belongs to somebody. Send it under a new request id"


def start_of_three(answer: Answer) -> StartScene:
    """Start three requests, of which SageMaker answers the second one differently."""
    at = start_scene(*map(entry, "abc"), answers={"b": answer})
    at.start()
    return at


def others_started(at: StartScene) -> bool:
    return (
        [at[each].status for each in "ac"] == [Status.IN_PROGRESS] * 2
        and {("fraud", "a"), ("fraud", "c")} <= {*at.outcome.started}
        and [each for each in at.history() if each[0] != "b"]
        == [("a", *STARTED), ("c", *STARTED)]
    )  # fmt: skip


def test_a_start_is_written_created_and_announced_with_its_name_and_target() -> None:
    at = start_scene(entry("a"), entry("b", targets=(HOME, EU), target=EU))
    outcome = at.start()
    assert sorted(at.services.created) == [("a", HOME, []), ("b", EU, [])]
    assert sorted(at.services.slept) == [EU, HOME], "a token of each target's rate"
    assert (at["a"].status, at["a"].started_at) == (Status.IN_PROGRESS, NOON)
    assert [(each.tuning_job_name, each.target, each.at) for each in outcome.changes] == [
        (at["a"].tuning_job_name, HOME, NOON), (at["b"].tuning_job_name, EU, NOON)
    ]  # fmt: skip
    assert outcome.started == [("fraud", "a"), ("fraud", "b")]
    assert (outcome.dequeued, outcome.unannounced) == ({*outcome.started}, set())


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (AtLimit("full"), WaitKind.ACCOUNT_QUOTA, "full"),
        (AtLimit("full", UNKNOWN_QUOTA), WaitKind.ACCOUNT_QUOTA, "full"),
        (AtLimit("full", QUOTA), None, "full"),
        (AccountFault("no role"), WaitKind.ACCOUNT_FAULT, "no role"),
        (BrokenTemplate("t", "a field is unknown"), WaitKind.ACCOUNT_FAULT, "a field is unknown"),
        (NotReplicated("not there yet"), WaitKind.DATA, "not there yet"),
        (Untagged("somebody"), WaitKind.TUNING_JOB_NAME, "belongs to somebody"),
    ],
)
def test_a_start_that_is_refused_for_now_never_left_its_queue_to_its_followers(
    answer: Answer, kind: WaitKind | None, reason: str
) -> None:
    at = start_of_three(answer)
    outcome = at.outcome
    assert others_started(at)
    assert (at["b"].status, at["b"].started_at, at["b"].tuning_job_name) == (
        Status.QUEUED,
        None,
        "",
    )
    assert reason in at["b"].reason
    assert outcome.requeued == {KEY: at["b"].reason}
    assert outcome.delayed == ({KEY: kind} if kind else {})
    assert outcome.delayed_on == ({KEY: HOME} if kind else {})
    assert [*outcome.quotas.values()] == ([] if kind else [QUOTA])
    assert [each for each in at.history() if each[0] == "b"] == []
    assert (outcome.unannounced, outcome.rejected, outcome.failed) == (set(), [], [])
    assert outcome.out_of_queue == {("fraud", "a"), ("fraud", "c")}
    assert (at.dead_letters.letters, outcome.problems) == ([], [])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (NameTaken("somebody"), TAKEN),
        (Refused("no such metric"), "request: no such metric. Fix the request and resubmit it"),
        (
            InvalidRequest("objective", "unknown", "Name another"),
            "objective: unknown. Name another",
        ),
    ],
)
def test_a_start_that_is_refused_for_good_is_dead_lettered_and_ends(
    answer: Answer, reason: str
) -> None:
    at = start_of_three(answer)
    assert others_started(at)
    reason = reason.format(name=at["b"].job_name)
    assert (at["b"].status, at["b"].reason, at["b"].ended_at) == (Status.REJECTED, reason, NOON)
    [letter] = at.dead_letters.letters
    assert (letter.team, letter.request_id, letter.message_id) == ("fraud", "b", "b")
    assert (letter.body, str(letter.error)) == (entry("b").request_json, reason)
    assert at.history()[1] == ("b", "Queued", "Rejected", reason)
    assert (at.outcome.rejected, at.outcome.unannounced) == ([KEY], set())
    assert len(at.ledger.running()) == 2


def test_a_request_without_content_in_the_ledger_is_rejected() -> None:
    at = start_scene(entry("a", request_json=""))
    at.start()
    assert at["a"].status is Status.REJECTED
    assert "missing in the ledger" in at["a"].reason


@pytest.mark.parametrize("answer", [Unavailable("timed out"), NotYetVisible("somebody")])
def test_a_start_whose_tuning_job_may_exist_is_announced_once_it_is_certain(answer: Answer) -> None:
    at = start_of_three(answer)
    assert others_started(at)
    assert (at["b"].status, at.outcome.unannounced) == (Status.IN_PROGRESS, {KEY})
    assert KEY not in at.outcome.started
    problems = ["fraud/b: timed out"] if isinstance(answer, Unavailable) else []
    assert at.outcome.problems == problems
    job = RunningEntry.of(at["b"])
    seen = Observation(listed={}, active=[job], ended=(), missing=[])
    at.starter.announce_found(seen, at.outcome)
    assert at.history()[-1] == ("b", *STARTED)
    assert at.outcome.changes[-1].tuning_job_name == job.tuning_job_name
    assert at.outcome.unannounced == set()


@pytest.mark.parametrize("unknown", ["missing", "unobserved"])
def test_a_start_that_is_still_uncertain_stays_unannounced(unknown: str) -> None:
    at = start_of_three(Unavailable("timed out"))
    job = RunningEntry.of(at["b"])
    fields: Any = {"missing": [job]} if unknown == "missing" else {"unobserved": {KEY}}
    at.starter.announce_found(
        Observation(**({"listed": {}, "active": [job], "ended": (), "missing": []} | fields)),
        at.outcome,
    )
    assert at.outcome.unannounced == {KEY}
    assert [each for each in at.history() if each[0] == "b"] == []


@pytest.mark.parametrize(("unannounced", "told"), [({KEY}, [("b", *STARTED)]), (set(), [])])
def test_a_tuning_job_of_an_earlier_cycle_is_announced_once(
    unannounced: set[tuple[str, str]], told: list[tuple[str, str, str, str]]
) -> None:
    at = start_of_three(Unavailable("timed out"))
    job = RunningEntry.of(at["b"])
    at.outcome.unannounced.intersection_update(unannounced)
    at.services.answers["b"] = AlreadyOurs()
    at.starter.complete_interrupted(
        Observation(listed={}, active=[job], ended=(), missing=[job]), at.outcome
    )
    assert [each for each in at.history() if each[0] == "b"] == told
    assert KEY in at.outcome.started


def test_an_interrupted_start_is_completed_unless_that_is_unsure_or_it_was_cancelled() -> None:
    names = ("plain", "unsure", "cancelled", "changed")
    at = start_scene(*map(entry, names), answers=dict.fromkeys(names, Unavailable("killed")))
    at.start()
    at.services.answers.clear()
    jobs = {name: RunningEntry.of(at[name]) for name in names}
    for name in ("cancelled", "changed"):
        at.ledger.stop(at[name])
    jobs["cancelled"] = RunningEntry.of(at["cancelled"])  # the other changed after it was read
    seen = Observation(
        listed={}, active=[*jobs.values()], ended=(), missing=[*jobs.values()],
        unsure=frozenset([("fraud", "unsure")]),
    )  # fmt: skip
    at.starter.complete_interrupted(seen, at.outcome)
    assert [name for name, _, _ in at.services.created] == ["plain"]


def test_nothing_is_read_or_written_where_nothing_starts() -> None:
    at = start_scene(entry("a"))
    before = at.ledger.calls.total()
    at.starter.start([], at.outcome)
    at.starter.complete_interrupted(
        Observation(listed={}, active=(), ended=(), missing=[]), at.outcome
    )
    assert at.ledger.calls.total() == before
    at.start()
    assert at.ledger.calls.total() == before + 1, "without parents, none are read"


def test_a_warm_start_names_the_tuning_jobs_of_its_own_teams_parents_in_order() -> None:
    parents = [
        entry(name, team, status=Status.COMPLETED, tuning_job_name=f"{team}-{name}")
        for team in ("fraud", "vision") for name in ("p", "q")
    ]  # fmt: skip
    at = start_scene(*parents, entry("a", warm_start_from=["q", "p", "gone"]))
    at.start("a")
    assert at.services.created == [("a", HOME, ["fraud-q", "fraud-p"])]


def test_without_the_lease_nothing_is_started() -> None:
    at = start_scene(entry("a"))
    at.leases.owner = "another"
    outcome = at.start()
    assert outcome.problems == ["another dispatcher has taken over"]
    assert (outcome.dequeued, outcome.unannounced, outcome.started) == (set(), set(), [])
    assert (at["a"].status, at.services.created) == (Status.QUEUED, [])


def test_only_those_are_created_that_could_be_written() -> None:
    """The other was cancelled after its queue was read."""
    at = start_scene(entry("a"), entry("b"))
    planned = [at["a"], at["b"]]
    at.ledger.hold("fraud", "a")
    at.starter.start(planned, at.outcome)
    assert [name for name, _, _ in at.services.created] == ["b"]
    assert at.outcome.dequeued == {KEY}
