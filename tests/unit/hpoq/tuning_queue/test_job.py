"""A queued job, followed to its end."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from boto3 import Session

from hpo_dispatcher.contract.entry import BestTrainingJob, Status
from hpo_dispatcher.ports import Ending
from hpoq import TuningQueue, TuningQueuedJob
from hpoq.errors import NotCompleted, NotFound
from hpoq.results.logs import GROUP
from tests.support.dispatcher_account import RANGES, Account, account, session

__all__ = ["account", "session"]

BEST = BestTrainingJob(name="job-007", objective=0.91, metric="auc", hyperparameters={"lr": "0.1"})


@pytest.fixture
def job(account: Account, session: Session) -> TuningQueuedJob:
    account.cycle()
    queue = TuningQueue("fraud", boto_session=session)
    return queue.submit({"hyperparameter_ranges": RANGES}, job_name="r1")


def end(
    account: Account, status: Status, best: BestTrainingJob | None = None, reason: str = ""
) -> None:
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
        reason=reason,
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


def test_names_and_reasons_of_others_are_printed_without_control_characters(
    account: Account, job: TuningQueuedJob, capsys: pytest.CaptureFixture[str]
) -> None:
    account.cycle()
    named = replace(BEST, metric="\x1b]0;owned\x07\u202eauc")
    end(account, Status.FAILED, named, reason="no \x1b[2Kmemory\u2066")
    with pytest.raises(NotCompleted) as raised:
        job.wait(logs=False)
    assert str(raised.value) == "r1 is Failed: no \\x1b[2Kmemory\\u2066"
    assert "best \\x1b]0;owned\\x07\\u202eauc 0.91" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("terminal", "shown"), [(True, "50 %\\r\\x1b[2K100 %\n"), (False, "50 %\r\x1b[2K100 %\n")]
)
def test_log_lines_are_printable_on_a_terminal_and_unchanged_in_a_pipe(
    account: Account,
    job: TuningQueuedJob,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    terminal: bool,
    shown: str,
) -> None:
    account.cycle()
    end(account, Status.COMPLETED, BEST)
    logs = account.session.client("logs")
    logs.create_log_group(logGroupName=GROUP)
    logs.create_log_stream(logGroupName=GROUP, logStreamName=f"{BEST.name}/algo-1-1")
    event = {"timestamp": int(time.time() * 1000), "message": "50 %\r\x1b[2K100 %"}
    logs.put_log_events(
        logGroupName=GROUP, logStreamName=f"{BEST.name}/algo-1-1", logEvents=[event]
    )
    monkeypatch.setattr("hpoq.results.training_jobs.of_entry", lambda *_: [])  # moto lists none
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    job.wait()
    assert capsys.readouterr().out.endswith(f"--- log of {BEST.name}\n{shown}")
