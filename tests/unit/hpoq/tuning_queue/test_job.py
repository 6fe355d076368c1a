"""A queued job, followed to its end."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from boto3 import Session

from hpo_dispatcher.contract.entry import BestTrainingJob, Status
from hpo_dispatcher.ports import Ending
from hpoq import TuningQueue, TuningQueuedJob
from hpoq.errors import NotCompleted, NotFound
from tests.support.dispatcher_account import RANGES, Account, account, session

__all__ = ["account", "session"]

BEST = BestTrainingJob(name="job-007", objective=0.91, metric="auc", hyperparameters={"lr": "0.1"})


@pytest.fixture
def job(account: Account, session: Session) -> TuningQueuedJob:
    account.cycle()
    queue = TuningQueue("fraud", boto_session=session)
    return queue.submit({"hyperparameter_ranges": RANGES}, job_name="r1")


def end(account: Account, status: Status, best: BestTrainingJob | None = None) -> None:
    requests = account.dispatcher().requests
    entry = requests.get("fraud", "r1")
    assert entry is not None
    ending = Ending(
        team="fraud",
        request_id="r1",
        was=(Status.IN_PROGRESS,),
        status=status,
        ended_at=datetime.now(UTC),
        tuning_job_name=entry.tuning_job_name,
        counters={"Completed": 3},
        best=best,
    )
    assert requests.finish([ending])


def test_a_waiting_job_has_a_position_and_a_reason(account: Account, job: TuningQueuedJob) -> None:
    assert (job.position, job.estimated_start, job.best_training_job) == (None, None, None)
    account.configure(limits={"tuning_jobs": 1})
    account.request("vision", "first", priority=5)
    account.request("fraud", "before", priority=5)
    account.cycle()
    account.cycle()
    assert job.status == "Queued"
    assert job.position in (1, 2)
    assert "tuning job" in job.reason
    with pytest.raises(NotFound, match="no tuning job yet"):
        job.tuner()


def test_waiting_prints_progress_and_returns_the_final_status(
    account: Account, job: TuningQueuedJob, capsys: pytest.CaptureFixture[str]
) -> None:
    account.cycle()
    end(account, Status.COMPLETED, BEST)
    assert job.wait(logs=False) == "Completed"
    assert "r1: Completed, 3 of" in capsys.readouterr().out
    assert job.best_training_job == "job-007"
    assert job.position is None


def test_a_job_without_a_result_raises(account: Account, job: TuningQueuedJob) -> None:
    with pytest.raises(NotCompleted, match="has not ended within 0 seconds"):
        job.wait(timeout=0)
    job.cancel()
    account.cycle()
    with pytest.raises(NotCompleted, match="r1 is Cancelled"):
        job.wait(logs=False)
