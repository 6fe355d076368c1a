"""A team sends more requests than the account can run at once."""

from __future__ import annotations

from collections import Counter

import pytest

from hpo_dispatcher.contract.entry import Entry, Status
from hpoq.client import Client
from hpoq.local.cloud import Cloud
from hpoq.local.lifecycle.processes import wait_until
from tests.support import tiny_jobs as tiny
from tests.support.deployed_stack import Deployed
from tests.support.job_spans import most_at_once, tuning_jobs

LIMIT = 10
REQUESTS = 150
PATIENCE = 240.0
BARE = {"hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0.001, "max": 0.1}}}


@pytest.fixture(scope="module")
def flooded(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    teams = {"fraud": {}, "vision": {}}
    limits = {"tuning_jobs": LIMIT, "creates_per_second": 50}
    folder = tmp_path_factory.mktemp("flood")
    return tiny.deploy(cloud, "flood", folder, teams=teams, limits=limits)


@pytest.mark.timeout(PATIENCE + 60)
def test_every_message_completes_and_the_number_of_running_jobs_stays_within_the_limit(
    flooded: Deployed,
) -> None:
    client = Client("flood", session=flooded.session)
    ids = set(client.submit("fraud", [BARE] * REQUESTS))
    assert len(ids) == REQUESTS

    def entries() -> list[Entry]:
        return [entry for entry in client.entries("fraud") if entry.request_id in ids]

    def statuses() -> Counter[Status]:
        return Counter(entry.status for entry in entries())

    done = wait_until(lambda: statuses()[Status.COMPLETED] == REQUESTS, PATIENCE, step=1)
    assert done, statuses()

    jobs = tuning_jobs(flooded, {entry.tuning_job_name for entry in entries()})
    assert len(jobs) == REQUESTS
    assert most_at_once(jobs) <= LIMIT
