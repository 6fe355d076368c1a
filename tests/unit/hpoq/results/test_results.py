"""Training jobs, models and logs of a request, as SageMaker, S3 and CloudWatch Logs report them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber
from moto import mock_aws

from hpo_dispatcher.contract.entry import BestTrainingJob, EarlierJob, Entry, Status
from hpoq.errors import NotFound, NotReachable
from hpoq.results import logs, models, training_jobs

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REQUEST = (
    '{"request_id":"r1","hyperparameter_ranges":{"lr":{"type":"continuous","min":0.1,"max":1}},'
    '"objective":{"metric":"loss","type":"%s"}}'
)


class Services:
    """The services of a deployment's account; the model of the best training job is here."""

    def __init__(self, model: str | None = None, **clients: Any) -> None:
        self.clients = clients
        self.model = model

    def on(self, target: str) -> Any:
        assert target == "home"
        return self

    def service(self, name: str) -> Any:
        return self.clients[name]

    def model_uri(self, entry: Entry) -> str | None:
        return self.model if entry.best else None


def entry(direction: str = "Minimize", best: bool = True) -> Entry:
    earlier = EarlierJob(
        tuning_job_name="first", counters={}, interrupted=0, seconds=1, instance_seconds=1,
        found=True,
    )  # fmt: skip
    return Entry(
        team="fraud",
        request_id="r1",
        status=Status.COMPLETED,
        accepted_at=NOW,
        request_json=REQUEST % direction,
        tuning_job_name="second",
        earlier=(earlier,),
        best=BestTrainingJob(name="b", objective=1.0, metric="loss", hyperparameters={})
        if best
        else None,
    )


def summary(name: str, value: float | None, **fields: Any) -> dict[str, Any]:
    metric = {"MetricName": "loss", "Value": value}
    final = {} if value is None else {"FinalHyperParameterTuningJobObjectiveMetric": metric}
    return {
        "TrainingJobName": name,
        "TrainingJobArn": f"arn:aws:sagemaker:eu-central-1:123456789012:training-job/{name}",
        "CreationTime": NOW,
        "TrainingStartTime": NOW,
        "TrainingEndTime": NOW + timedelta(seconds=90),
        "TrainingJobStatus": "Completed",
        "TunedHyperParameters": {"lr": "0.5", "optimizer": '"adam"'},
        **final,
        **fields,
    }


@pytest.fixture
def sagemaker() -> Any:
    client = boto3.client("sagemaker", "eu-central-1", aws_access_key_id="x",
                          aws_secret_access_key="y")  # fmt: skip
    stubber = Stubber(client)
    operation = "list_training_jobs_for_hyper_parameter_tuning_job"
    pages = [
        ("first", [summary("a", 3.0)], "more"),
        ("first", [summary("b", 1.0)], None),
        ("second", [summary("c", 2.0), summary("d", None, TrainingJobStatus="Failed")], None),
    ]
    token = None
    for tuning_job, found, following in pages:
        answer: dict[str, Any] = {"TrainingJobSummaries": found}
        expected = {"HyperParameterTuningJobName": tuning_job}
        stubber.add_response(
            operation,
            answer | ({"NextToken": following} if following else {}),
            expected | ({"NextToken": token} if token else {}),
        )
        token = following
    with stubber:
        yield client


@pytest.mark.parametrize(
    ("direction", "order"), [("Minimize", ["b", "c", "a", "d"]), ("Maximize", ["a", "c", "b", "d"])]
)
def test_training_jobs_of_all_tuning_jobs_come_best_first(
    sagemaker: Any, direction: str, order: list[str]
) -> None:
    found = training_jobs.of_entry(Services(sagemaker=sagemaker), entry(direction))
    assert [each.name for each in found] == order
    assert [each.name for each in training_jobs.failed(found)] == ["d"]


def test_the_data_frame_has_the_columns_of_the_sdk(sagemaker: Any) -> None:
    """HyperparameterTuningJobAnalytics in sagemaker/analytics.py of the SageMaker SDK 2.257.7."""
    found = training_jobs.of_entry(Services(sagemaker=sagemaker), entry())
    frame = training_jobs.data_frame(found)
    first = frame.iloc[0]
    assert (first["lr"], first["optimizer"], first["FinalObjectiveValue"]) == (0.5, "adam", 1.0)
    assert {"TrainingJobName", "TrainingJobStatus", "TrainingStartTime", "TrainingEndTime"} < set(
        frame.columns
    )
    assert first["TrainingElapsedTimeSeconds"] == 90


def test_a_refused_list_is_explained() -> None:
    client = boto3.client("sagemaker", "eu-central-1", aws_access_key_id="x",
                          aws_secret_access_key="y")  # fmt: skip
    with Stubber(client) as stubber:
        stubber.add_client_error(
            "list_training_jobs_for_hyper_parameter_tuning_job", "AccessDeniedException", "no"
        )
        with pytest.raises(NotReachable, match="training jobs of first"):
            training_jobs.of_entry(Services(sagemaker=client), entry())


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", "us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
        client.create_bucket(Bucket="artifacts")
        yield client


