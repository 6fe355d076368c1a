"""Locations in S3 as the API takes them, URLs included."""

from __future__ import annotations

import pytest

from hpo_dispatcher.tuning_job.api.s3_uri import bucket_and_key, s3_uri

# From samples/xgboost-mnist-hpo.yaml of aws/amazon-sagemaker-operator-for-k8s, "Methods for
# accessing a general purpose bucket" and the pages about dual-stack and FIPS endpoints in the S3
# user guide, and "Amazon S3 Path Deprecation Plan" in the AWS News Blog.
URLS = {
    "https://s3-us-west-2.amazonaws.com/my-bucket/xgboost/train/": "s3://my-bucket/xgboost/train/",
    "https://s3.us-west-2.amazonaws.com/amzn-s3-demo-bucket1/puppy.png": (
        "s3://amzn-s3-demo-bucket1/puppy.png"
    ),
    "https://s3.amazonaws.com/jbarr-public/images/a.jpeg": "s3://jbarr-public/images/a.jpeg",
    "https://amzn-s3-demo-bucket1.s3.us-west-2.amazonaws.com/puppy.png": (
        "s3://amzn-s3-demo-bucket1/puppy.png"
    ),
    "https://jbarr-public.s3.amazonaws.com/images/a.jpeg": "s3://jbarr-public/images/a.jpeg",
    "https://www.example.com.s3.us-east-1.amazonaws.com/a": "s3://www.example.com/a",
    "https://amzn-s3-demo-bucket.s3.dualstack.us-west-2.amazonaws.com/a": (
        "s3://amzn-s3-demo-bucket/a"
    ),
    "https://s3-fips.us-gov-west-1.amazonaws.com/bucket/a": "s3://bucket/a",
    "https://s3.cn-north-1.amazonaws.com.cn/bucket/a/": "s3://bucket/a/",
    "https://bucket.s3.amazonaws.com": "s3://bucket",
    "https://s3.amazonaws.com/bucket/": "s3://bucket/",
}
OTHERS = [
    "s3://bucket/key",
    "https://bucket.example.com/key",
    "https://s3.amazonaws.com.example.com/bucket/key",
    "https://s3.amazonaws.com/bucket/key?versionId=1",
    "https://s3.amazonaws.com/bucket/key#part",
    "https://s3.amazonaws.com/bucket/%2e%2e/key",
    "http://s3.amazonaws.com/bucket/key",
    "https://s3.amazonaws.com/",
]


@pytest.mark.parametrize(("url", "uri"), URLS.items())
def test_a_url_of_s3_is_the_location_that_it_names(url: str, uri: str) -> None:
    assert s3_uri(url) == uri
    assert bucket_and_key(url) == tuple(uri.removeprefix("s3://").partition("/")[::2])


@pytest.mark.parametrize("place", OTHERS)
def test_other_text_is_unchanged(place: str) -> None:
    assert s3_uri(place) == place


def test_a_key_may_have_any_characters() -> None:
    assert bucket_and_key("s3://bucket/a #1?/b") == ("bucket", "a #1?/b")
