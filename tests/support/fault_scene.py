"""One cycle in which a dispatcher makes every call that it can make."""

from __future__ import annotations

import json
from datetime import UTC
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.message import request_id_of
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.ports import Preemption
from tests.support.dispatcher_account import RANGES, Account
from tests.support.ledger_record import take_in
from tests.support.waiting_workflows import STEP_TOKEN, callback_step, task_token

WRONG_STEP_TOKEN = "w" * 10
WRONG = {"request_id": "wrong", "template": "none", "hyperparameter_ranges": RANGES}
WRONG_STEP = {"request_id": "wrong-step", "zzz": 1}
STEP = callback_step(hyperparameter_ranges=RANGES)
STEP_REQUEST = request_id_of(STEP, "")
Answer = tuple[
    SimpleNamespace, dict[str, Any]
]  # what a "before-call" hook returns to replace the call
QUOTA = {"QuotaName": "ml.m5.large for training job usage", "Value": 500.0}
# The requests, and their statuses once everything has ended.
EXPECTED = {
    ("fraud", "ended"): Status.COMPLETED,
    ("fraud", "indexed"): Status.COMPLETED,
    ("fraud", "after-ended"): Status.COMPLETED,
    ("fraud", "child"): Status.COMPLETED,
    ("fraud", "cancelled"): Status.STOPPED,
    ("fraud", "goes-on"): Status.COMPLETED,
    ("fraud", "interrupted"): Status.COMPLETED,
    ("fraud", "repeated"): Status.COMPLETED,
    ("fraud", "new"): Status.COMPLETED,
    ("fraud", "crowded"): Status.COMPLETED,
    ("fraud", "parked"): Status.QUEUED,
    ("fraud", "early"): Status.CANCELLED,
    ("fraud", "fails"): Status.FAILED,
    ("fraud", "orphan"): Status.CANCELLED,
    ("fraud", "unwanted"): Status.CANCELLED,
    ("fraud", "answered"): Status.COMPLETED,
    ("fraud", STEP_REQUEST): Status.COMPLETED,
    ("fraud", "denied"): Status.COMPLETED,
    ("vision", "wrong"): Status.REJECTED,
    ("vision", "wrong-step"): Status.REJECTED,
    ("vision", "new"): Status.COMPLETED,
}
FOREIGN = "not-of-hpoq"
# The tokens of the workflows that wait, and the operations that answer them.
ANSWERED = {
    task_token("answered"): "SendTaskSuccess",
    task_token("denied"): "SendTaskSuccess",  # the first attempt fails
    task_token("child"): "SendTaskSuccess",
    task_token("goes-on"): "SendTaskSuccess",  # preempted and resumed
    task_token("wrong"): "SendTaskFailure",
    task_token("cancelled"): "SendTaskFailure",  # while it runs
    task_token("unwanted"): "SendTaskFailure",  # while it is queued
    task_token("fails"): "SendTaskFailure",
    task_token("orphan"): "SendTaskFailure",  # its parent fails
    STEP_TOKEN: "SendPipelineExecutionStepSuccess",
    WRONG_STEP_TOKEN: "SendPipelineExecutionStepFailure",
}
WAITING = task_token("parked")  # its request does not end


class ScriptedSageMaker:
    """Features that moto lacks: running tuning jobs, stops, searches, limits and quotas."""

    def __init__(self, account: Account) -> None:
        from moto.backends import get_backend

        self._backend = get_backend("sagemaker")["123456789012"]["eu-central-1"]
        self.crowded = True
        events = account.session.events
        self._hooks = [
            ("before-call.sagemaker.StopHyperParameterTuningJob", self._stop),
            ("before-call.sagemaker.Search", self._search),
            ("before-call.service-quotas.ListServiceQuotas", self._quotas),
            ("before-call.sagemaker.CreateHyperParameterTuningJob", self._create),
            ("before-call.sagemaker.DescribeTrainingJob", self._describe_training_job),
        ]
        for name, hook in self._hooks:
            events.register(name, hook)
        self._events = events

    def close(self) -> None:
        for name, hook in self._hooks:
            self._events.unregister(name, hook)

    def runs_on(self, name: str) -> None:
        self.ends(name, "InProgress")

    def ends(self, name: str, status: str) -> None:
        job = self._backend.hyper_parameter_tuning_jobs[name]
        job.hyper_parameter_tuning_job_status = status

    def _stop(self, params: Any, **_: Any) -> Answer:
        self.ends(json.loads(params["body"])["HyperParameterTuningJobName"], "Stopped")
        return SimpleNamespace(status_code=200), {}

    def _search(self, params: Any, **_: Any) -> Answer:
        """Return the one job that the search index already contains."""
        asked = json.loads(params["body"])
        if asked["Resource"] == "TrainingJob":  # moto runs none
            return SimpleNamespace(status_code=200), {"Results": []}
        [named] = asked["SearchExpression"]["Filters"]
        jobs = self._backend.hyper_parameter_tuning_jobs
        found = [jobs[name] for name in named["Value"].split(",") if "indexed" in name]
        records = [
            {
                "HyperParameterTuningJobName": job.hyper_parameter_tuning_job_name,
                "HyperParameterTuningJobConfig": job.hyper_parameter_tuning_job_config,
                "HyperParameterTuningJobStatus": job.hyper_parameter_tuning_job_status,
                "HyperParameterTuningEndTime": job.hyper_parameter_tuning_end_time.replace(
                    tzinfo=UTC
                ),
                "TrainingJobStatusCounters": job.training_job_status_counters,
            }
            for job in found
        ]
        results = [{"HyperParameterTuningJob": record} for record in records]
        return SimpleNamespace(status_code=200), {"Results": results}

    def _describe_training_job(self, **_: Any) -> Answer:
        artifacts = {"S3ModelArtifacts": "s3://artifacts/model.tar.gz"}
        return SimpleNamespace(status_code=200), {"ModelArtifacts": artifacts}

    def _quotas(self, **_: Any) -> Answer:
        return SimpleNamespace(status_code=200), {"Quotas": [QUOTA]}

    def _create(self, params: Any, **_: Any) -> None:
        """Reject one request once because of an account limit."""
        name = json.loads(params["body"])["HyperParameterTuningJobName"]
        if self.crowded and "crowded" in name:
            self.crowded = False
            error: Any = {"Error": {"Code": "ResourceLimitExceeded", "Message": "full"}}
            raise ClientError(error, "CreateHyperParameterTuningJob")


