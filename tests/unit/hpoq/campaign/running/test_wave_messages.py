"""Campaigns over targets: a parent must be in the account and Region of its child."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import BestTrainingJob, Entry, Status
from hpoq.campaign.backends.queued import QueueBackend
from hpoq.campaign.running_campaign import RunningCampaign
from tests.support.small_campaigns import small_plan
from tests.support.stepped_queue import SteppedQueue, UnreadableSageMaker

ALL = ("home", "research", "spare")


class QueueOverTargets(SteppedQueue):
    """A queue whose requests start in turn on all targets, unless they name one."""

    def __init__(self, targets: Sequence[str]) -> None:
        super().__init__()
        self._targets = targets
        self._started = 0

    def on(self, _: str) -> Any:
        return self

    def service(self, *_: Any) -> Any:
        return UnreadableSageMaker()

    def _next(self, entry: Entry) -> Status:
        status = super()._next(entry)
        if status is Status.IN_PROGRESS and entry.status is Status.QUEUED and entry.request:
            target = self._targets[self._started % len(self._targets)]
            if len(entry.request.targets) == 1:
                (target,) = entry.request.targets
            self._started += 1
            objective = (7 * self._started % 11) / 11
            best = BestTrainingJob(
                name=f"{entry.request_id}-001", objective=objective, metric="auc",
                hyperparameters={"lr": "0.1"},
            )  # fmt: skip
            self.ledger[entry.request_id] = replace(
                entry, target=target, targets=tuple(ALL), best=best
            )
        return status

    def entries(self, team: str) -> Any:
        for key, entry in list(self.ledger.items()):
            status = self._next(entry)
            self.ledger[key] = replace(self.ledger[key], status=status)
        yield from self.ledger.values()


@pytest.mark.parametrize("targets", [ALL, ALL[:2]])
def test_each_job_starts_warm_from_the_best_jobs_of_its_target(
    targets: Sequence[str], file: Path
) -> None:
    limits = {"targets": len(targets), "instances": 12, "parallel_training_jobs": 2}
    plan = small_plan("warm-waves", trials=96, limits=limits)
    plan.save(file)
    queue = QueueOverTargets(targets)
    sagemaker: Any = UnreadableSageMaker()
    backend: Any = QueueBackend(queue, "fraud", sagemaker)  # type: ignore[arg-type]
    assert RunningCampaign(file, backend).run(0.0).ended
    children = Counter[str]()
    for job in plan.jobs:
        entry = queue.ledger[plan.request_id(job)]
        assert entry.request is not None
        if not job.parents:
            assert entry.request.targets == ()
            continue
        parents = [queue.ledger[each] for each in entry.request.warm_start_from]
        assert parents
        assert entry.request.targets == (entry.target,)
        assert {parent.target for parent in parents} == {entry.target}
        best = sorted(
            (
                each.best.objective
                for before in plan.wave(job.wave - 1)
                if (each := queue.ledger[plan.request_id(before)]).target == entry.target
                and each.best
            ),
            reverse=True,
        )
        learned = [each.best.objective for each in parents if each.best]
        assert learned == best[: job.parents]
        children[entry.target] += 1
    assert set(children) == set(targets)
    assert max(children.values()) - min(children.values()) <= len(plan.jobs) // 4


def test_with_one_target_messages_name_none(file: Path) -> None:
    plan = small_plan("warm-waves", trials=96)
    plan.save(file)
    queue = QueueOverTargets(("home",))
    sagemaker: Any = UnreadableSageMaker()
    RunningCampaign(file, QueueBackend(queue, "fraud", sagemaker)).run(0.0)  # type: ignore[arg-type]
    requests = [entry.request for entry in queue.ledger.values()]
    assert all(each is not None and each.targets == () for each in requests)
    assert any(each is not None and each.warm_start_from for each in requests)
