"""Whether a target has the data of home, by S3 listings of both buckets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from hpo_dispatcher.aws.targets.replicas import Current, S3Replicas
from hpo_dispatcher.ports import Unavailable

HOME, THERE = "home-artifacts", "hpoq-research-artifacts"
REGIONS = {HOME: "us-east-1", THERE: "eu-central-1"}


class Buckets:
    """The artifact buckets of home and of a target, both versioned."""

    def __init__(self) -> None:
        self.s3: dict[str, Any] = {}
        for name, region in REGIONS.items():
            s3 = self.s3[name] = boto3.client("s3", region_name=region)
            where = {"LocationConstraint": region}
            options = {} if region == "us-east-1" else {"CreateBucketConfiguration": where}
            s3.create_bucket(Bucket=name, **options)
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def put(self, bucket: str, key: str, text: str = "a,b") -> None:
        self.s3[bucket].put_object(Bucket=bucket, Key=key, Body=text.encode())

    def delete(self, bucket: str, key: str) -> None:
        self.s3[bucket].delete_object(Bucket=bucket, Key=key)

    def difference(self, prefix: str = "shared/churn/") -> str | None:
        replicas = S3Replicas(lambda: self.s3[HOME], HOME, lambda: self.s3[THERE], THERE)
        return replicas.difference(prefix)


@pytest.fixture
def buckets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Buckets]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield Buckets()


def test_an_object_that_has_not_arrived_is_named(buckets: Buckets) -> None:
    for key in ("shared/churn/1.csv", "shared/churn/2.csv", "shared/churn/3.csv"):
        buckets.put(HOME, key)
    assert buckets.difference() == "shared/churn/1.csv"
    buckets.put(THERE, "shared/churn/1.csv")
    buckets.put(THERE, "shared/churn/3.csv")
    assert buckets.difference() == "shared/churn/2.csv"
    buckets.put(THERE, "shared/churn/2.csv")
    assert buckets.difference() is None


def test_the_last_objects_count_too(buckets: Buckets) -> None:
    buckets.put(HOME, "shared/churn/1.csv")
    buckets.put(THERE, "shared/churn/1.csv")
    buckets.put(HOME, "shared/churn/2.csv")
    assert buckets.difference() == "shared/churn/2.csv"


def test_a_new_version_that_has_not_arrived_is_a_difference(buckets: Buckets) -> None:
    for bucket in (HOME, THERE):
        buckets.put(bucket, "shared/churn/1.csv")
    buckets.put(HOME, "shared/churn/1.csv", "a,b,c")
    assert buckets.difference() == "shared/churn/1.csv"


def test_a_deletion_that_has_not_arrived_is_a_difference(buckets: Buckets) -> None:
    for bucket in (HOME, THERE):
        buckets.put(bucket, "shared/churn/1.csv")
        buckets.put(bucket, "shared/churn/2.csv")
    buckets.delete(HOME, "shared/churn/2.csv")
    assert buckets.difference() == "shared/churn/2.csv"
    buckets.delete(THERE, "shared/churn/2.csv")
    assert buckets.difference() is None


def test_other_folders_do_not_count(buckets: Buckets) -> None:
    buckets.put(HOME, "shared/other/1.csv")
    assert buckets.difference() is None


def test_data_of_the_target_alone_is_no_difference(buckets: Buckets) -> None:
    buckets.put(THERE, "shared/churn/own.csv")
    assert buckets.difference() is None


def test_objects_beyond_the_first_page_are_compared(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    for number in range(5):
        buckets.put(HOME, f"shared/churn/{number}.csv")
        if number < 4:
            buckets.put(THERE, f"shared/churn/{number}.csv")
    assert buckets.difference() == "shared/churn/4.csv"


def test_a_replica_is_known_by_its_version_or_its_content() -> None:
    source = Current("k", "v1", ('"tag"', 3))
    assert source.is_copied_as(Current("k", "v1", ('"tag-of-a-kms-object"', 3)))
    assert source.is_copied_as(Current("k", "v2", ('"tag"', 3)))
    assert not source.is_copied_as(Current("k", "v2", ('"other"', 3)))
    assert not source.is_copied_as(Current("k", "v2", ('"tag"', 4)))
    assert not source.is_copied_as(Current("l", "v1", ('"tag"', 3)))


@pytest.mark.parametrize("bucket", [HOME, THERE])
def test_a_bucket_that_does_not_answer_is_unavailable(bucket: str, buckets: Buckets) -> None:
    buckets.put(HOME, "shared/churn/1.csv")

    def denied(**_: object) -> None:
        answer: Any = {"Error": {"Code": "AccessDenied", "Message": "no"}}
        raise ClientError(answer, "ListObjectVersions")

    events = buckets.s3[bucket].meta.events
    events.register("before-call.s3.ListObjectVersions", denied)
    with pytest.raises(Unavailable, match=r"s3:ListBucketVersions: .*AccessDenied"):
        buckets.difference()