def prepare(account: Account, sagemaker: ScriptedSageMaker) -> None:
    """Prepare everything that the one cycle is going to process."""
    account.request("fraud", "ended")
    account.request("fraud", "indexed")
    account.request("fraud", "after-ended", after=["ended"])
    waits_for = {
        "child": ["ended", "new"],
        "parked": ["ended"],
        "unwanted": ["ended"],
        "orphan": ["fails"],
        **dict.fromkeys(("cancelled", "goes-on", "fails", "answered", "denied"), ()),
    }
    for request_id, after in waits_for.items():
        account.request("fraud", request_id, after=after, task_token=task_token(request_id))
    account.send("fraud", STEP)
    account.cycle()
    account.send("fraud", {"action": "hold", "request_id": "after-ended"})
    take_in(account)
    jobs = {name.rsplit("-", 1)[0]: name for name in account.tuning_jobs()}
    sagemaker.runs_on(jobs["fraud-cancelled"])
    sagemaker.runs_on(jobs["fraud-goes-on"])
    sagemaker.ends(jobs["fraud-fails"], "Failed")
    make_room(account)
    interrupt_a_start(account)
    create(account, "repeated")
    create(account, FOREIGN, HyperParameterTuningJobName=FOREIGN, Tags=[])
    sagemaker.runs_on(FOREIGN)
    for request_id in ("repeated", "new", "crowded", "ended"):
        account.request("fraud", request_id)
    account.request("vision", "new")
    account.send("vision", "not JSON")
    account.send("vision", WRONG | {"task_token": task_token("wrong")})
    account.send("vision", callback_step(WRONG_STEP_TOKEN, **WRONG_STEP))
    for action in (
        "cancel early", "cancel cancelled", "cancel unwanted", "hold parked",
        "release after-ended",
    ):  # fmt: skip
        verb, request_id = action.split()
        account.send("fraud", {"action": verb, "request_id": request_id})
    account.send("fraud", {"action": "priority", "request_id": "child", "priority": 5})


def make_room(account: Account) -> None:
    """Write what a cycle leaves that was killed before it stopped the tuning job."""
    dispatcher = account.dispatcher()
    requests, leases, now = dispatcher.requests, dispatcher.leases, dispatcher.clock()
    entry = requests.get("fraud", "goes-on")
    assert entry
    room = Preemption(
        team=entry.team,
        request_id=entry.request_id,
        tuning_job_name=entry.tuning_job_name,
        preempted_for=("vision", "new"),
        already_stopped=0,
    )
    assert leases.acquire("killed", now, now)
    assert requests.preempt([room], "killed")
    leases.release("killed", None)


def interrupt_a_start(account: Account) -> None:
    """Write what a cycle leaves that was killed before it created the tuning job."""
    account.request("fraud", "interrupted")
    take_in(account)
    dispatcher = account.dispatcher()
    requests, leases, now = dispatcher.requests, dispatcher.leases, dispatcher.clock()
    entry = requests.get("fraud", "interrupted")
    assert entry
    assert leases.acquire("killed", now, now)
    assert requests.start([entry], "killed", now)
    leases.release("killed", None)


def create(account: Account, request_id: str, **changed: Any) -> None:
    wanted = {"request_id": request_id, "hyperparameter_ranges": RANGES}
    request = TuningRequest.model_validate(wanted)
    job = account.dispatcher().builder.api_request("fraud", request)
    account.sagemaker.create_hyper_parameter_tuning_job(**(job | changed))
