"""An account whose pages have something of everything: the scene of the screenshots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from hpo_dispatcher.contract.documents.capacity import (
    CapacityDocument,
    QueueLength,
    ResourceUse,
    RunningTuningJob,
    RunTimeSamples,
    WaitingRequest,
    WaitKind,
)
from hpo_dispatcher.contract.entry import BestTrainingJob, Entry, Status, queue_sort_key
from hpo_dispatcher.contract.ledger.dynamodb_json import to_wire
from hpo_dispatcher.contract.ledger.entry_item import entry_item
from hpo_dispatcher.contract.message import parse_fields
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT
from tests.support.dispatcher_account import RANGES, Account
from tests.support.ui_jobs import BEGAN, trial, tuning_job

NOW = datetime.now(UTC).replace(microsecond=0)
RUNNING, FAILED = "fraud-nightly-auc-x7k2p9qa", "vision-resnet-deep-m3n8v1zt"
REASON = "AlgorithmError: ExecuteUserScriptError: ExitCode 1. ErrorMessage: CUDA out of memory"
INSTANCES = {"ml.g5.xlarge": 4}


def request_json(request_id: str, **fields: Any) -> str:
    """Return a request as the ledger stores it."""
    sent = {"request_id": request_id, "hyperparameter_ranges": RANGES, **fields}
    parsed: Any = parse_fields(sent, "message-id")
    return str(parsed.to_json())


def entry(
    request_id: str,
    status: Status = Status.QUEUED,
    team: str = "fraud",
    minutes: int = 60,
    **fields: Any,
) -> Entry:
    """Return an entry that was accepted some minutes ago."""
    return Entry(
        team=team, request_id=request_id, status=status,
        accepted_at=NOW - timedelta(minutes=minutes),
        **{"request_json": request_json(request_id), "template": "gpu", "max_training_jobs": 40,
           "max_parallel": 4, "instances": INSTANCES, **fields},
    )  # fmt: skip


def entries() -> list[Entry]:
    """Return requests in every state."""
    best = BestTrainingJob(
        name="tuned-003", objective=0.9312, metric="auc", hyperparameters={"lr": "0.01"}
    )
    ended = {"started_at": NOW - timedelta(minutes=300), "ended_at": NOW - timedelta(minutes=200)}
    running = {"started_at": NOW - timedelta(minutes=21)}
    return [
        entry("nightly-auc", Status.IN_PROGRESS, tuning_job_name=RUNNING, minutes=30, **running),
        entry("segment-lr", Status.STOPPING, "vision", tuning_job_name="vision-segment", **running),
        *(entry(f"sweep-{n}", minutes=29 - n, priority=5) for n in range(1, 4)),
        *(entry(f"augment-{n}", team="vision", minutes=20 - n) for n in range(1, 3)),
        entry("after-nightly", blocked=True, minutes=12,
              request_json=request_json("after-nightly", after=["nightly-auc"])),
        entry("paused-by-team", team="vision", on_hold=True, minutes=11),
        entry("baseline", Status.COMPLETED, minutes=400, tuning_job_name="fraud-baseline-a1",
              counters={"Completed": 40}, best=best, **ended),
        entry("resnet-deep", Status.FAILED, "vision", minutes=380, tuning_job_name=FAILED,
              counters={"Completed": 3, "NonRetryableError": 5}, reason=REASON, **ended),
        entry("too-long", Status.STOPPED, minutes=390, tuning_job_name="fraud-too-long-c3",
              counters={"Completed": 12, "Stopped": 4}, best=best, **ended),
        entry("not-needed", Status.CANCELLED, minutes=370, ended_at=NOW - timedelta(minutes=350)),
    ]  # fmt: skip


def campaign_entries() -> list[Entry]:
    """Return the requests of a campaign of 5 tuning jobs, of which one runs and one failed."""

    def sent(number: int, status: Status, **fields: Any) -> Entry:
        request_id = f"credit-{number:05}"
        tags = {"campaign": "credit", "campaign-plan": "0123456789abcdef"}
        return entry(
            request_id, status, request_json=request_json(request_id, tags=tags),
            tuning_job_name=f"fraud-{request_id}-a1b2", minutes=130 - number, **fields,
        )  # fmt: skip

    ended = [
        sent(
            n, Status.COMPLETED, counters={"Completed": 38, "NonRetryableError": 2},
            best=BestTrainingJob(
                name=f"fraud-credit-{n:05}-a1b2-017", objective=objective, metric="auc",
                hyperparameters={"lr": "0.01"},
            ),
            started_at=NOW - timedelta(minutes=125 - n),
            ended_at=NOW - timedelta(minutes=110 - 30 * n),
        )
        for n, objective in enumerate((0.9127, 0.9301, 0.9288), 1)
    ]  # fmt: skip
    return [
        *ended,
        sent(4, Status.FAILED, counters={"NonRetryableError": 40}, reason=REASON,
             started_at=NOW - timedelta(minutes=90), ended_at=NOW - timedelta(minutes=80)),
        sent(5, Status.IN_PROGRESS, started_at=NOW - timedelta(minutes=15)),
    ]  # fmt: skip


def waiting(found: Sequence[Entry]) -> tuple[WaitingRequest, ...]:
    """Return the heads of the queues, as the dispatcher publishes them."""
    text = "ml.g5.xlarge for training 12/12 in use, 4 needed; used by: fraud 8, vision 4"
    made: list[WaitingRequest] = []
    for each in found:
        if not each.in_queue:
            continue
        position = 1 + sum(other.team == each.team for other in made)
        kind = WaitKind.INSTANCES if position == 1 else WaitKind.NEXT_IN_QUEUE
        reason = text if position == 1 else "next in the queue of its team"
        made.append(
            WaitingRequest(
                team=each.team, request_id=each.request_id, position=position, reason=reason,
                reason_kind=kind, accepted_at=each.accepted_at, instances=INSTANCES, rounds=10,
            )
        )  # fmt: skip
    return tuple(made)


def capacity(found: Sequence[Entry]) -> CapacityDocument:
    """Return the document of the last cycle."""
    heads = waiting(found)
    return CapacityDocument(
        at=datetime.now(UTC) - timedelta(minutes=2),
        tuning_jobs=ResourceUse(limit=100, in_use=3, by_team={"fraud": 2, "vision": 1}),
        instances={
            "ml.g5.xlarge for training": ResourceUse(
                limit=12, in_use=12, by_team={"fraud": 8, "vision": 4}
            ),
        },
        quotas={"ml.g5.xlarge": 12},
        waiting=heads,
        queues={
            team: QueueLength(
                queued=count, complete=True, marks=((queue_sort_key(1000, NOW, ""), count),)
            )
            for team, count in Counter(head.team for head in heads).items()
        },
        running=tuple(
            RunningTuningJob(
                team=team, instances=INSTANCES, started_at=NOW - timedelta(minutes=21), rounds=10
            )
            for team in ("fraud", "fraud", "vision")
        ),
        run_times=(
            RunTimeSamples(team="fraud", template="gpu", seconds_per_round=(240.0, 300.0, 420.0)),
        ),
    )


def trials() -> list[Any]:
    """Return the training jobs of the running tuning job."""
    values = [0.71, 0.83, 0.79, 0.88, 0.9, 0.86, 0.91, 0.89, 0.93, 0.9312, 0.92, 0.9407]
    made = [
        trial(
            n, value, lr=str(10 ** -(3 - n % 4 + value)), dropout=f"{0.05 * (n % 7):.2f}",
            layers=str(2 + n % 5), optimizer=("adam", "sgd")[n % 2],
        )
        for n, value in enumerate(values, 1)
    ]  # fmt: skip
    made.append(trial(13, None, "Failed", lr="0.9", layers="8") | {"FailureReason": REASON})
    made.append(trial(15, None, "InProgress", lr="0.02"))
    later = NOW - timedelta(minutes=21) - BEGAN
    times = ("CreationTime", "TrainingStartTime", "TrainingEndTime")
    return [{**each, **{t: each[t] + later for t in times if t in each}} for each in made]


class SceneSageMaker:
    """SageMaker with one running and one failed tuning job, and their training jobs."""

    def __init__(self) -> None:
        self.meta = SimpleNamespace(endpoint_url="https://api.sagemaker.eu-central-1.amazonaws.com")
        self.described: list[str] = []
        best = {"TrainingJobName": "tuned-012", "TunedHyperParameters": {"lr": "0.01"},
                "FinalHyperParameterTuningJobObjectiveMetric": {
                    "MetricName": "auc", "Value": 0.9407, "Type": "Maximize"}}  # fmt: skip
        counters = {"Completed": 14, "InProgress": 4, "NonRetryableError": 1}
        self.jobs = {
            RUNNING: tuning_job(
                RUNNING, "InProgress", TrainingJobStatusCounters=counters, BestTrainingJob=best,
                CreationTime=NOW - timedelta(minutes=21), HyperParameterTuningEndTime=None,
            ),
            FAILED: tuning_job(FAILED, "Failed", FailureReason=REASON),
        }  # fmt: skip
        limits = {"MaxNumberOfTrainingJobs": 40, "MaxParallelTrainingJobs": 4}
        for job in self.jobs.values():
            job["HyperParameterTuningJobConfig"] |= {"ResourceLimits": limits}
        self.trials = trials()

    def describe_hyper_parameter_tuning_job(self, HyperParameterTuningJobName: str) -> Any:  # noqa: N803
        self.described.append(HyperParameterTuningJobName)
        return self.jobs.get(HyperParameterTuningJobName, self.jobs[RUNNING])

    def describe_training_job(self, TrainingJobName: str) -> Any:  # noqa: N803
        return {
            "TrainingJobName": TrainingJobName,
            "TrainingJobStatus": "Failed",
            "SecondaryStatus": "Failed",
            "FailureReason": REASON,
            "CreationTime": NOW - timedelta(minutes=9),
            "TrainingStartTime": NOW - timedelta(minutes=8),
            "TrainingEndTime": NOW - timedelta(minutes=6),
            "TuningJobArn": f"arn:aws:sagemaker:eu-central-1:1:hyper-parameter-tuning-job/{FAILED}",
            "ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1},
            "AlgorithmSpecification": {
                "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}]
            },
            "HyperParameters": {"lr": '"0.01"', "layers": "8", "optimizer": '"adam"'},
        }

    def list_hyper_parameter_tuning_jobs(self, **_: Any) -> Any:
        limits = {"MaxNumberOfTrainingJobs": 40, "MaxParallelTrainingJobs": 4}
        summaries = [
            {**job, "Strategy": "Bayesian", "ResourceLimits": limits} for job in self.jobs.values()
        ]
        return {"HyperParameterTuningJobSummaries": summaries}

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=lambda **_: [{"TrainingJobSummaries": self.trials}])


class SceneLogs:
    """A log with a metric."""

    def describe_log_streams(self, **asked: Any) -> Any:
        return {"logStreams": [{"logStreamName": f"{asked['logStreamNamePrefix']}algo-1-7"}]}

    def get_log_events(self, **asked: Any) -> Any:
        epochs = [f"epoch {n}: loss={1 / (1 + n):.4f}" for n in range(1, 13)]
        said = [] if "nextToken" in asked else ["optimizer=adam lr=0.01", *epochs, REASON]
        began = (NOW - timedelta(minutes=8)).timestamp()
        events = [
            {"timestamp": int(1000 * (began + 9 * n)), "message": text}
            for n, text in enumerate(said)
        ]
        return {"events": events, "nextForwardToken": "end"}


class SceneSession:
    """The session of a deployment in moto, with other answers of SageMaker and of the logs."""

    def __init__(self, account: Account, sagemaker: Any = None) -> None:
        self.region_name = "eu-central-1"
        self.sagemaker = sagemaker or SceneSageMaker()
        self._account = account
        self._others = {"sagemaker": self.sagemaker, "logs": SceneLogs()}

    def client(self, service: str, **options: Any) -> Any:
        return self._others.get(service) or self._account.session.client(service, **options)  # type: ignore[call-overload]


def put(account: Account, found: Sequence[Entry]) -> None:
    """Write entries to the ledger."""
    for each in found:
        item = to_wire(entry_item(each, NOW))
        account.dynamodb.put_item(TableName="hpoq-ledger", Item=item)


def scene(account: Account) -> Any:
    """Fill a deployment in moto; return a session for its pages."""
    ranges = {"lr": {"type": "continuous", "min": 0.1, "max": 0.001}}
    account.send("fraud", {"request_id": "upside-down", "hyperparameter_ranges": ranges})
    account.send("vision", '{"request_id": "cut-off", "hyperparameter_ranges": {"lr": ')
    account.cycle()  # publishes the settings and rejects both messages
    found = entries()
    put(account, found)
    account.dispatcher().documents.put(CAPACITY_DOCUMENT, capacity(found).to_json())
    return SceneSession(account)
