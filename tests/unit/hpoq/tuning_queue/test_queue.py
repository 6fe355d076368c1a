"""Tuners, dicts and other people's code in a team's queue."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from boto3 import Session

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.errors import DuplicateRequest, InvalidRequest
from hpo_dispatcher.ports import Ending
from hpoq import TuningQueue
from hpoq.errors import NotDeployed, NotFound, UnusableData, UnusableTuner
from tests.support.dispatcher_account import ENVIRONMENT, RANGES, REGION, Account, account, session
from tests.support.ledger_record import take_in
from tests.support.sdk_tuner import SdkSession, SdkTuner
from tests.support.tuning_requests import api_request

__all__ = ["account", "session"]

ARTIFACTS = ENVIRONMENT["HPOQ_ARTIFACT_BUCKET"]
DATA = "s3://data/train/"


@pytest.fixture
def own(account: Account) -> Iterator[Session]:
    """Return a session of its own, because a hook stays with its session."""
    own = Session("testing", "testing", region_name=REGION)
    for bucket in (ARTIFACTS, "the-default-bucket"):
        own.client("s3").create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
    account.configure(
        guardrails={
            "input_prefixes": ["s3://data/", "s3://sagemaker-eu-central-1-111122223333/"],
            "output_prefixes": ["s3://sagemaker-eu-central-1-111122223333/"],
        }
    )
    account.cycle()
    yield own


@pytest.fixture
def queue(own: Session) -> TuningQueue:
    return TuningQueue("fraud", boto_session=own)


@pytest.fixture
def tuner(own: Session) -> SdkTuner:
    return SdkTuner(SdkSession(own))


def request_of(account: Account, request_id: str) -> dict[str, Any]:
    item = account.dynamodb.get_item(
        TableName="hpoq-ledger", Key={"team": {"S": "fraud"}, "id": {"S": request_id}}
    )["Item"]
    return json.loads(item["request"]["S"])


def test_a_tuner_waits_in_the_queue_instead_of_starting(
    account: Account, queue: TuningQueue, tuner: SdkTuner
) -> None:
    job = queue.submit(
        tuner, {"train": DATA}, priority=3, tags={"project": "x"}, expected_minutes=90
    )
    assert (job.status, job.tuning_job_name, account.tuning_jobs()) == ("Queued", "", [])
    assert "not received" in job.reason
    assert account.cycle().started == 1
    (name,) = account.tuning_jobs()
    assert job.tuning_job_name == name
    sent = request_of(account, job.request_id)
    assert (sent["priority"], sent["tags"]) == (3, {"project": "x"})
    assert sent["expected_minutes"] == 90
    assert sent["api_request"]["HyperParameterTuningJobName"] == job.request_id == tuner.name


def test_code_and_results_of_a_tuner_are_in_the_workspace(
    account: Account, own: Session, queue: TuningQueue, tuner: SdkTuner
) -> None:
    job = queue.submit(tuner, {"train": DATA})
    account.cycle()
    definition = request_of(account, job.request_id)["api_request"]["TrainingJobDefinition"]
    code = definition["StaticHyperParameters"]["sagemaker_submit_directory"].strip('"')
    assert code == f"s3://{ARTIFACTS}/teams/fraud/{job.request_id}/source/sourcedir.tar.gz"
    assert definition["OutputDataConfig"]["S3OutputPath"] == f"s3://{ARTIFACTS}/teams/fraud/"
    keys = [each["Key"] for each in own.client("s3").list_objects_v2(Bucket=ARTIFACTS)["Contents"]]
    assert keys == [f"teams/fraud/{job.request_id}/source/sourcedir.tar.gz"]
    session = tuner.sagemaker_session
    assert (session.default_bucket(), session.default_bucket_prefix) == ("the-default-bucket", None)


def test_local_files_are_uploaded_to_the_workspace(
    account: Account, queue: TuningQueue, tuner: SdkTuner, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("1,2")
    job = queue.submit(tuner, {"train": str(tmp_path / "rows.csv")})
    account.cycle()
    channel = request_of(account, job.request_id)["api_request"]["TrainingJobDefinition"][
        "InputDataConfig"
    ][0]
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == (
        f"s3://{ARTIFACTS}/teams/fraud/data/{job.request_id}/train/rows.csv"
    )


def test_a_channel_does_not_contain_the_folder_of_another_one(
    account: Account, own: Session, queue: TuningQueue, tuner: SdkTuner, tmp_path: Path
) -> None:
    """S3Prefix: SageMaker uses all objects whose keys begin with S3Uri (API reference)."""
    inputs = {}
    for name in ("train", "train-labels"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.csv").write_text(name)
        inputs[name] = str(tmp_path / name)
    job = queue.submit(tuner, inputs)
    account.cycle()
    definition = request_of(account, job.request_id)["api_request"]["TrainingJobDefinition"]
    uri = definition["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
    prefix = uri.removeprefix(f"s3://{ARTIFACTS}/")
    found = own.client("s3").list_objects_v2(Bucket=ARTIFACTS, Prefix=prefix)["Contents"]
    assert [each["Key"] for each in found] == [f"teams/fraud/data/{job.request_id}/train/rows.csv"]


def test_results_in_the_bucket_that_the_sdk_chose_move_to_the_workspace(
    account: Account, own: Session, queue: TuningQueue
) -> None:
    request = api_request("PyTorch source code")
    request["HyperParameterTuningJobName"] = "sdk-three"
    with queue.capture(own):
        own.client("sagemaker").create_hyper_parameter_tuning_job(**request)
    account.cycle()
    definition = request_of(account, "sdk-three")["api_request"]["TrainingJobDefinition"]
    place = definition["OutputDataConfig"]["S3OutputPath"]
    assert place == f"s3://{ARTIFACTS}/teams/fraud/pytorch-training-job"


def test_code_may_write_to_the_shared_folder_within_a_capture(
    own: Session, queue: TuningQueue
) -> None:
    keys = ("shared/rows.csv", "teams/fraud/rows.csv", "teams/vision/rows.csv", "job/code.tar.gz")
    with queue.capture(own):
        for key in keys:
            own.client("s3").put_object(Bucket=ARTIFACTS, Key=key, Body=b"")
    found = [each["Key"] for each in own.client("s3").list_objects_v2(Bucket=ARTIFACTS)["Contents"]]
    assert sorted(found) == sorted([*keys[:3], "teams/fraud/job/code.tar.gz"])


def test_a_tuner_sees_its_tuning_job_from_the_queue_to_the_end(
    account: Account, queue: TuningQueue, tuner: SdkTuner
) -> None:
    queue.submit(tuner, DATA)
    waiting = tuner.describe()
    assert waiting["HyperParameterTuningJobStatus"] == "InProgress"
    assert waiting["TrainingJobStatusCounters"]["Completed"] == 0
    assert f":{REGION}:" in waiting["HyperParameterTuningJobArn"]
    account.cycle()
    (name,) = account.tuning_jobs()
    assert tuner.describe()["HyperParameterTuningJobName"] == name


def test_a_tuner_sees_a_tuning_job_before_it_is_created_and_one_that_never_was(
    account: Account, queue: TuningQueue, tuner: SdkTuner
) -> None:
    job = queue.submit(tuner, DATA)
    take_in(account)
    dispatcher = account.dispatcher()
    requests, now = dispatcher.requests, dispatcher.clock()
    entry = requests.get("fraud", job.request_id)
    assert entry
    assert dispatcher.leases.acquire("killed", now, now + timedelta(minutes=1))
    assert requests.start([entry], "killed", now)  # and killed before it created the tuning job
    assert (job.status, job.tuning_job_name) == ("InProgress", "")
    assert tuner.describe()["HyperParameterTuningJobStatus"] == "InProgress"
    ending = Ending(
        team="fraud", request_id=job.request_id, was=(Status.IN_PROGRESS,), status=Status.FAILED,
        ended_at=now, reason="the role cannot be assumed",
    )  # fmt: skip
    assert requests.finish([ending])
    described = tuner.describe()
    assert described["HyperParameterTuningJobStatus"] == "Failed"
    assert described["FailureReason"] == "the role cannot be assumed"


def test_a_tuner_can_stop_what_has_not_started(
    account: Account, queue: TuningQueue, tuner: SdkTuner
) -> None:
    job = queue.submit(tuner, DATA)
    tuner.sagemaker_session.sagemaker_client.stop_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=tuner.name
    )
    account.cycle()
    assert job.status == Status.CANCELLED
    assert account.tuning_jobs() == []
    assert tuner.describe()["HyperParameterTuningJobStatus"] == "Stopped"


def test_code_that_cannot_be_changed_is_captured(
    account: Account, own: Session, queue: TuningQueue
) -> None:
    client = SdkSession(own).sagemaker_client
    request = api_request()
    with queue.capture(own, after=["earlier"]) as jobs:
        own.client("sagemaker").create_hyper_parameter_tuning_job(**request)
    assert [job.request_id for job in jobs] == [request["HyperParameterTuningJobName"]]
    account.cycle()
    assert account.tuning_jobs() == []
    assert "earlier" in jobs[0].reason
    client.create_hyper_parameter_tuning_job(**request)  # outside of the block, as always
    assert account.tuning_jobs() == [request["HyperParameterTuningJobName"]]


def test_a_client_that_exists_already_is_captured_itself(
    account: Account, own: Session, queue: TuningQueue
) -> None:
    client = own.client("sagemaker")
    with queue.capture(client) as jobs:
        client.create_hyper_parameter_tuning_job(**api_request())
    (job,) = jobs
    described = client.describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=job.request_id
    )
    assert described["HyperParameterTuningJobStatus"] == "InProgress"
    assert account.tuning_jobs() == []


def test_a_dict_is_an_api_request_or_a_message(account: Account, queue: TuningQueue) -> None:
    nameless = {k: v for k, v in api_request().items() if k != "HyperParameterTuningJobName"}
    first = queue.submit(nameless)
    second = queue.submit(nameless)
    short = queue.submit({"hyperparameter_ranges": RANGES}, after=[first, second.request_id])
    account.cycle()
    assert len({first.request_id, second.request_id, short.request_id}) == 3
    assert request_of(account, short.request_id)["after"] == [first.request_id, second.request_id]
    assert len(account.tuning_jobs()) == 2


def test_a_wrong_request_is_not_sent(account: Account, queue: TuningQueue, own: Session) -> None:
    wrong = SdkTuner(SdkSession(own), Autotune={"Mode": "Sometimes"})
    with pytest.raises(InvalidRequest, match=r"api_request\.Autotune\.Mode"):
        queue.submit(wrong, DATA)
    with pytest.raises(UnusableTuner, match="Pass a HyperparameterTuner"):
        queue.submit(object())
    with pytest.raises(InvalidRequest, match="256 KB"):
        queue.submit(too_large())
    assert account.waiting("fraud") == 0
    with pytest.raises(InvalidRequest, match="job_names"):
        queue.map(wrong, [DATA, DATA], ["one"])


def too_large() -> dict[str, Any]:
    """Return a request of more than 256 KB that SageMaker would accept."""
    request = api_request()
    definition = request["TrainingJobDefinition"]
    static = {f"p{number}": "x" * 2500 for number in range(100)}
    environment = {f"V{number}": "x" * 512 for number in range(48)}
    definition = {**definition, "StaticHyperParameters": static, "Environment": environment}
    return {**request, "TrainingJobDefinition": definition}


def test_a_request_id_of_another_request_is_not_sent_again(
    account: Account, queue: TuningQueue, tuner: SdkTuner
) -> None:
    first = queue.submit(tuner, DATA, "mine")
    account.cycle()
    assert queue.submit(tuner, DATA, "mine").tuning_job_name == first.tuning_job_name
    with pytest.raises(DuplicateRequest, match="'mine' was already used"):
        queue.submit(tuner, DATA, "mine", priority=7)
    assert account.cycle().rejected == 0
    assert len(account.tuning_jobs()) == 1


def test_the_name_within_a_message_in_api_form_is_the_request_id(queue: TuningQueue) -> None:
    name = api_request()["HyperParameterTuningJobName"]
    assert queue.submit({"api_request": api_request()}).request_id == name
    named = queue.submit({"api_request": api_request()}, job_name="other")
    assert named.request_id == "other"


def test_arguments_win_over_the_fields_of_a_message(account: Account, queue: TuningQueue) -> None:
    message = {"hyperparameter_ranges": RANGES, "priority": 1, "tags": {"a": "1", "b": "1"}}
    job = queue.submit(message, priority=5, tags={"b": "2"})
    account.cycle()
    sent = request_of(account, job.request_id)
    assert (sent["priority"], sent["tags"]) == (5, {"a": "1", "b": "2"})
    for ignored in ({"inputs": DATA}, {"include_cls_metadata": False}):
        with pytest.raises(InvalidRequest, match="only tuners take it"):
            queue.submit(message, **ignored)


@dataclass
class InputData:
    """A channel as version 3 of the SDK has it."""

    channel_name: str
    data_source: str

    def model_copy(self, update: dict[str, str]) -> InputData:
        return replace(self, **update)


@pytest.mark.parametrize("form", ["path", "text", "file URI", "InputData"])
def test_local_inputs_may_have_any_form(
    account: Account, queue: TuningQueue, tuner: SdkTuner, tmp_path: Path, form: str
) -> None:
    file = tmp_path / "the rows.csv"
    file.write_text("1,2")
    forms: dict[str, Any] = {
        "path": file, "text": str(file), "file URI": file.as_uri(),
        "InputData": [InputData("train", str(file))],
    }  # fmt: skip
    given = forms[form]
    job = queue.submit(tuner, given if form == "InputData" else {"train": given})
    account.cycle()
    (channel, *_) = request_of(account, job.request_id)["api_request"]["TrainingJobDefinition"][
        "InputDataConfig"
    ]
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == (
        f"s3://{ARTIFACTS}/teams/fraud/data/{job.request_id}/train/the rows.csv"
    )


def test_local_files_of_code_that_starts_its_tuner_itself_go_to_the_workspace(
    account: Account, own: Session, queue: TuningQueue, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("1,2")
    tuner = SdkTuner(SdkSession(own))
    with queue.capture(tuner.sagemaker_session):
        tuner.fit({"train": str(tmp_path)}, job_name="own-code", wait=False)
    account.cycle()
    definition = request_of(account, "own-code")["api_request"]["TrainingJobDefinition"]
    source = definition["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    assert source["S3Uri"] == f"s3://{ARTIFACTS}/teams/fraud/data/own-code/train/"
    stored = own.client("s3").get_object(
        Bucket=ARTIFACTS, Key="teams/fraud/data/own-code/train/rows.csv"
    )
    assert stored["Body"].read() == b"1,2"


def test_a_misspelled_file_is_one_line(queue: TuningQueue, tuner: SdkTuner) -> None:
    with pytest.raises(UnusableData, match=r"inputs: data/trian: no such file or folder"):
        queue.submit(tuner, {"train": "data/trian"})
    session = tuner.sagemaker_session.boto_session
    with (
        queue.capture(session),
        pytest.raises(UnusableData, match=r"data/trian: no such file or folder"),
    ):
        tuner.fit({"train": "data/trian"}, job_name="own-code", wait=False)


class LocalClient:
    """The client of the SDK's LocalSession, which is not a client of botocore."""


