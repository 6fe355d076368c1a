"""A deployment in moto: queues, ledger and SageMaker in this process."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import boto3
import moto.backends
import moto.core.models
import moto.core.responses
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.hooks import HierarchicalEmitter
from moto import mock_aws
from moto.core.serialize import AttributePickerContext, XFormedAttributePicker
from moto.dynamodb.models import dynamodb_backends
from moto.sqs.models import sqs_backends

from hpo_dispatcher.aws.documents import DynamoDBDocuments
from hpo_dispatcher.aws.dynamodb_table import Table
from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.names import QUOTAS_DOCUMENT
from hpo_dispatcher.contract.templates import parse_template_text
from hpo_dispatcher.cycle.dispatcher import Dispatcher
from hpo_dispatcher.cycle.outcome import Summary
from hpo_dispatcher.cycle.pacing import Deadline
from hpo_dispatcher.ports import Ending
from hpo_dispatcher.wiring import Wired, build_dispatcher, metrics, wire

# moto looks these up at each call, which took a tenth of the time of such tests.
for module, name in (
    (moto.core.responses, "method_names_from_class"),
    (moto.core.responses, "camelcase_to_underscores"),
    (moto.backends, "get_backend"),
):
    setattr(module, name, functools.cache(getattr(module, name)))


class QuickPicker(XFormedAttributePicker):
    """Picks the members of DynamoDB's values by their names, which have no other spelling.

    moto tries up to ten spellings for each of the nine types that a value does not have, which
    took a seventh of the time of such tests.
    """

    def __call__(self, context: AttributePickerContext) -> Any:
        structure = getattr(context.shape, "parent", None)
        if structure is not None and structure.name == "AttributeValue":
            return context.obj.get(context.key)
        return super().__call__(context)


moto.core.responses.XFormedAttributePicker = QuickPicker
# moto registers each of its services for the library `requests`, too, which nothing here uses.
moto.core.models.RESPONSES_METHODS = []

parsed_once = functools.cache(parse_template_text)

ACCOUNT_ID = "123456789012"
REGION = "eu-central-1"
# Signatures and the full name of the client take an eighth of the time of such a call. moto's SQS
# takes the Region from either.
PLAIN_CALLS = Config(signature_version=UNSIGNED, user_agent=f"region/{REGION}")
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/pytorch-training:2.10-cpu-py313"
QUOTAS = {"ml.m5.large": 500}
FAR_FUTURE = datetime(2200, 1, 1, tzinfo=UTC)  # later than any cycle of a test
RANGES = {"lr": {"type": "continuous", "min": 0.001, "max": 0.1}}
ENVIRONMENT = {
    "HPOQ_DEPLOYMENT": "hpoq",
    "HPOQ_LEDGER_TABLE": "hpoq-ledger",
    "HPOQ_ARTIFACT_BUCKET": "artifacts",
    "HPOQ_TRAINING_ROLE_ARN": "arn:aws:iam::123456789012:role/training",
    "HPOQ_TRAINING_SOURCE": "s3://assets/training.tar.gz",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "POWERTOOLS_METRICS_NAMESPACE": "hpoq",
    "POWERTOOLS_SERVICE_NAME": "hpoq-dispatcher",
}
KEYS = [("team", "HASH"), ("id", "RANGE")]
LINE = [("line", "HASH"), ("line_position", "RANGE")]


def ample_time() -> Deadline:
    """Return the deadline of an invocation that never runs out of time."""
    return Deadline(remaining=lambda: 900.0, total=900.0)


@dataclass
class Account:
    """A moto account with hpoq's resources, and what tests do with it."""

    root: Path
    session: boto3.Session

    def __post_init__(self) -> None:
        self.sqs = self.session.client("sqs")
        self.dynamodb = self.session.client("dynamodb")
        self.sagemaker = self.session.client("sagemaker")

    def configure(self, **settings: Any) -> None:
        teams = {"fraud": {}, "vision": {}}
        (self.root / "deployment.json").write_text(json.dumps({"teams": teams, **settings}))

    def dispatcher(self) -> Dispatcher:
        return build_dispatcher(os.environ, self.root, _WithoutCounter(self.session))

    def wired(self) -> Wired:
        return wire(os.environ, self.root, self.session)

    def cycle(self) -> Summary:
        return self.dispatcher().run(ample_time())

    def send(self, team: str, message: object) -> str:
        body = message if isinstance(message, str) else json.dumps(message)
        url = self.sqs.get_queue_url(QueueName=f"hpoq-{team}-requests")["QueueUrl"]
        return self.sqs.send_message(QueueUrl=url, MessageBody=body)["MessageId"]

    def request(self, team: str, request_id: str, **fields: Any) -> str:
        return self.send(
            team, {"request_id": request_id, "hyperparameter_ranges": RANGES, **fields}
        )

    def end(self, team: str, request_id: str, status: Status, **fields: Any) -> None:
        """Record the end of a running request in the ledger."""
        requests = self.dispatcher().requests
        entry = requests.get(team, request_id)
        assert entry is not None
        assert entry.started_at is not None
        ending = Ending(
            team=team, request_id=request_id, was=(Status.IN_PROGRESS,), status=status,
            ended_at=entry.started_at, tuning_job_name=entry.tuning_job_name, **fields,
        )  # fmt: skip
        assert requests.finish([ending])

    def dead_letters(self, team: str) -> list[dict[str, Any]]:
        url = self.sqs.get_queue_url(QueueName=f"hpoq-{team}-dead-letter")["QueueUrl"]
        letters: list[dict[str, Any]] = []
        while received := self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            letters += [
                {"body": m["Body"]}
                | {k: v["StringValue"] for k, v in m["MessageAttributes"].items()}
                for m in received
            ]
        return letters

    def waiting(self, team: str) -> int:
        url = self.sqs.get_queue_url(QueueName=f"hpoq-{team}-requests")["QueueUrl"]
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(value) for value in found.values())

    def tuning_jobs(self) -> list[str]:
        pages = self.sagemaker.get_paginator("list_hyper_parameter_tuning_jobs").paginate()
        return [
            job["HyperParameterTuningJobName"]
            for page in pages
            for job in page["HyperParameterTuningJobSummaries"]
        ]


