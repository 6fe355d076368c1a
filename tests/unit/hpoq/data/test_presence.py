"""Looking for the data of channels, with the answers that S3 documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from hpoq.data.channels import S3Channel
from hpoq.data.presence import Lookout, Presence

TRAIN = S3Channel(name="train", uri="s3://bucket/data/train/")
ASKED = {"Bucket": "bucket", "Prefix": "data/train/", "MaxKeys": 10}


@pytest.fixture
def stubbed() -> Iterator[tuple[Any, Stubber]]:
    s3 = boto3.Session("key", "secret", region_name="eu-west-1").client("s3")
    with Stubber(s3) as stubber:
        yield s3, stubber
        stubber.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("answer", "presence"),
    [
        ({"KeyCount": 0}, Presence.EMPTY),
        ({"Contents": [{"Key": "data/train/"}]}, Presence.EMPTY),  # the console's empty folder
        ({"Contents": [{"Key": "data/train/a/"}], "IsTruncated": True}, Presence.THERE),
        ({"Contents": [{"Key": "data/train/"}, {"Key": "data/train/a"}]}, Presence.THERE),
    ],
)
def test_an_object_that_is_not_a_folder_is_data(
    stubbed: tuple[Any, Stubber], answer: dict[str, Any], presence: Presence
) -> None:
    s3, stubber = stubbed
    stubber.add_response("list_objects_v2", answer, ASKED)
    assert Lookout(s3).look(TRAIN) is presence


def test_a_location_is_asked_for_once(stubbed: tuple[Any, Stubber]) -> None:
    s3, stubber = stubbed
    stubber.add_response("list_objects_v2", {"KeyCount": 0}, ASKED)
    lookout = Lookout(s3)
    other = S3Channel(name="other", uri=TRAIN.uri)
    assert [lookout.look(each) for each in (TRAIN, other)] == [Presence.EMPTY, Presence.EMPTY]


@pytest.mark.parametrize(
    ("code", "presence"),
    [
        # "List of error codes" in the Amazon S3 API reference.
        ("NoSuchBucket", Presence.NO_BUCKET),
        ("AccessDenied", Presence.UNKNOWN),
        ("SlowDown", Presence.UNKNOWN),
    ],
)
def test_only_a_missing_bucket_is_known_to_have_no_data(
    stubbed: tuple[Any, Stubber], code: str, presence: Presence
) -> None:
    s3, stubber = stubbed
    stubber.add_client_error("list_objects_v2", code, "said", expected_params=ASKED)
    lookout = Lookout(s3)
    assert lookout.look(TRAIN) is presence
    assert len(lookout.problems) == (presence is Presence.UNKNOWN)
