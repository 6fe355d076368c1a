"""The names and profiles of an embedded cloud's limits."""

from __future__ import annotations

import pytest

from hpoq.local.limits import Limit, Profile, is_known, limits_of


@pytest.mark.parametrize("name", ["tuning_jobs", "ml.m5.xlarge", "spot:ml.m5.xlarge", "sigterm"])
def test_these_are_limits(name: str) -> None:
    assert is_known(name)


@pytest.mark.parametrize("name", ["tuningjobs", "m5.xlarge", "spot:m5.xlarge", ""])
def test_these_are_not_limits(name: str) -> None:
    assert not is_known(name)


def test_given_values_replace_those_of_the_profile() -> None:
    limits = limits_of(Profile.NEW_ACCOUNT, {Limit.INSTANCES: 6, "ml.g5.xlarge": 1})

    assert (limits["instances"], limits["ml.g5.xlarge"]) == (6, 1)
    # awsdocs/amazon-sagemaker-developer-guide issue 70; "Lambda quotas" in the Lambda guide
    assert (limits["spot_instances"], limits["function_concurrency"]) == (4, 10)


def test_the_standard_account_has_only_the_limit_that_no_account_can_raise() -> None:
    assert limits_of(Profile.STANDARD, {}) == {"tuning_jobs": 100}
