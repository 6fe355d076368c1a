"""`hpoq why`: one command from a request to the reason, also that of its training jobs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.ports import Ending
from hpoq.client import Client
from hpoq.errors import NotPermitted
from hpoq.results import logs
from tests.support.command_line import Run
from tests.support.dispatcher_account import Account

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REASON = "AlgorithmError: ExecuteUserScriptError, exit code: 1"


class SageMaker:
    """A tuning job with three training jobs, two of which failed for the same reason."""

    def get_paginator(self, _: str) -> SageMaker:
        return self

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        found = [
            {
                "TrainingJobName": f"a-00{number}",
                "TrainingJobStatus": status,
                "TunedHyperParameters": {},
                "FailureReason": REASON if status == "Failed" else "",
            }
            for number, status in ((1, "Completed"), (2, "Failed"), (3, "Failed"))
        ]
        return [{"TrainingJobSummaries": found}]


@pytest.fixture
def failed(account: Account, hpoq: Run, monkeypatch: pytest.MonkeyPatch) -> SageMaker:
    """A request whose tuning job failed, with the log of its first failed training job."""
    account.request("fraud", "a")
    account.cycle()
    entry = account.dispatcher().requests.get("fraud", "a")
    assert entry is not None
    ending = Ending(
        team="fraud",
        request_id="a",
        was=(Status.IN_PROGRESS,),
        status=Status.FAILED,
        ended_at=NOW,
        tuning_job_name=entry.tuning_job_name,
        reason="All training jobs failed.",
    )
    assert account.dispatcher().requests.finish([ending])
    watched = account.session.client("logs")
    watched.create_log_group(logGroupName=logs.GROUP)
    stream = {"logGroupName": logs.GROUP, "logStreamName": "a-002/algo-1"}
    watched.create_log_stream(**stream)
    at = int(datetime.now(UTC).timestamp() * 1000)
    events = [{"timestamp": at + n, "message": f"line {n}"} for n in range(50)]
    watched.put_log_events(**stream, logEvents=events)
    sagemaker, real = SageMaker(), Client.service
    monkeypatch.setattr(
        Client,
        "service",
        lambda self, name: sagemaker if name == "sagemaker" else real(self, name),
    )
    return sagemaker


@pytest.mark.usefixtures("failed")
def test_a_failed_request_shows_its_reasons_and_the_log_of_the_first_failure(hpoq: Run) -> None:
    status, out, _ = hpoq("why", "a", "--lines", "3")
    assert status == 0
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines[0] == "a is Failed: All training jobs failed."
    assert lines[2].split() == ["2", "of", "3", "trial", "2", *REASON.split()]
    assert lines[3:] == ["last 3 lines of a-002:", "  line 47", "  line 48", "  line 49"]


@pytest.mark.usefixtures("failed")
def test_programs_get_the_same_as_json(hpoq: Run) -> None:
    assert json.loads(hpoq("why", "a", "-n", "1", "--json")[1]) == {
        "request_id": "a",
        "team": "fraud",
        "status": "Failed",
        "reason": "All training jobs failed.",
        "failures": [{"reason": REASON, "count": 2, "first": "a-002"}],
        "log": ["line 49"],
    }


def test_who_may_not_list_training_jobs_still_sees_the_reason(
    hpoq: Run, failed: SageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: str) -> None:
        raise NotPermitted("training jobs of x: not authorized")

    monkeypatch.setattr(failed, "paginate", refuse)
    status, out, err = hpoq("why", "a")
    assert (status, out) == (0, "a is Failed: All training jobs failed.\n")
    assert err == "the training jobs cannot be read: training jobs of x: not authorized\n"


def test_a_waiting_and_a_rejected_request_say_why(hpoq: Run, account: Account) -> None:
    account.request("fraud", "waits", after=["never"])
    account.request("fraud", "wrong", template="gpu")
    account.cycle()
    assert hpoq("why", "waits")[1] == ("waits is Queued: waits for never (not in the ledger yet)\n")
    _, out, err = hpoq("why", "wrong")
    assert out.startswith("wrong is Rejected: template: unknown template 'gpu'. Use one of ")
    assert err == "Fix and resubmit it: hpoq redrive --team fraud --edit --filter wrong\n"


def test_a_completed_request_without_a_result_says_that_the_metric_was_not_found(
    hpoq: Run, account: Account
) -> None:
    account.request("fraud", "a")
    account.cycle()
    account.dispatcher().requests.finish(
        [
            Ending(
                team="fraud",
                request_id="a",
                was=(Status.IN_PROGRESS,),
                status=Status.COMPLETED,
                ended_at=NOW,
            )
        ]
    )
    text = "no training job reported the objective metric. Compare the regular expression"
    assert text in " ".join(hpoq("status", "a")[1].split())
    status, _, err = hpoq("best", "a")
    assert status == 1
    assert f"a is Completed and has no best training job: {text}" in err


def test_an_unknown_request_says_what_may_have_become_of_it(hpoq: Run, account: Account) -> None:
    account.request("fraud", "sent")
    status, _, err = hpoq("why", "sent")
    assert status == 1
    assert "1 message in the queue of team fraud, not yet taken in" in err
