"""`hpoq results`, `hpoq logs` and `hpoq best --download`."""

from __future__ import annotations

import csv
import io
import json
import sys
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import BestTrainingJob, Status
from hpo_dispatcher.ports import Ending
from hpoq.errors import NotFound
from hpoq.results import logs
from tests.support.command_line import Run
from tests.support.dispatcher_account import ENVIRONMENT, Account

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def summary(name: str, status: str, value: float | None = None) -> dict[str, Any]:
    metric = {"FinalHyperParameterTuningJobObjectiveMetric": {"Value": value}} if value else {}
    return {
        "TrainingJobName": name,
        "TrainingJobStatus": status,
        "TunedHyperParameters": {"lr": "0.5"},
        "TrainingStartTime": NOW,
        "TrainingEndTime": NOW,
        **({"FailureReason": f"AlgorithmError: of {name}"} if status == "Failed" else {}),
        **metric,
    }


class SageMaker:
    """The operations of SageMaker that results need, with three training jobs."""

    def __init__(self, model: str) -> None:
        self._model = model

    def get_paginator(self, _: str) -> SageMaker:
        return self

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        found = [summary("a-002", "Completed", 0.8), summary("a-001", "Completed", 0.7),
                 summary("a-003", "Failed")]  # fmt: skip
        return [{"TrainingJobSummaries": found}]

    def describe_training_job(self, **_: str) -> dict[str, Any]:
        artifacts = {"S3ModelArtifacts": self._model}
        return {"ModelArtifacts": artifacts, "TrainingJobStatus": "Completed"}


@pytest.fixture
def ended(account: Account, hpoq: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that has ended, with logs and a model."""
    account.request("fraud", "a")
    account.cycle()
    entry = account.dispatcher().requests.get("fraud", "a")
    assert entry is not None
    best = BestTrainingJob(name="a-002", objective=0.8, metric="auc", hyperparameters={})
    ending = Ending(
        team="fraud",
        request_id="a",
        was=(Status.IN_PROGRESS,),
        status=Status.COMPLETED,
        ended_at=NOW,
        tuning_job_name=entry.tuning_job_name,
        best=best,
    )
    assert account.dispatcher().requests.finish([ending])
    watched = account.session.client("logs")
    watched.create_log_group(logGroupName=logs.GROUP)
    for name in ("a-001", "a-002", "a-003"):
        stream = {"logGroupName": logs.GROUP, "logStreamName": f"{name}/algo-1"}
        watched.create_log_stream(**stream)
        event = {"timestamp": int(datetime.now(UTC).timestamp() * 1000), "message": f"of {name}"}
        watched.put_log_events(**stream, logEvents=[event])
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("model.bin"))
    bucket = ENVIRONMENT["HPOQ_ARTIFACT_BUCKET"]
    account.session.client("s3").put_object(Bucket=bucket, Key="m", Body=packed.getvalue())
    sagemaker = SageMaker(f"s3://{bucket}/m")
    from hpoq.client import Client

    real = Client.service
    monkeypatch.setattr(
        Client, "service",
        lambda self, name: sagemaker if name == "sagemaker" else real(self, name),
    )  # fmt: skip
    monkeypatch.setattr(Client, "model_uri", lambda self, entry: f"s3://{bucket}/m")


@pytest.mark.usefixtures("ended")
def test_results_are_csv_best_first(hpoq: Run, tmp_path: Path) -> None:
    _, out, _ = hpoq("results", "a")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["TrainingJobName"] for row in rows] == ["a-002", "a-001", "a-003"]
    assert rows[0]["lr"] == "0.5"
    file = tmp_path / "found.csv"
    hpoq("results", "a", "--out", str(file))
    assert file.read_text() == out


@pytest.mark.usefixtures("ended")
def test_results_go_to_a_file_by_its_ending(hpoq: Run, tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    assert hpoq("results", "a", "--out", str(file))[0] == 0
    assert json.loads(file.read_text())[0]["FinalObjectiveValue"] == 0.8
    missing = tmp_path / "none" / "found.csv"
    status, _, err = hpoq("results", "a", "--out", str(missing))
    expected = f"hpoq: {missing}: No such file or directory. Name another file or folder"
    assert (status, " ".join(err.split())) == (1, expected)
    status, _, err = hpoq("results", "a", "--out", str(tmp_path / "found.xlsx"))
    assert status == 2
    assert ".csv or .json" in err


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize(
    ("options", "printed"),
    [
        ((), "of a-002\n"),
        (("--trial", "1"), "of a-001\n"),
        (("--failed",), "of a-003\n"),
        (("--follow",), "of a-002\n"),
    ],
)
def test_logs_are_of_the_best_or_the_chosen_training_job(
    hpoq: Run, options: tuple[str, ...], printed: str
) -> None:
    assert hpoq("logs", "a", *options)[:2] == (0, printed)


@pytest.mark.usefixtures("ended")
def test_logs_of_a_failed_training_job_begin_with_the_reason(hpoq: Run) -> None:
    assert hpoq("logs", "a", "--failed") == (0, "of a-003\n", "a-003: AlgorithmError: of a-003\n")
    assert hpoq("logs", "a")[2] == ""


@pytest.mark.usefixtures("ended")
def test_best_says_why_it_knows_no_model(hpoq: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "sagemaker:DescribeTrainingJob" not in hpoq("best", "a")[2]
    from hpoq.client import Client

    monkeypatch.setattr(Client, "model_uri", lambda self, entry: None)
    assert "sagemaker:DescribeTrainingJob" in hpoq("best", "a")[2]


@pytest.mark.usefixtures("ended")
def test_best_shows_what_is_known_if_its_training_job_was_deleted(
    hpoq: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = "the training job a-002 is no longer in SageMaker"

    def refuse(*_: Any) -> None:
        raise NotFound(gone)

    monkeypatch.setattr("hpoq.client.Client.model_uri", refuse)
    status, out, err = hpoq("best", "a")
    assert status == 0
    assert "0.8" in out
    assert f"The model is not shown: {gone}" in err
    status, _, err = hpoq("best", "a", "--download", str(tmp_path / "model"))
    assert (status, err.count("\n")) == (1, 1)
    assert gone in err


@pytest.mark.usefixtures("ended")
def test_logs_of_an_unknown_training_job_say_so(hpoq: Run) -> None:
    _, out, err = hpoq("logs", "a", "--trial", "9")
    assert out == ""
    assert "has no training job 9" in err
    assert hpoq("logs", "a", "--trial", "1", "--failed")[0] == 2


@pytest.mark.usefixtures("ended")
def test_best_downloads_and_unpacks_the_model(hpoq: Run, tmp_path: Path) -> None:
    status, _, err = hpoq("best", "a", "--download", str(tmp_path / "model"))
    assert status == 0, err
    assert [file.name for file in (tmp_path / "model").iterdir()] == ["model.bin"]


@pytest.mark.usefixtures("ended")
def test_a_csv_is_exact_in_a_pipe_and_in_a_file_and_printable_on_a_terminal(
    hpoq: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    value = 'a\x1b[2K\u202e,\r"=1'
    monkeypatch.setattr("hpoq.results.training_jobs.rows", lambda _: [{"layers": value}])
    out = hpoq("results", "a")[1]
    assert list(csv.DictReader(io.StringIO(out, newline=""))) == [{"layers": value}]
    hpoq("results", "a", "--out", str(tmp_path / "r.csv"))
    with (tmp_path / "r.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"layers": value}]

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert 'a\\x1b[2K\\u202e,\\r""=1' in hpoq("results", "a")[1]
