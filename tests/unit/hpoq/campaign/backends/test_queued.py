"""Campaigns through a queue whose ledger advances one step per poll."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import EarlierJob, Entry, Status
from hpoq.campaign.backends.curve_reader import CurveReader
from hpoq.campaign.backends.direct import DirectBackend
from hpoq.campaign.backends.queued import QueueBackend
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.errors import InvalidPlan, OtherCampaign
from hpoq.campaign.planning.compare import planned
from hpoq.campaign.running_campaign import RunningCampaign
from hpoq.errors import NotReachable
from tests.support.small_campaigns import small_plan
from tests.support.stepped_queue import NOON, SteppedQueue, UnreadableSageMaker

EVERY = 0.0


def running(queue: Any, file: Path, plan: CampaignPlan | None = None) -> RunningCampaign:
    if plan:
        plan.save(file)
    sagemaker: Any = UnreadableSageMaker()
    return RunningCampaign(file, QueueBackend(queue, "fraud", sagemaker))


def test_a_campaign_began_when_the_ledger_says_though_no_poll_saw_its_jobs_running(
    file: Path,
) -> None:
    queue = SteppedQueue()
    campaign = running(queue, file, small_plan("independent", trials=40))
    assert campaign.began is None
    assert campaign.run(EVERY).ended
    assert campaign.began == NOON


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


REGIONS = {"home": "eu-central-1", "research": "us-east-1"}


class Listed:
    """Training jobs by tuning job; everything else is not allowed."""

    def __init__(self, region: str = REGIONS["home"]) -> None:
        self.asked: list[str] = []
        endpoint = f"https://api.sagemaker.{region}.amazonaws.com"
        self.meta = SimpleNamespace(endpoint_url=endpoint, region_name=region)

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


def over_targets(file: Path) -> tuple[RunningCampaign, dict[str, Listed]]:
    """Return a campaign whose tuning jobs ran on two targets, and SageMaker of each."""
    plan, queue = small_plan("independent", limits={"targets": 2}), SteppedQueue()
    plan.save(file)
    there = {name: Listed(region) for name, region in REGIONS.items()}
    for number, job in enumerate(plan.jobs):
        target = ("home", "research")[number % 2]
        request_id = plan.request_id(job)
        queue.ledger[request_id] = Entry(
            team="fraud", request_id=request_id, status=Status.COMPLETED, accepted_at=NOON,
            tuning_job_name=f"{target}-{number}", target=target, targets=("home", "research"),
            started_at=NOON,
        )  # fmt: skip
    client: Any = queue
    client.on = lambda target: SimpleNamespace(service=lambda *_: there[target])
    return RunningCampaign(file, QueueBackend(client, "fraud", there["home"])), there  # type: ignore[arg-type]


def test_trials_of_all_targets_are_in_one_table_and_report_with_their_target(file: Path) -> None:
    campaign, there = over_targets(file)
    table = campaign.results()
    assert campaign.began == NOON
    assert len(table) == len(campaign.plan.jobs)
    assert all(
        name.startswith(target) for name, target in zip(table.trial, table.target, strict=True)
    )
    assert set(there["research"].asked) == {f"research-{n}" for n in range(1, len(table), 2)}
    assert set(there["home"].asked) == {f"home-{n}" for n in range(0, len(table), 2)}
    page = campaign.report(file.with_suffix(".html")).read_text()
    data = json.loads(re.findall(r'id="all-trials-data">(.*?)</script>', page)[0])
    assert data["titles"][data["where"]] == "target"
    assert {row[data["where"]] for row in data["rows"]} == {"home", "research"}
    assert data["consoles"] == {
        name: f"https://{region}.console.aws.amazon.com/sagemaker/home?region={region}#/jobs/"
        for name, region in REGIONS.items()
    }


def test_learning_curves_are_read_on_the_target_of_each_trial(file: Path) -> None:
    campaign, there = over_targets(file)
    read: dict[str, set[str]] = {"home": set(), "research": set()}

    class Logged:
        """The services of a target, with one line of log per training job."""

        def __init__(self, target: str) -> None:
            self.target = target

        def service(self, name: str) -> Any:
            return {"sagemaker": self, "logs": self}[name]

        def describe_training_job(self, **_: Any) -> Any:
            definition = {"Name": "loss", "Regex": "loss=([0-9.]+)"}
            return {"AlgorithmSpecification": {"MetricDefinitions": [definition]}}

        def get_paginator(self, _: str) -> Logged:
            return self

        def paginate(self, **asked: Any) -> Any:
            prefix = asked["logStreamNamePrefix"]
            read[self.target].add(prefix)
            return [{"logStreams": [{"logStreamName": f"{prefix}algo-1"}]}]

        def get_log_events(self, **asked: Any) -> Any:
            texts = [] if "nextToken" in asked else ["loss=2", "loss=1"]
            events = [{"timestamp": n, "message": text} for n, text in enumerate(texts)]
            return {"events": events, "nextForwardToken": "end"}

    home: Any = Logged("home")
    reader = CurveReader(home, home, Logged)
    campaign = RunningCampaign(file, campaign.backend, reader)
    table = campaign.results().assign(usable=True, rank=range(1, len(there["home"].asked) * 2 + 1))
    curves = campaign.curves(table, 4)
    assert curves.note == ""
    assert curves.table["trial"].nunique() == 4
    for target, prefixes in read.items():
        assert prefixes
        assert all(prefix.startswith(target) for prefix in prefixes)


def test_a_direct_campaign_refuses_a_request_for_another_target(
    backend: DirectBackend, file: Path
) -> None:
    small_plan("independent", request_extras={"targets": ["research"]}).save(file)
    with pytest.raises(InvalidPlan, match="runs at home, but the request names research"):
        RunningCampaign(file, backend).run(EVERY)


def test_a_campaign_on_a_target_without_access_says_so_and_leaves_nothing_out(file: Path) -> None:
    campaign, _ = over_targets(file)
    client: Any = campaign.backend
    no_access = NotReachable("target research is in account 222222222222")

    def on(_: str) -> Any:
        raise no_access

    vars(client)["_client"].on = on
    with pytest.raises(NotReachable, match="target research is in account"):
        campaign.results()
    assert len(client.poll()) == len(campaign.plan.jobs)  # its states are in the ledger


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
