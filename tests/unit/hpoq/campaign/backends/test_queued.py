"""Campaigns through a queue whose ledger advances one step per poll."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import EarlierJob, Entry, Status
from hpoq.campaign.backends.direct import DirectBackend
from hpoq.campaign.backends.queued import QueueBackend
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.errors import InvalidPlan, OtherCampaign
from hpoq.campaign.planning.compare import planned
from hpoq.campaign.running_campaign import RunningCampaign
from tests.support.small_campaigns import small_plan
from tests.support.stepped_queue import NOON, SteppedQueue, UnreadableSageMaker

EVERY = 0.0


def running(queue: Any, file: Path, plan: CampaignPlan | None = None) -> RunningCampaign:
    if plan:
        plan.save(file)
    sagemaker: Any = UnreadableSageMaker()
    return RunningCampaign(file, QueueBackend(queue, "fraud", sagemaker))


def test_requests_are_sent_as_slots_become_free(file: Path) -> None:
    queue, plan = SteppedQueue(), small_plan("independent", trials=40)
    looks = list(running(queue, file, plan).updates(EVERY))
    assert len(looks[1].states) < len(plan.jobs)
    assert looks[-1].ended
    assert len(queue.ledger) == len(plan.jobs)
    assert queue.most_at_once == plan.slots
    assert not any(entry.request.after for entry in queue.ledger.values() if entry.request)


def test_a_wave_left_to_the_queue_needs_no_runner(file: Path) -> None:
    queue, plan = SteppedQueue(), small_plan("independent", trials=40)
    assert running(queue, file, plan).detach() == len(plan.jobs)
    assert len(queue.ledger) == len(plan.jobs)
    for _ in range(3 * len(plan.jobs)):  # only the dispatcher runs
        list(queue.entries("fraud"))
    assert {entry.status for entry in queue.ledger.values()} == {Status.COMPLETED}
    assert queue.most_at_once <= plan.slots
    assert running(queue, file).detach() == 0
    assert running(queue, file).run(EVERY).ended


def test_a_runner_takes_over_a_wave_that_was_left_to_the_queue(file: Path) -> None:
    queue, plan = SteppedQueue(), small_plan("independent", trials=40)
    running(queue, file, plan).detach()
    sent = dict(queue.ledger)
    assert running(queue, file).run(EVERY).ended
    assert queue.ledger.keys() == sent.keys()


def test_a_direct_campaign_cannot_be_detached(backend: DirectBackend, file: Path) -> None:
    small_plan("independent").save(file)
    with pytest.raises(InvalidPlan, match="queue"):
        RunningCampaign(file, backend).detach()


@pytest.mark.parametrize("end_status", [Status.FAILED, Status.REJECTED])
def test_a_campaign_without_completed_trials_stops_spending(end_status: Status, file: Path) -> None:
    queue, plan = SteppedQueue(end_status), small_plan("independent", trials=40)
    last = running(queue, file, plan).run(EVERY)
    assert last.hopeless
    assert not last.active
    assert len(queue.ledger) < len(plan.jobs) / 2
    again = running(queue, file).run(EVERY)
    assert again.states.keys() == last.states.keys()


def test_queued_requests_are_held_while_the_campaign_is_paused(file: Path) -> None:
    queue, plan = SteppedQueue(), small_plan("independent", trials=40)
    campaign = running(queue, file, plan)
    campaign.detach()
    campaign.pause()
    looks = campaign.updates(EVERY)
    paused = [next(looks) for _ in range(5)][-1]
    assert paused.paused
    assert paused.active == queue.actions["hold"] > 0
    campaign.resume()
    assert list(looks)[-1].ended
    assert queue.actions["release"] == queue.actions["hold"]


def test_another_plan_of_the_same_name_is_rejected(file: Path) -> None:
    queue, plan = SteppedQueue(), small_plan("independent")
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
    plan, queue, sagemaker = small_plan("independent"), SteppedQueue(), Listed()
    account = QueueBackend(queue, "fraud", sagemaker)  # type: ignore[arg-type]
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


def test_a_campaign_reads_its_own_requests_until_they_have_ended(file: Path) -> None:
    queue, plan = SteppedQueue(), small_plan("independent", trials=40)
    asked: list[set[str]] = []

    class Recording:
        """The queue, which records the ids that are read."""

        submit, act = queue.submit, queue.act

        def get_all(self, team: str, request_ids: Iterable[str]) -> dict[str, Entry]:
            asked.append(set(request_ids))
            return queue.get_all(team, asked[-1])

    assert running(Recording(), file, plan).run(EVERY).ended
    assert asked[0] == {plan.request_id(job) for job in plan.jobs}
    assert all(later <= earlier for earlier, later in pairwise(asked))
    assert len(asked[-1]) < len(asked[0])