class PipelineTuner(SdkTuner):
    """A tuner in a PipelineSession, whose ``fit`` returns the arguments of a step."""

    def fit(self, inputs: Any, job_name: str, wait: bool) -> None:
        assert job_name
        assert not wait


def test_tuners_that_create_nothing_in_sagemaker_are_one_line(
    own: Session, queue: TuningQueue, tuner: SdkTuner
) -> None:
    with pytest.raises(UnusableTuner, match="created 0 tuning jobs"):
        queue.submit(PipelineTuner(SdkSession(own)), DATA)
    tuner.sagemaker_session.sagemaker_client = LocalClient()
    with pytest.raises(UnusableTuner, match="local mode"):
        queue.submit(tuner, DATA)


def test_queues_that_share_a_session_keep_their_tuning_jobs(account: Account, own: Session) -> None:
    """Each call creates its queue, as in the documentation, and both run at once."""
    session = SdkSession(own)
    tuners = [SdkTuner(session) for _ in range(12)]
    teams = ["fraud", "vision"] * 6
    with ThreadPoolExecutor(6) as pool:
        jobs = list(
            pool.map(
                lambda team, tuner: TuningQueue(team, boto_session=own).submit(tuner, DATA),
                teams,
                tuners,
            )
        )
    assert [job.team for job in jobs] == teams
    assert [job.request_id for job in jobs] == [tuner.name for tuner in tuners]
    places = [job.api_request["TrainingJobDefinition"]["OutputDataConfig"] for job in jobs]
    assert [place["S3OutputPath"] for place in places] == [
        f"s3://{ARTIFACTS}/teams/{team}/" for team in teams
    ]
    assert (session.default_bucket(), session.default_bucket_prefix) == ("the-default-bucket", None)


