"""S3 locations as the API takes them: ``s3://bucket/key``, or the URL of a bucket or an object.

The API reference has the pattern ``(https|s3)://([^/]+)/?(.*)`` for S3Uri, S3OutputPath and the
S3Uri of checkpoints. URLs are in AWS's examples, such as
``https://s3-us-west-2.amazonaws.com/my-bucket/xgboost/train/`` in samples/xgboost-mnist-hpo.yaml of
aws/amazon-sagemaker-operator-for-k8s. "Methods for accessing a general purpose bucket" in the S3
user guide describes path-style and virtual-hosted-style URLs.
"""

from __future__ import annotations

import re

_S3 = "s3://"
_REGION = r"[a-z]{2}(?:-[a-z]+)+-[0-9]"
_ENDPOINT = rf"s3(?:-fips)?(?:\.dualstack)?(?:[.-]{_REGION})?\.amazonaws\.com(?:\.cn)?"
# A URL with escapes, a query or a fragment could name another key than its text says.
_KEY = r"(?:/(?P<key>[^%?#]*))?"
_URLS = (
    re.compile(rf"https://{_ENDPOINT}/(?P<bucket>[a-z0-9.-]+){_KEY}"),
    re.compile(rf"https://(?P<bucket>[a-z0-9.-]+)\.{_ENDPOINT}{_KEY}"),
)


def s3_uri(place: str) -> str:
    """Return a location as ``s3://bucket/key``; unchanged if it is not a location in S3."""
    for url in _URLS:
        if found := url.fullmatch(place):
            key = found["key"]
            return f"{_S3}{found['bucket']}" + ("" if key is None else f"/{key}")
    return place


def bucket_and_key(place: str) -> tuple[str, str]:
    """Return the bucket of a location in S3, and the key or the prefix of keys."""
    bucket, _, key = s3_uri(place).removeprefix(_S3).partition("/")
    return bucket, key