class SharedSession(boto3.Session):
    """A session that creates equal clients once, because creating them takes most of a cycle.

    Hooks that are registered at the session reach the clients that are created from then on, and
    those of dispatchers, which have a configuration.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._clients: dict[tuple[object, ...], tuple[Any, object]] = {}
        super().__init__(*args, **kwargs)

    @property
    def events(self) -> Any:
        self._clients = {key: made for key, made in self._clients.items() if made[1]}
        return _Hooks([super().events, *(made.meta.events for made, _ in self._clients.values())])

    def client(self, service_name: Any, *args: Any, config: Any = None, **kwargs: Any) -> Any:
        key = service_name, *args, id(config), *sorted(kwargs.items())
        if key not in self._clients:
            used = config
            if service_name != "s3":  # moto's S3 denies what is not signed
                used = config.merge(PLAIN_CALLS) if config else PLAIN_CALLS
            made = super().client(service_name, *args, config=used, **kwargs)
            self._clients[key] = made, config  # which must live as long as its id is a key
        return self._clients[key][0]


@dataclass
class _Hooks:
    """Several emitters of events, at which hooks are registered and unregistered together."""

    emitters: Sequence[Any]

    def __getattr__(self, name: str) -> Any:
        def at_each(*args: Any, **kwargs: Any) -> None:
            for each in self.emitters:
                getattr(each, name)(*args, **kwargs)

        return at_each


@dataclass
class _WithoutCounter:
    """The clients of a dispatcher without telemetry, whose calls are not counted."""

    session: boto3.Session
    events: HierarchicalEmitter = field(default_factory=HierarchicalEmitter)

    def client(self, service_name: Any, *, config: Any) -> Any:
        return self.session.client(service_name, config=config)


def create_resources() -> None:
    """Create the queues and the ledger in moto's models, which takes a tenth of API calls' time."""
    for team in ("fraud", "vision"):
        for kind in ("requests", "dead-letter"):
            sqs_backends[ACCOUNT_ID][REGION].create_queue(f"hpoq-{team}-{kind}")
    dynamodb_backends[ACCOUNT_ID][REGION].create_table(
        "hpoq-ledger",
        billing_mode="PAY_PER_REQUEST",
        schema=[{"AttributeName": n, "KeyType": k} for n, k in KEYS],
        attr=[{"AttributeName": n, "AttributeType": "S"} for n, _ in KEYS + LINE],
        global_indexes=[
            {
                "IndexName": "line",
                "KeySchema": [{"AttributeName": n, "KeyType": k} for n, k in LINE],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        throughput=None, indexes=None, streams=None, sse_specification=None, tags=[],
        deletion_protection_enabled=None, warm_throughput=None,
    )  # fmt: skip


def write_quotas(
    account: Account,
    quotas: dict[str, int],
    read_at: datetime,
    document: str = QUOTAS_DOCUMENT,
) -> None:
    """Write quotas to the ledger as if they had been read then; moto has none of SageMaker."""
    content = {"at": read_at.isoformat(), "training_instances": quotas}
    documents = DynamoDBDocuments(Table(account.dynamodb, "hpoq-ledger"))
    documents.put(document, json.dumps(content))


def sdk_with_one_image() -> ModuleType:
    """Return a stand-in for the SageMaker SDK, whose import takes seconds."""
    core: Any = ModuleType("sagemaker.core")
    core.image_uris = SimpleNamespace(retrieve=lambda **_: IMAGE)
    return core


@pytest.fixture(scope="session")
def session() -> boto3.Session:
    """Share one session, because reading SageMaker's API model takes most of a test's time."""
    return SharedSession("testing", "testing", region_name=REGION)


@contextmanager
def deployment_in_moto(folder: Path, session: boto3.Session) -> Iterator[Account]:
    # moto sleeps for WaitTimeSeconds if a queue is empty.
    no_wait = patch("hpo_dispatcher.aws.sqs.WAIT_SECONDS", 0)
    # Two threads that read one of moto's queues may receive the same message.
    one_thread = patch("hpo_dispatcher.cycle.intake.drain.THREADS", 1)
    templates = patch("hpo_dispatcher.contract.templates.parse_template_text", parsed_once)
    with (
        patch.dict(os.environ, ENVIRONMENT),
        mock_aws(),
        no_wait,
        one_thread,
        templates,
        pytest.MonkeyPatch.context() as monkeypatch,
    ):
        monkeypatch.setitem(sys.modules, "sagemaker.core", sdk_with_one_image())
        account = Account(folder, session)
        create_resources()
        write_quotas(account, QUOTAS, read_at=FAR_FUTURE)
        account.configure()
        yield account
        metrics.clear_metrics()  # all tests share this object


@pytest.fixture
def account(tmp_path: Path, session: boto3.Session) -> Iterator[Account]:
    with deployment_in_moto(tmp_path, session) as account:
        yield account
