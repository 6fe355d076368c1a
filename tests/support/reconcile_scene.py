"""A ledger with requests that wait for others or whose tuning jobs have ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.errors import BrokenTemplate, InvalidRequest
from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.cycle.outcome import ReconcileOutcome
from hpo_dispatcher.cycle.reconcile import Reconciler
from hpoq.simulation.in_memory_ledger import MemoryDocuments, MemoryLeases, MemoryRequests
from tests.support.scheduling_scene import M5, NOON, ago

RANGES = {"lr": {"type": "continuous", "min": 0.1, "max": 1}}
EU = "eu"
DEMAND = 4  # training jobs at once, of requests whose template is fixed
BROKEN, INVALID = "broken", "invalid"  # templates


def entry(request_id: str, team: str = "fraud", **fields: Any) -> Entry:
    """Return an entry; ``after``, ``warm_start_from`` and ``template`` are in its request."""
    names = ("after", "warm_start_from", "template")
    request = {"request_id": request_id, "hyperparameter_ranges": RANGES}
    request |= {name: fields.pop(name) for name in names if name in fields}
    given: dict[str, Any] = {
        "status": Status.QUEUED, "accepted_at": ago(5), "request_json": json.dumps(request),
        "blocked": "after" in request or "warm_start_from" in request, "max_parallel": 1,
        "instances": {M5: 1}, "reason": "waits for parent to end" if "after" in request else "",
    }  # fmt: skip
    return Entry(team=team, request_id=request_id, **(given | fields))


def ended(request_id: str, team: str = "fraud", **fields: Any) -> Entry:
    given: dict[str, Any] = {"status": Status.COMPLETED, "tuning_job_name": f"{team}-{request_id}"}
    return entry(request_id, team, **(given | fields))


class Builder:
    """A builder that knows the demand of requests for one template, and of no other."""

    def entry(self, team: str, request: TuningRequest, accepted_at: datetime) -> Entry:
        if request.template == BROKEN:
            raise BrokenTemplate(BROKEN, "a field is unknown")
        if request.template == INVALID:
            raise InvalidRequest("objective", "unknown metric", "Name another one")
        built = entry(request.request_id, team, accepted_at=accepted_at)
        return replace(built, max_parallel=DEMAND, request_json=request.to_json())

    def resumed(self, entry: Entry) -> Entry:
        return entry


@dataclass
class Scene:
    """A ledger, and what brings it up to date."""

    ledger: MemoryRequests
    reconciler: Reconciler

    def unblock(self) -> ReconcileOutcome:
        return self.reconciler.unblock()

    def __getitem__(self, request_id: str) -> Entry:
        return self.ledger.entries["fraud", request_id]

    def queue(self, team: str = "fraud") -> list[str]:
        return [each.request_id for each in self.ledger.queue(team)]


def scene(*entries: Entry, teams: Sequence[str] = ("fraud", "vision")) -> Scene:
    ledger, builder = MemoryRequests(MemoryLeases()), Builder()
    fakes: Any = {"requests": ledger, "builder": builder}
    ledger.add(entries)
    reconciler = Reconciler(
        **fakes, documents=MemoryDocuments(), teams=teams, redactor=Redactor(), clock=lambda: NOON
    )
    return Scene(ledger, reconciler)
