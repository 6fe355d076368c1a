"""A cycle is interrupted, and the next one has other settings, as after a redeployment."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.support.killed_dispatcher import Killed, KilledAt
from tests.support.unreliable_dispatcher import LIMIT, REQUESTS, ample, world

LATER = 3


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_new_settings_after_an_interrupted_cycle_lose_and_double_no_request_and_then_apply(
    after: bool,
) -> None:
    account = world()
    for arrival in account.workload.arrivals:
        account.send(arrival)
    tuning: Any = KilledAt(account.sagemaker, "create", after=after, nth=4)
    with pytest.raises(Killed):
        replace(account.dispatcher, tuning=tuning).run(ample())
    assert len(account.requests.running()) == LIMIT, (
        "all are promised, and some are not created yet"
    )

    limits = account.dispatcher.limits.model_copy(update={"tuning_jobs": LATER})
    account.dispatcher = replace(account.dispatcher, limits=limits, owner="after")
    account.queues.reappear()
    account.clock.now += timedelta(minutes=16)  # the lease of a killed dispatcher lasts 15
    account.dispatcher.run(ample())  # creates the jobs that were promised under the old settings
    account.clock.now += timedelta(minutes=16)
    account.sagemaker.end_due()
    assert not account.sagemaker.running
    promised, account.sagemaker.peak = account.sagemaker.peak, 0
    report = account.run_to_end()

    assert (report.completed, report.lost, report.duplicated) == (REQUESTS, 0, 0)
    assert promised <= LIMIT
    assert report.peak == LATER