def test_the_inner_one_of_two_captures_gets_the_tuning_job(account: Account, own: Session) -> None:
    client, request = own.client("sagemaker"), api_request()
    fraud, vision = (TuningQueue(team, boto_session=own) for team in ("fraud", "vision"))
    with fraud.capture(own) as outer, vision.capture(own) as inner:
        own.client("sagemaker").create_hyper_parameter_tuning_job(**request)
    assert ([job.team for job in outer], [job.team for job in inner]) == ([], ["vision"])
    assert client.meta.service_model.service_name == "sagemaker"


def test_map_submits_one_job_for_each_input(
    account: Account, queue: TuningQueue, tuner: SdkTuner
) -> None:
    jobs = queue.map(tuner, ["s3://data/a/", "s3://data/b/"], priority=1)
    assert len({job.request_id for job in jobs}) == 2
    assert account.cycle().started == 2
    assert {job.request_id for job in queue.list_jobs()} == {job.request_id for job in jobs}
    assert queue.list_jobs(status="Queued") == []
    assert [job.request_id for job in queue.list_jobs(jobs[0].request_id)] == [jobs[0].request_id]
    assert queue.get_job(jobs[1].request_id).tuning_job_name in account.tuning_jobs()
    with pytest.raises(NotFound):
        queue.get_job("unknown")
    with pytest.raises(InvalidRequest, match=r"unknown status 'Running'\. Use one of Q"):
        queue.list_jobs(status="Running")


