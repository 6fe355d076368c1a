"""A ledger with planned requests, and services that answer their creations as a test says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.cycle.act import Starter
from hpo_dispatcher.cycle.outcome import ActOutcome
from hpo_dispatcher.cycle.refusals import RefusedStarts
from hpo_dispatcher.ports import Creation, NotReplicated, Rejection, Unavailable
from hpo_dispatcher.ports.sagemaker import Created
from hpo_dispatcher.scheduling.backoff import Backoff
from hpo_dispatcher.tuning_job.parents import Parent
from hpoq.simulation.in_memory_ledger import MemoryLeases, MemoryRequests
from tests.support.scheduling_scene import M5, NOON, ago

HOME, EU = "home", "eu"
OWNER = "this dispatcher"
Answer = Creation | NotReplicated | Exception


def entry(request_id: str, team: str = "fraud", **fields: Any) -> Entry:
    """Return a queued entry; ``warm_start_from`` is in its request."""
    request = {
        "request_id": request_id,
        "hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0.1, "max": 1}},
        "warm_start_from": fields.pop("warm_start_from", ()),
    }
    given: dict[str, Any] = {
        "status": Status.QUEUED, "accepted_at": ago(20), "request_json": json.dumps(request),
        "instances": {M5: 2}, "max_parallel": 2, "max_training_jobs": 4,
    }  # fmt: skip
    return Entry(team=team, request_id=request_id, **(given | fields))


@dataclass
class Services:
    """SageMaker of all targets, the builder and the replicated data: what a creation depends on."""

    answers: dict[str, Answer] = field(default_factory=dict)  # by request id; absent: Created
    # What was created: request id, target, and the parents of its warm start.
    created: list[tuple[str, str, Sequence[str]]] = field(default_factory=list)
    slept: list[str] = field(default_factory=list)  # the target of each token that was taken


@dataclass
class OnTarget:
    """A service, a builder and a bucket of one target."""

    target: str
    services: Services
    copies: None = None

    def on(self, target: str) -> OnTarget:
        return OnTarget(target, self.services)

    def api_request(
        self, team: str, request: TuningRequest, parents: Sequence[Parent], resumption: object
    ) -> dict[str, Any]:
        answer = self.services.answers.get(request.request_id)
        if isinstance(answer, Exception) and not isinstance(answer, Unavailable):
            raise answer
        return {"id": request.request_id, "parents": [each.tuning_job_name for each in parents]}

    def take(self) -> None:
        self.services.slept.append(self.target)

    def create(self, api_request: Mapping[str, Any]) -> Answer:
        answer = self.services.answers.get(api_request["id"], Created())
        if isinstance(answer, Unavailable):
            raise answer
        if isinstance(answer, Created):
            self.services.created.append((api_request["id"], self.target, api_request["parents"]))
        return answer

    def problem(self, builder: OnTarget, api_request: Mapping[str, Any]) -> NotReplicated | None:
        answer = self.services.answers.get(api_request["id"])
        return answer if isinstance(answer, NotReplicated) else None


@dataclass
class DeadLetters:
    """The dead-letter queues."""

    letters: list[Rejection] = field(default_factory=list)
    down: bool = False

    def reject(self, rejection: Rejection) -> None:
        if self.down:
            raise Unavailable("no such queue")
        self.letters.append(rejection)


@dataclass
class StartScene:
    """A starter over a ledger, and what has become of its starts."""

    ledger: MemoryRequests
    leases: MemoryLeases
    services: Services
    dead_letters: DeadLetters
    starter: Starter
    outcome: ActOutcome

    def __getitem__(self, request_id: str) -> Entry:
        return self.ledger.entries["fraud", request_id]

    def start(self, *request_ids: str) -> ActOutcome:
        """Start these requests of team fraud; all queued ones if none is named."""
        planned = [self[each] for each in request_ids] or self.ledger.queue("fraud")
        self.starter.start(planned, self.outcome)
        return self.outcome

    def history(self) -> list[tuple[str, str, str, str]]:
        """Return the published changes: request, from and to which state, and why."""
        return [
            (each.request_id, str(each.previous_status or ""), str(each.status), each.reason)
            for each in self.outcome.changes
        ]


def start_scene(
    *entries: Entry,
    answers: Mapping[str, Answer] | None = None,
    backoff: Backoff | None = None,
    now: datetime = NOON,
) -> StartScene:
    """Return a scene with these entries, in which SageMaker answers as given."""
    leases = MemoryLeases()
    leases.acquire(OWNER, NOON, NOON)
    ledger, services = MemoryRequests(leases), Services(dict(answers or {}))
    dead_letters = DeadLetters()
    ledger.add(entries)
    fakes: Any = {
        "requests": ledger, "services": {each: OnTarget(each, services) for each in (HOME, EU)},
        "buckets": {each: OnTarget(each, services) for each in (HOME, EU)},
        "builder": OnTarget(HOME, services), "arrivals": OnTarget(HOME, services),
    }  # fmt: skip
    queues: Any = dead_letters
    refusals = RefusedStarts(
        queues=queues, requests=ledger, redactor=Redactor(), clock=lambda: now,
        backoff=backoff or Backoff(), owner=OWNER,
    )  # fmt: skip
    starter = Starter(**fakes, clock=lambda: now, owner=OWNER, refusals=refusals)
    return StartScene(ledger, leases, services, dead_letters, starter, ActOutcome())
