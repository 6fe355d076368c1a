"""Which owed answers a cycle gives, in which order, and what it reports about the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import BestTrainingJob, Entry, Key, Status
from hpo_dispatcher.contract.errors import Unreadable
from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.contract.settings import WorkflowSettings
from hpo_dispatcher.contract.workflows.answers import OwedAnswer, WorkflowFailure, WorkflowResult
from hpo_dispatcher.contract.workflows.callbacks import Callback, CallbackKind
from hpo_dispatcher.cycle import pacing
from hpo_dispatcher.cycle.outcome import AnswersOutcome
from hpo_dispatcher.cycle.pacing import Deadline
from hpo_dispatcher.cycle.workflows.answering import Answering
from hpo_dispatcher.cycle.workflows.verdict import MOST_ATTEMPTS
from hpo_dispatcher.ports import Reply, Unavailable
from hpoq.simulation.in_memory_workflows import MemoryOwedAnswers
from tests.support.scheduling_scene import NOON

BEST = BestTrainingJob(name="best", objective=0.5, metric="auc", hyperparameters={})
HEARTBEAT = "heartbeat"
MINUTE = timedelta(minutes=1)


def owed(request_id: str, **fields: Any) -> OwedAnswer:
    callback = Callback(kind=CallbackKind.STEP_FUNCTIONS, token=f"token-of-{request_id}")
    return OwedAnswer(callback=callback, team="fraud", request_id=request_id, **fields)


def entry(request_id: str, status: Status, **fields: Any) -> Entry:
    return Entry(team="fraud", request_id=request_id, status=status, accepted_at=NOON, **fields)


class Ledger:
    """A ledger with these entries, and with rows that this version cannot read."""

    def __init__(self, *entries: Entry, unreadable: Sequence[str] = ()) -> None:
        self.entries = {each.key: each for each in entries}
        self.unreadable = unreadable

    def get_all(self, keys: Sequence[Key]) -> Mapping[Key, Entry]:
        return {key: self.entries[key] for key in keys if key in self.entries}

    def get(self, team: str, request_id: str) -> Entry | None:
        if request_id in self.unreadable:
            raise Unreadable("version 99", "a later hpoq wrote it", "Deploy that version")
        return self.entries.get((team, request_id))


@dataclass
class Services:
    """Step Functions and SageMaker, which record what they are asked and told, in order."""

    reply: Reply | Unavailable = Reply.TAKEN
    told: list[tuple[str, object]] = field(default_factory=list)  # by request id
    asked: list[str] = field(default_factory=list)  # the models of these training jobs

    def succeed(self, owed: OwedAnswer, result: WorkflowResult) -> Reply:
        return self._tell(owed, result)

    def fail(self, owed: OwedAnswer, failure: WorkflowFailure) -> Reply:
        return self._tell(owed, failure)

    def heartbeat(self, owed: OwedAnswer) -> Reply:
        return self._tell(owed, HEARTBEAT)

    def model_uri(self, training_job_name: str) -> str:
        self.asked.append(training_job_name)
        return f"s3://models/{training_job_name}"

    def _tell(self, owed: OwedAnswer, what: object) -> Reply:
        if isinstance(self.reply, Unavailable):
            raise self.reply
        self.told.append((owed.request_id, what))
        return self.reply


class Owed(MemoryOwedAnswers):
    """Answers in a ledger of which some operations fail."""

    def __init__(self, answers: Sequence[OwedAnswer], failing: Sequence[str] = ()) -> None:
        super().__init__()
        self.owe(answers)
        self.failing = failing

    def owed(self) -> Sequence[OwedAnswer]:
        self._fails("owed")
        return super().owed()

    def postpone(self, owed: OwedAnswer) -> None:
        self._fails(f"postpone {owed.request_id}")
        super().postpone(owed)

    def settle(self, answers: Sequence[OwedAnswer]) -> None:
        self._fails("settle")
        super().settle(answers)

    def left(self) -> dict[str, OwedAnswer]:
        return {each.request_id: each for each in super().owed()}

    def _fails(self, operation: str) -> None:
        if operation in self.failing:
            raise Unavailable(operation)


def answer(
    answers: Owed,
    ledger: Ledger,
    services: Services,
    *,
    in_time: Callable[[], bool] = lambda: True,
    settings: WorkflowSettings | None = None,
) -> AnswersOutcome:
    ports: dict[str, Any] = {
        "answers": answers, "workflows": services, "requests": ledger,
        "services": {"home": services},
    }  # fmt: skip
    answering = Answering(
        **ports,
        settings=settings or WorkflowSettings(state_machines=("*",)),
        redactor=Redactor(),
        clock=lambda: NOON,
    )
    return answering.run(Deadline(remaining=lambda: 900.0 if in_time() else 0.0, total=900.0))


ENDED = ("rejected", "completed", "unknown")
MIXED = [
    owed("queued"), owed("rejected", refusal="zzz: unknown field"), owed("stopping"),
    owed("completed"), owed("unknown"), owed("running"),
]  # fmt: skip
KNOWN = [
    entry("queued", Status.QUEUED), entry("rejected", Status.QUEUED),
    entry("stopping", Status.STOPPING), entry("completed", Status.COMPLETED),
    entry("running", Status.IN_PROGRESS),
]  # fmt: skip


def test_every_end_is_told_and_every_other_request_gets_a_heartbeat() -> None:
    services, answers = Services(), Owed(MIXED)
    outcome = answer(answers, Ledger(*KNOWN), services)
    told = dict(services.told)
    assert {name for name, what in told.items() if what == HEARTBEAT} == {
        "queued", "stopping", "running"
    }  # fmt: skip
    assert told["rejected"] == WorkflowFailure(error="Hpoq.Rejected", cause="zzz: unknown field")
    assert answers.left().keys() == {"queued", "stopping", "running"}, "they wait on"
    assert outcome == AnswersOutcome(unanswered=0, given_up=0, problems=[])


def test_ends_are_told_before_heartbeats_and_what_is_left_by_the_next_cycle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pacing, "THREADS", 1)
    left = iter([True] * len(ENDED))
    services, answers = Services(), Owed(MIXED)
    outcome = answer(answers, Ledger(*KNOWN), services, in_time=lambda: next(left, False))
    assert tuple(name for name, _ in services.told) == ENDED
    assert (outcome.unanswered, outcome.problems) == (0, [])
    answer(answers, Ledger(*KNOWN), services)
    assert [name for name, _ in services.told[len(ENDED) :]] == ["queued", "stopping", "running"]


def test_the_answer_to_a_request_that_completed_says_what_it_found() -> None:
    services = Services()
    found = [
        entry("a", Status.COMPLETED, tuning_job_name="job-a", best=BEST),
        entry("b", Status.COMPLETED),  # no training job has a value of the objective
    ]
    answer(Owed([owed("a"), owed("b")]), Ledger(*found), services)
    assert dict(services.told) == {
        "a": WorkflowResult(
            team="fraud", request_id="a", tuning_job_name="job-a", best_training_job="best",
            objective_metric="auc", objective_value=0.5, model_uri="s3://models/best",
        ),
        "b": WorkflowResult(team="fraud", request_id="b", tuning_job_name=found[1].job_name),
    }  # fmt: skip
    assert services.asked == ["best"]


def test_no_model_is_looked_for_without_the_setting_that_permits_it() -> None:
    services = Services()
    completed = Ledger(entry("a", Status.COMPLETED, best=BEST))
    answer(Owed([owed("a")]), completed, services, settings=WorkflowSettings())
    assert services.asked == []
    [(_, result)] = services.told
    assert isinstance(result, WorkflowResult)
    assert (result.best_training_job, result.model_uri) == ("best", None)


def test_a_request_that_this_version_cannot_read_is_left_and_keeps_none_of_the_others() -> None:
    services, answers = Services(), Owed([owed("later"), owed("a"), owed("gone")])
    ledger = Ledger(entry("a", Status.COMPLETED), unreadable=["later"])
    outcome = answer(answers, ledger, services)
    assert {name for name, _ in services.told} == {"a", "gone"}
    assert answers.left().keys() == {"later"}
    assert outcome == AnswersOutcome(unanswered=0, given_up=0, problems=[])


@pytest.mark.parametrize("reply", [Reply.NOT_PERMITTED, Unavailable("throttled")])
def test_an_answer_that_is_not_taken_is_tried_again_later_and_given_up_in_the_end(
    reply: Reply | Unavailable,
) -> None:
    waits = owed("waits", attempts=2, retry_at=NOON + MINUTE)
    answers = Owed([waits, owed("first"), owed("last", attempts=MOST_ATTEMPTS - 1), owed("new")])
    ends = [entry(name, Status.FAILED) for name in ("waits", "first", "last", "new")]
    outcome = answer(answers, Ledger(*ends), Services(reply))
    postponed = {"attempts": 1, "retry_at": NOON + MINUTE}
    assert answers.left() == {
        "waits": waits, "first": owed("first", **postponed), "new": owed("new", **postponed)
    }  # fmt: skip
    assert (outcome.unanswered, outcome.given_up, outcome.problems) == (3, 1, [])


@pytest.mark.parametrize(
    ("reply", "attempts"),
    [(Reply.TAKEN, 0), (Unavailable("throttled"), 0), (Reply.NOT_PERMITTED, 1)],
)
def test_a_heartbeat_that_fails_is_no_failed_attempt_at_an_answer(
    reply: Reply | Unavailable, attempts: int
) -> None:
    answers = Owed([owed("a")])
    outcome = answer(answers, Ledger(entry("a", Status.QUEUED)), Services(reply))
    assert answers.left()["a"].attempts == outcome.unanswered == attempts


@pytest.mark.parametrize("status", [Status.QUEUED, Status.FAILED])
def test_a_step_that_nobody_waits_at_is_owed_no_answer(status: Status) -> None:
    answers = Owed([owed("a")])
    outcome = answer(answers, Ledger(entry("a", status)), Services(Reply.NOBODY_WAITS))
    assert answers.left() == {}
    assert outcome == AnswersOutcome(unanswered=0, given_up=0, problems=[])


@pytest.mark.parametrize(
    ("failing", "reply", "left"),
    [
        ("owed", Reply.TAKEN, ["a", "b"]),
        ("settle", Reply.TAKEN, ["a", "b"]),  # they are repeated
        ("postpone a", Reply.NOT_PERMITTED, ["a", "b"]),
    ],
)
def test_what_the_ledger_does_not_take_is_a_problem_of_the_cycle(
    failing: str, reply: Reply, left: list[str]
) -> None:
    answers = Owed([owed("a"), owed("b")], [failing])
    ends = [entry(name, Status.FAILED) for name in "ab"]
    outcome = answer(answers, Ledger(*ends), Services(reply))
    assert outcome.problems == [f"answers to workflows: {failing}"]
    assert [*answers.left()] == left
    assert answers.left()["b"].attempts == (1 if reply is Reply.NOT_PERMITTED else 0)


def test_a_token_is_hidden_from_what_people_read() -> None:
    redactor = Redactor()
    services: Any = Services()
    ports: dict[str, Any] = {
        "answers": Owed([owed("a")]), "workflows": services, "requests": Ledger(), "services": {},
    }  # fmt: skip
    answering = Answering(
        **ports, settings=WorkflowSettings(), redactor=redactor, clock=lambda: NOON
    )
    answering.run(Deadline(remaining=lambda: 9.0, total=9.0))
    assert owed("a").callback.token not in redactor.line(f"denied: {owed('a').callback.token}")