def test_warm_start_parents_of_the_queue_become_dependencies(
    account: Account, queue: TuningQueue, own: Session
) -> None:
    parent = queue.submit(SdkTuner(SdkSession(own)), DATA)
    parents = [
        {"HyperParameterTuningJobName": name} for name in (parent.request_id, "made-elsewhere")
    ]
    warm = {"WarmStartType": "TransferLearning", "ParentHyperParameterTuningJobs": parents}
    child = queue.submit(SdkTuner(SdkSession(own), WarmStartConfig=warm), DATA)
    account.cycle()
    assert request_of(account, child.request_id)["warm_start_from"] == [parent.request_id]
    assert parent.request_id in child.reason


def test_the_team_comes_from_the_environment(
    account: Account, own: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPOQ_TEAM", "vision")
    assert TuningQueue(boto_session=own).team == "vision"
    monkeypatch.delenv("HPOQ_TEAM")
    with pytest.raises(InvalidRequest, match=r"team: missing\. Name it"):
        TuningQueue(boto_session=own)


def test_an_unknown_team_is_one_line_and_nothing_is_uploaded(own: Session, tuner: SdkTuner) -> None:
    queue = TuningQueue("fruad", boto_session=own)
    with pytest.raises(NotDeployed, match=r"no team 'fruad'\. Did you mean fraud\?"):
        queue.submit(tuner, DATA)
    assert "Contents" not in own.client("s3").list_objects_v2(Bucket=ARTIFACTS)


def test_import_hpoq_imports_nothing_else() -> None:
    code = "import hpoq, sys; assert not {'boto3', 'pydantic', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