def archive(**files: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return packed.getvalue()


def test_a_model_is_unpacked_into_a_new_folder(s3: Any, tmp_path: Path) -> None:
    s3.put_object(Bucket="artifacts", Key="out/model.tar.gz", Body=archive(model="weights"))
    of = Services(model="s3://artifacts/out/model.tar.gz", s3=s3)
    folder = models.download(of, entry(), tmp_path / "a" / "b")
    assert (folder / "model").read_text() == "weights"


def test_a_model_cannot_write_outside_of_its_folder(s3: Any, tmp_path: Path) -> None:
    s3.put_object(Bucket="artifacts", Key="m", Body=archive(**{"../evil": "x"}))
    with pytest.raises(NotReachable, match="outside the destination"):
        models.download(Services(model="s3://artifacts/m", s3=s3), entry(), tmp_path / "model")
    assert not (tmp_path / "evil").exists()


def test_a_model_that_is_not_an_archive_is_explained(s3: Any, tmp_path: Path) -> None:
    s3.put_object(Bucket="artifacts", Key="m", Body=b"weights")
    with pytest.raises(NotReachable, match="model s3://artifacts/m: cannot be unpacked"):
        models.download(Services(model="s3://artifacts/m", s3=s3), entry(), tmp_path / "model")


def test_the_files_of_an_uncompressed_model_are_downloaded(s3: Any, tmp_path: Path) -> None:
    """CompressionType NONE of OutputDataConfig: S3ModelArtifacts is a folder."""
    for key in ("out/model/", "out/model/a.bin", "out/model/code/b.py", "out/model-2/c"):
        s3.put_object(Bucket="artifacts", Key=key, Body=b"x")
    of = Services(model="s3://artifacts/out/model/", s3=s3)
    folder = models.download(of, entry(), tmp_path / "model")
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {"a.bin", "code/b.py"}


def test_an_uncompressed_model_cannot_write_outside_of_its_folder(s3: Any, tmp_path: Path) -> None:
    for key in ("out/model/../evil", "out/model/a"):
        s3.put_object(Bucket="artifacts", Key=key, Body=b"x")
    of = Services(model="s3://artifacts/out/model/", s3=s3)
    models.download(of, entry(), tmp_path / "model")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a"]


def test_a_model_may_be_at_a_url_of_s3(s3: Any, tmp_path: Path) -> None:
    s3.put_object(Bucket="artifacts", Key="out/model.tar.gz", Body=archive(model="weights"))
    of = Services(model="https://s3.us-east-1.amazonaws.com/artifacts/out/model.tar.gz", s3=s3)
    assert (models.download(of, entry(), tmp_path) / "model").read_text() == "weights"


def test_a_missing_model_is_explained(s3: Any, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no training job reported the objective metric"):
        models.download(Services(s3=s3), entry(best=False), tmp_path)
    with pytest.raises(NotReachable, match="s3://artifacts/gone"):
        models.download(Services(model="s3://artifacts/gone", s3=s3), entry(), tmp_path)


def test_a_log_is_read_on_from_where_the_last_read_ended() -> None:
    client = boto3.client("logs", "eu-central-1", aws_access_key_id="x", aws_secret_access_key="y")
    with Stubber(client) as stubber:

        def streams() -> None:
            stubber.add_response(
                "describe_log_streams",
                {"logStreams": [{"logStreamName": "job/algo-1"}]},
                {"logGroupName": logs.GROUP, "logStreamNamePrefix": "job/"},
            )

        def read(text: str | None, token: str, **sent: str) -> None:
            events = [{"timestamp": 5, "message": text}] if text else []
            stubber.add_response(
                "get_log_events",
                {"events": events, "nextForwardToken": token},
                {"logGroupName": logs.GROUP, "logStreamName": ANY, "startFromHead": True, **sent},
            )

        streams()
        read("first", "t1")
        read(None, "t1", nextToken="t1")
        log = logs.TrainingJobLog(Services(logs=client), "job")
        assert log.new_lines() == [(5, "first")]
        streams()
        read("second", "t2", nextToken="t1")
        read(None, "t2", nextToken="t2")
        assert log.new_lines() == [(5, "second")]


def test_a_training_job_that_has_logged_nothing_has_an_empty_log() -> None:
    client = boto3.client("logs", "eu-central-1", aws_access_key_id="x", aws_secret_access_key="y")
    with Stubber(client) as stubber:
        stubber.add_client_error("describe_log_streams", "ResourceNotFoundException", "no group")
        assert list(logs.lines_of(Services(logs=client), "job")) == []
