"""What becomes of each received message, and when it is deleted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.errors import BrokenTemplate, InvalidRequest, Unreadable
from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.contract.settings import TeamSettings, WorkflowSettings
from hpo_dispatcher.contract.workflows.answers import OwedAnswer
from hpo_dispatcher.cycle.intake.accounting import Accounting
from hpo_dispatcher.cycle.intake.team_actions import TeamActions
from hpo_dispatcher.cycle.outcome import IntakeOutcome
from hpo_dispatcher.ports import Envelope, Rejection, Unavailable
from hpoq.simulation.in_memory_ledger import MemoryDocuments, MemoryLeases, MemoryRequests
from hpoq.simulation.in_memory_workflows import MemoryOwedAnswers
from tests.support.scheduling_scene import NOON, ago

RANGES = {"lr": {"type": "continuous", "min": 0.1, "max": 1}}
SECRET = "hunter2-hunter2"
TOKEN = "AQC" + "y" * 600


class Builder:
    """A builder that fails for some templates."""

    def entry(self, team: str, request: TuningRequest, accepted_at: datetime) -> Entry:
        match request.template:
            case "broken":
                raise BrokenTemplate("broken", "a field is unknown")
            case "unknown":
                raise InvalidRequest("template", f"no {SECRET}", "Use another one")
            case "bug":
                raise KeyError(SECRET)
            case "no-service":
                raise Unavailable("service-quotas: throttled")
        return self._entry(team, request, accepted_at)

    def entry_without_demand(
        self, team: str, request: TuningRequest, accepted_at: datetime, reason: str
    ) -> Entry:
        return self._entry(team, request, accepted_at, blocked=True, reason=reason)

    def _entry(self, team: str, request: TuningRequest, at: datetime, **fields: Any) -> Entry:
        return Entry(
            team=team, request_id=request.request_id, status=Status.QUEUED, accepted_at=at,
            request_json=request.to_json(), **fields,
        )  # fmt: skip


class Queues:
    """Queues that record what is rejected and deleted."""

    def __init__(self, deleted_dead_letter_queues: Sequence[str] = ()) -> None:
        self.down = deleted_dead_letter_queues
        self.letters: list[Rejection] = []
        self.deleted: list[str] = []

    def reject(self, rejection: Rejection) -> None:
        if rejection.team in self.down:
            raise Unavailable("no such queue")
        self.letters.append(rejection)

    def delete(self, envelopes: Sequence[Envelope]) -> None:
        self.deleted += [each.receipt for each in envelopes]


class Scene:
    """An accounting over a ledger in memory."""

    def __init__(
        self, *, workflows: WorkflowSettings | None = None, down: Sequence[str] = ()
    ) -> None:
        self.ledger, self.queues = MemoryRequests(MemoryLeases()), Queues(down)
        self.answers = MemoryOwedAnswers()
        self.outcome = IntakeOutcome(clock=lambda: NOON)
        self.redactor = Redactor(["api_token"])
        self.documents = MemoryDocuments()
        actions = TeamActions(
            requests=self.ledger, documents=self.documents, teams={"fraud": TeamSettings()},
            clock=lambda: NOON, outcome=self.outcome,
        )  # fmt: skip
        ports: dict[str, Any] = {"queues": self.queues, "builder": Builder()}
        self.accounting = Accounting(
            **ports, requests=self.ledger, answers=self.answers,
            workflow_settings=workflows or WorkflowSettings(), redactor=self.redactor,
            actions=actions, clock=lambda: NOON, outcome=self.outcome,
        )  # fmt: skip
        self._received = 0

    def receive(self, *bodies: object, team: str = "fraud") -> None:
        envelopes = []
        for body in bodies:
            self._received += 1
            text = body if isinstance(body, str) else json.dumps(body)
            envelopes.append(
                Envelope(
                    team=team, message_id=f"m{self._received}", receipt=f"m{self._received}",
                    body=text, sent_at=ago(5),
                )
            )  # fmt: skip
        self.accounting.process(envelopes)

    def entry(self, request_id: str) -> Entry:
        return self.ledger.entries["fraud", request_id]

    def owed(self) -> dict[str, OwedAnswer]:
        return {each.request_id: each for each in self.answers.owed()}

    def told(self) -> list[tuple[str, str | None, str]]:
        """Return the published changes: request, from and to which state."""
        return [
            (each.request_id, each.previous_status, each.status) for each in self.outcome.changes
        ]


def request(request_id: str, **fields: Any) -> dict[str, Any]:
    return {"request_id": request_id, "hyperparameter_ranges": RANGES, **fields}


def test_a_request_is_in_the_ledger_and_in_its_queue_before_its_message_is_deleted() -> None:
    at = Scene()
    at.receive(request("a"), request("b"))
    assert [at.entry(each).status for each in "ab"] == [Status.QUEUED] * 2
    assert at.entry("a").accepted_at == ago(5), "as SQS says"
    assert [each.request_id for each in at.outcome.accepted] == ["a", "b"]
    assert [(move.team, move.joined) for move in at.outcome.moves] == [("fraud", True)] * 2
    assert at.told() == [("a", None, "Queued"), ("b", None, "Queued")]
    assert at.outcome.counts == {"received": 2, "new": 2}
    assert at.queues.deleted == ["m1", "m2"]
    assert at.answers.calls["dynamodb:TransactWriteItems"] == 0, "no workflow waits"


def test_a_repeated_request_changes_nothing_and_another_one_with_its_id_is_rejected() -> None:
    at = Scene()
    at.receive(request("a"))
    at.receive(request("a"), request("a", priority=3))
    assert at.outcome.counts == {"received": 3, "new": 1, "repeated": 1, "taken": 1, "rejected": 1}
    [letter] = at.queues.letters
    assert (letter.message_id, letter.request_id) == ("m3", "a")
    assert str(letter.error) == (
        "request_id: 'a' was already used, with different content. Send it under a new request id"
    )
    assert at.entry("a").status is Status.QUEUED, "the first one stays as it is"
    assert at.told() == [("a", None, "Queued")]
    assert at.queues.deleted == ["m1", "m2", "m3"]


@pytest.mark.parametrize(
    ("body", "request_id", "field", "problem"),
    [
        ("no JSON", "m1", "body", ""),
        (request("a", zzz=1), "a", "zzz", "unknown field"),
        (request("a", template="unknown"), "a", "template", "no "),
        (request("a", template="bug"), "a", "body",
         "hpoq hit an internal error while reading this message (KeyError)"),
        ({"request_id": "a b", "hyperparameter_ranges": RANGES}, "m1", "request_id", ""),
    ],
)  # fmt: skip
def test_a_message_that_cannot_become_a_request_is_rejected_and_keeps_none_of_the_others(
    body: object, request_id: str, field: str, problem: str
) -> None:
    at = Scene()
    at.receive(body, request("good"))
    [letter] = at.queues.letters
    assert (letter.team, letter.request_id, letter.message_id) == ("fraud", request_id, "m1")
    assert letter.body == (body if isinstance(body, str) else json.dumps(body))
    assert letter.error.field == field
    assert problem in letter.error.problem
    found = at.entry(request_id)
    assert (found.status, found.reason) == (Status.REJECTED, str(letter.error))
    assert (found.accepted_at, found.ended_at) == (ago(5), NOON)
    assert at.told() == [("good", None, "Queued"), (request_id, None, "Rejected")]
    assert at.outcome.counts == {"received": 2, "new": 1, "rejected": 1}
    assert at.queues.deleted == ["m1", "m2"]
    assert at.entry("good").status is Status.QUEUED


def test_a_bug_does_not_quote_what_it_was_about_and_a_reason_no_secret() -> None:
    at = Scene()
    secret = {"hyperparameters": {"api_token": SECRET}}
    at.receive(request("a", template="bug"), request("b", template="unknown", **secret))
    for letter in at.queues.letters:
        assert SECRET not in str(letter.error)
    assert SECRET not in at.entry("a").reason + at.entry("b").reason


def test_a_request_whose_template_is_broken_is_accepted_and_waits_in_no_queue() -> None:
    at = Scene()
    at.receive(request("a", template="broken"))
    assert (at.entry("a").status, at.entry("a").blocked) == (Status.QUEUED, True)
    assert at.entry("a").reason.startswith("the template broken is broken (a field is unknown)")
    assert (at.outcome.moves, at.queues.letters) == ([], [])


def test_a_service_that_does_not_answer_leaves_all_messages_in_the_queue() -> None:
    at = Scene()
    with pytest.raises(Unavailable):
        at.receive(request("a"), request("b", template="no-service"))
    assert (at.queues.deleted, dict(at.ledger.entries), at.queues.letters) == ([], {}, [])


def test_actions_apply_to_requests_that_arrive_with_them() -> None:
    at = Scene()
    action: dict[str, Any] = {"action": "priority", "request_id": "a", "priority": 7}
    at.receive(action, request("a"))
    assert at.entry("a").priority == 7
    assert at.outcome.counts == {"received": 2, "new": 1, "actions": 1}
    assert at.queues.deleted == ["m1", "m2"]


def test_an_action_on_a_request_that_cannot_be_read_is_rejected_and_the_request_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreadable(team: str, request_id: str) -> Entry:
        raise Unreadable(f"ledger row {team}/{request_id}", "cannot be read", "Restore it")

    at = Scene()
    at.receive(request("a"))
    monkeypatch.setattr(at.ledger, "get", unreadable)
    at.receive({"action": "cancel", "request_id": "a"}, request("b"))
    [letter] = at.queues.letters
    assert (letter.message_id, str(letter.error)) == (
        "m2", "ledger row fraud/a: cannot be read. Restore it"
    )  # fmt: skip
    assert (at.entry("a").status, at.entry("b").status) == (Status.QUEUED, Status.QUEUED)
    assert at.queues.deleted == ["m1", "m2", "m3"]


def test_without_its_dead_letter_queue_a_message_stays_and_the_others_do_not() -> None:
    at = Scene(down=["fraud"])
    at.receive(request("a", zzz=1), request("b"), request("c", yyy=1))
    assert at.queues.deleted == ["m2"]
    assert at.outcome.problems == ["intake of fraud: no such queue"], "once for both"
    assert ("fraud", "a") not in at.ledger.entries
    assert at.outcome.counts["rejected"] == 0


def test_an_answer_is_owed_before_the_message_is_deleted_also_to_a_rejected_one() -> None:
    at = Scene(workflows=WorkflowSettings(state_machines=("*",)))
    at.receive(
        request("a", task_token=TOKEN + "a"), request("b", task_token=TOKEN + "b", zzz=1),
        request("c"), {"action": "cancel", "request_id": "d"},
    )  # fmt: skip
    owed = at.owed()
    assert owed.keys() == {"a", "b"}
    assert (owed["a"].team, owed["a"].refusal) == ("fraud", "")
    assert owed["b"].refusal == str(at.queues.letters[0].error)
    assert owed["a"].callback.token == TOKEN + "a"
    [letter] = at.queues.letters
    assert TOKEN not in letter.body
    assert json.loads(letter.body) == request("b", zzz=1)
    assert TOKEN + "b" not in at.redactor.line(f"the token {TOKEN}b")


def test_a_workflow_that_the_settings_do_not_name_is_rejected_and_owed_nothing() -> None:
    at = Scene(workflows=WorkflowSettings(pipelines=("*",)))
    at.receive(request("a", task_token=TOKEN))
    assert (at.owed(), at.entry("a").status) == ({}, Status.REJECTED)
    [letter] = at.queues.letters
    assert (letter.error.field, letter.error.problem, letter.error.fix) == (
        "task_token", "this deployment answers no state machines",
        "Ask for the state machine in the setting workflows.state_machines",
    )  # fmt: skip
    assert TOKEN not in letter.body
