"""The rate limits of the API."""

from __future__ import annotations

import pytest
from boto3 import Session
from botocore.exceptions import ClientError

from hpoq.local.sagemaker.api.rate_limit import RateLimiter
from hpoq.local.sagemaker.errors import ApiError
from tests.support.memory_endpoint import (
    Start,
    client_of,
)


def test_each_operation_has_its_own_rate_limit() -> None:
    now = [0.0]
    limiter = RateLimiter(2, lambda: now[0])
    for _ in range(2):
        limiter.check("List")
    with pytest.raises(ApiError, match="Rate exceeded") as caught:
        limiter.check("List")
    assert caught.value.code == "ThrottlingException"
    limiter.check("Describe")
    now[0] = 0.5
    limiter.check("List")
    with pytest.raises(ApiError):
        limiter.check("List")


def test_calls_are_throttled_only_when_a_rate_is_set(start: Start, session: Session) -> None:
    unlimited = client_of(start(), session)
    for _ in range(20):
        unlimited.list_training_jobs()
    limited = client_of(start(calls_per_second=1), session)
    limited.list_training_jobs()
    with pytest.raises(ClientError, match="Rate exceeded") as caught:
        for _ in range(20):
            limited.list_training_jobs()
    assert caught.value.response["Error"]["Code"] == "ThrottlingException"
