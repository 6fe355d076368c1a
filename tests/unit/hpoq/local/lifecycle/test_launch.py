"""What `hpoq local up` does with options for a cloud that is running already."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpoq.local.errors import LocalCloudError
from hpoq.local.lifecycle.home import CloudAccount, Home, RunningCloud
from hpoq.local.lifecycle.launch import CloudOptions, store_for_next_start
from hpoq.local.limits import limits_of

RUNNING = RunningCloud(
    pid=1, port=4566, endpoint="https://127.0.0.1:4566", account="111122223333",
    region="us-east-1", access_key_id="a", secret_access_key="b", mark="m", ca="", trust="",
    scratch="", interpreter="python", function_interpreters={}, started_at="",
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """The home of a running cloud with the standard limits."""
    made = Home(tmp_path)
    account = CloudAccount(
        account="111122223333",
        region="us-east-1",
        access_key_id="a",
        secret_access_key="b",
        port=4566,
    )
    made.store_account(account)
    made.settings.write_text(json.dumps({"limits": limits_of("standard", {})}))
    return made


def test_without_options_there_is_nothing_to_say(home: Home) -> None:
    assert store_for_next_start(home, RUNNING, CloudOptions()) == []


def test_a_quota_is_stored_for_the_next_start_and_said_not_to_apply(home: Home) -> None:
    options = CloudOptions(quotas={"tuning_jobs": 2}, port=5000)
    assert store_for_next_start(home, RUNNING, options) == ["tuning_jobs=2", "port 5000"]
    stored = home.account()
    assert stored is not None
    assert (stored.quotas, stored.port) == ({"tuning_jobs": 2}, 5000)
    assert store_for_next_start(home, RUNNING, CloudOptions(port=4566)) == ["tuning_jobs=2"]


def test_a_profile_lists_each_limit_that_differs(home: Home) -> None:
    differing = store_for_next_start(home, RUNNING, CloudOptions(profile="new-account"))
    assert "instances=4" in differing
    assert "tuning_jobs=100" not in differing


def test_another_region_is_an_error(home: Home) -> None:
    with pytest.raises(LocalCloudError, match="us-east-1, not an account in eu-west-1"):
        store_for_next_start(home, RUNNING, CloudOptions(region="eu-west-1"))
