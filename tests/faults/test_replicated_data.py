"""A request on a target to which S3 replicates home's data, while the data is on its way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError

from hpo_dispatcher.aws.targets.assumed_role import TargetClients
from hpo_dispatcher.contract.documents.capacity import CapacityDocument, WaitKind
from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.names import CAPACITY_DOCUMENT, EXAMPLE_DATA
from hpo_dispatcher.contract.targets.resources import quotas_document
from tests.support.dispatcher_account import (
    FAR_FUTURE,
    Account,
    account,
    session,
    write_quotas,
)
from tests.support.killed_dispatcher import later, much_later

__all__ = ["account", "session"]

HOME_ACCOUNT, WEST = "123456789012", "us-west-2"
HOME_BUCKET, WEST_BUCKET = "artifacts", f"hpoq-west-{HOME_ACCOUNT}-{WEST}"
COMPARISON = "before-parameter-build.s3.ListObjectVersions"
DATA = f"{EXAMPLE_DATA}train/part-1.csv"


@pytest.fixture
def west(account: Account) -> Iterator[Account]:
    """A deployment with a target to which the data of the templates is replicated."""
    write_quotas(account, {"ml.m5.large": 500}, FAR_FUTURE, quotas_document("west"))
    account.configure(
        targets={
            "home": {"account": HOME_ACCOUNT, "region": "eu-central-1"},
            "west": {"account": HOME_ACCOUNT, "region": WEST, "replicate": ["data/"]},
        }
    )
    for bucket, region in ((HOME_BUCKET, "eu-central-1"), (WEST_BUCKET, WEST)):
        s3 = s3_in(account, region)
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put(account, HOME_BUCKET)
    yield account


def s3_in(account: Account, region: str) -> Any:
    return account.session.client("s3", region_name=region)


def put(account: Account, bucket: str, text: bytes = b"a,b") -> None:
    region = WEST if bucket == WEST_BUCKET else "eu-central-1"
    s3_in(account, region).put_object(Bucket=bucket, Key=DATA, Body=text)


def jobs_in(account: Account, region: str) -> list[str]:
    there = account.session.client("sagemaker", region_name=region)
    found = there.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"]
    return [each["HyperParameterTuningJobName"] for each in found]


def entry(account: Account) -> Entry:
    found = account.dispatcher().requests.get("fraud", "a")
    assert found is not None
    return found


def test_a_request_waits_with_a_reason_until_its_data_has_arrived(west: Account) -> None:
    west.request("fraud", "a", targets=["west"])
    west.cycle()
    waiting = entry(west)
    assert waiting.status is Status.QUEUED
    assert f"s3://artifacts/{DATA} differs or is missing there" in waiting.reason
    document = CapacityDocument.parse(west.dispatcher().documents.get(CAPACITY_DOCUMENT))
    assert document is not None
    (head,) = document.waiting
    assert head.reason_kind is WaitKind.DATA
    assert "tried again at" in head.reason
    assert west.cycle().started == 0, "it is not compared in every cycle"

    put(west, WEST_BUCKET)
    assert later(west).started == 1
    assert entry(west).target == "west"
    (name,) = jobs_in(west, WEST)
    created = west.session.client("sagemaker", region_name=WEST)
    described = created.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    channel, *_ = described["TrainingJobDefinition"]["InputDataConfig"]
    place = channel["DataSource"]["S3DataSource"]["S3Uri"]
    assert place == f"s3://{WEST_BUCKET}/{EXAMPLE_DATA}train/"


def test_a_request_that_may_run_at_home_does_not_wait_for_its_copy(west: Account) -> None:
    west.request("fraud", "a", targets=["west", "home"])
    for _ in range(2):
        west.cycle()
    assert entry(west).target == "home"
    assert (len(jobs_in(west, "eu-central-1")), jobs_in(west, WEST)) == (1, [])


def test_data_that_never_arrives_ends_no_request(west: Account) -> None:
    west.request("fraud", "a", targets=["west"])
    west.cycle()
    for hours in range(0, 24 * 8, 6):
        much_later(west.dispatcher(), hours)
    assert entry(west).status is Status.QUEUED
    put(west, WEST_BUCKET)
    much_later(west.dispatcher(), 24 * 9)
    assert entry(west).status is not Status.QUEUED


@pytest.mark.parametrize(
    ("region", "code"),
    [("eu-central-1", "AccessDenied"), (WEST, "AccessDenied"), (WEST, "SlowDown")],
)
def test_a_comparison_that_fails_starts_nothing_and_is_repeated(
    west: Account, region: str, code: str
) -> None:
    put(west, WEST_BUCKET)
    west.request("fraud", "a", targets=["west"])
    west.request("vision", "at-home")

    def fail(context: dict[str, Any], **_: Any) -> None:
        if context["client_region"] == region:
            error: Any = {"Error": {"Code": code, "Message": "injected"}}
            raise ClientError(error, "ListObjectVersions")

    class FailingTargetClients(TargetClients):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.events.register(COMPARISON, fail)

    west.session.events.register(COMPARISON, fail)
    with patch("hpo_dispatcher.wiring.TargetClients", FailingTargetClients):
        west.cycle()
    west.session.events.unregister(COMPARISON, fail)
    waiting = entry(west)
    assert waiting.status is Status.QUEUED
    assert "its data on west was not compared" in waiting.reason
    assert code in waiting.reason
    assert len(jobs_in(west, "eu-central-1")) == 1, "the other request started"

    much_later(west.dispatcher(), 1)
    assert len(jobs_in(west, WEST)) == 1
