"""Campaigns through a queue whose ledger moves on by one step a look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpo_dispatcher.contract.entry import EarlierJob, Entry, Status
from hpo_dispatcher.contract.request import TuningRequest, parse_fields
from hpoq.campaign.backends.direct import DirectAccount
from hpoq.campaign.backends.queued import QueuedAccount
from hpoq.campaign.errors import InvalidPlan, OtherCampaign
from hpoq.campaign.model import Plan
from hpoq.campaign.planning.compare import planned
from hpoq.campaign.running_campaign import RunningCampaign
from tests.unit.hpoq.campaign.running.test_runner import small

EVERY = 0.0
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Queue:
    """A client whose requests start when those in ``after`` have ended, and end a look later."""

    def __init__(self, fate: Status = Status.COMPLETED) -> None:
        self.fate = fate
        self.ledger: dict[str, Entry] = {}
        self.most_at_once = 0
        self.acts: Counter[str] = Counter()

    def submit(self, team: str, messages: Sequence[dict[str, Any]]) -> list[str]:
        for message in messages:
            request = parse_fields(message, message["request_id"])
            assert isinstance(request, TuningRequest)
            entry = Entry(
                team=team, request_id=message["request_id"], status=Status.QUEUED, accepted_at=NOON,
                request=request,
            )  # fmt: skip
            self.ledger.setdefault(entry.request_id, entry)
        return list(self.ledger)

    def entries(self, _: str) -> Iterator[Entry]:
        for key, entry in list(self.ledger.items()):
            self.ledger[key] = replace(entry, status=self._next(entry))
        running = [e.request for e in self.ledger.values() if e.status.active and e.request]
        widths = [each.resource_limits.max_parallel_training_jobs or 1 for each in running]
        self.most_at_once = max(self.most_at_once, sum(widths))
        yield from self.ledger.values()

    def act(self, _: str, action: str, *, request_id: str) -> None:
        self.acts[action] += 1
        held = action == "hold"
        self.ledger[request_id] = replace(self.ledger[request_id], held=held)

    def _next(self, entry: Entry) -> Status:
        if entry.status is Status.IN_PROGRESS:
            return self.fate
        if entry.status is not Status.QUEUED or entry.held or entry.request is None:
            return entry.status
        before = [self.ledger[each] for each in entry.request.after]
        return Status.IN_PROGRESS if all(e.status.ended for e in before) else Status.QUEUED


class NotAllowed:
    """SageMaker for a team that may not look: the ledger has to do."""

    def get_paginator(self, _: str) -> NotAllowed:
        return self

    def paginate(self, **_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "ListHyperParameterTuningJobs")


def running(queue: Any, file: Path, plan: Plan | None = None) -> RunningCampaign:
    if plan:
        plan.save(file)
    sagemaker: Any = NotAllowed()
    return RunningCampaign(file, QueuedAccount(queue, "fraud", sagemaker))


def test_requests_are_sent_as_slots_become_free(file: Path) -> None:
    queue, plan = Queue(), small("independent", trials=40)
    looks = list(running(queue, file, plan).looks(EVERY))
    assert len(looks[1].states) < len(plan.jobs)
    assert looks[-1].ended
    assert len(queue.ledger) == len(plan.jobs)
    assert queue.most_at_once == plan.slots
    assert not any(entry.request.after for entry in queue.ledger.values() if entry.request)


def test_a_wave_left_to_the_queue_needs_no_runner(file: Path) -> None:
    queue, plan = Queue(), small("independent", trials=40)
    assert running(queue, file, plan).detach() == len(plan.jobs)
    assert len(queue.ledger) == len(plan.jobs)
    for _ in range(3 * len(plan.jobs)):  # nobody looks but the dispatcher
        list(queue.entries("fraud"))
    assert {entry.status for entry in queue.ledger.values()} == {Status.COMPLETED}
    assert queue.most_at_once <= plan.slots
    assert running(queue, file).detach() == 0
    assert running(queue, file).run(EVERY).ended


def test_a_runner_takes_over_what_was_left_to_the_queue(file: Path) -> None:
    queue, plan = Queue(), small("independent", trials=40)
    running(queue, file, plan).detach()
    sent = dict(queue.ledger)
    assert running(queue, file).run(EVERY).ended
    assert queue.ledger.keys() == sent.keys()


def test_a_direct_campaign_cannot_be_left(account: DirectAccount, file: Path) -> None:
    small("independent").save(file)
    with pytest.raises(InvalidPlan, match="queue"):
        RunningCampaign(file, account).detach()


@pytest.mark.parametrize("fate", [Status.FAILED, Status.REJECTED])
def test_a_campaign_none_of_whose_trials_completes_stops_spending(fate: Status, file: Path) -> None:
    queue, plan = Queue(fate), small("independent", trials=40)
    last = running(queue, file, plan).run(EVERY)
    assert last.hopeless
    assert not last.active
    assert len(queue.ledger) < len(plan.jobs) / 2
    again = running(queue, file).run(EVERY)
    assert again.states.keys() == last.states.keys()


def test_what_waits_in_the_queue_is_held_while_the_campaign_is_paused(file: Path) -> None:
    queue, plan = Queue(), small("independent", trials=40)
    campaign = running(queue, file, plan)
    campaign.detach()
    campaign.pause()
    looks = campaign.looks(EVERY)
    paused = [next(looks) for _ in range(5)][-1]
    assert paused.paused
    assert paused.active == queue.acts["hold"] > 0
    campaign.resume()
    assert list(looks)[-1].ended
    assert queue.acts["release"] == queue.acts["hold"]


def test_another_plan_of_the_name_is_refused(file: Path) -> None:
    queue, plan = Queue(), small("independent")
    running(queue, file, plan).run(EVERY)
    other = planned(plan.campaign.model_copy(update={"seed": 5}), "independent")
    with pytest.raises(OtherCampaign, match="another plan"):
        running(queue, file, other).run(EVERY)


class Listed:
    """Training jobs by tuning job; everything else is not allowed."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def get_paginator(self, operation: str) -> Listed:
        assert operation == "list_training_jobs_for_hyper_parameter_tuning_job"
        return self

    def paginate(self, **fields: Any) -> Any:
        name = fields["HyperParameterTuningJobName"]
        self.asked.append(name)
        job = {"TrainingJobName": f"{name}-001", "TrainingJobStatus": "Completed"}
        return [{"TrainingJobSummaries": [job]}]


def test_trials_of_a_request_that_made_room_are_those_of_all_its_tuning_jobs() -> None:
    plan, queue, sagemaker = small("independent"), Queue(), Listed()
    account = QueuedAccount(queue, "fraud", sagemaker)  # type: ignore[arg-type]
    request_id = plan.request_id(plan.jobs[0])
    earlier = EarlierJob(
        tuning_job_name="first", counters={"Completed": 1}, interrupted=1, seconds=9,
        instance_seconds=9, found=True,
    )  # fmt: skip
    queue.ledger[request_id] = Entry(
        team="fraud", request_id=request_id, status=Status.COMPLETED, accepted_at=NOON,
        earlier=(earlier,), tuning_job_name="second",
    )  # fmt: skip
    account.follow(plan)
    trials = account.trials(plan.jobs[0].number)
    assert [trial.name for trial in trials] == ["first-001", "second-001"]
