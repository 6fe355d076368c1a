"""A cycle is cut off in the middle, and the next runs under other settings, as after a deploy."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.support.killed_dispatcher import Killed, KilledAt
from tests.support.unreliable_dispatcher import LIMIT, REQUESTS, ample, world

LATER = 3


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_new_settings_in_the_middle_of_a_cycle_lose_nothing_double_nothing_and_then_hold(
    after: bool,
) -> None:
    account = world()
    for arrival in account.workload.arrivals:
        account.send(arrival)
    tuning: Any = KilledAt(account.sagemaker, "create", after=after, nth=4)
    with pytest.raises(Killed):
        replace(account.dispatcher, tuning=tuning).cycle(ample())
    assert len(account.requests.running()) == LIMIT, "promised, and not all of them created"

    builder = account.dispatcher.builder
    limits = builder.deployment.limits.model_copy(update={"tuning_jobs": LATER})
    deployment = builder.deployment.model_copy(update={"limits": limits})
    builder = replace(builder, deployment=deployment)
    account.dispatcher = replace(account.dispatcher, builder=builder, owner="after")
    account.queues.reappear()
    account.clock.now += timedelta(minutes=16)  # a killed one's lease lasts 15
    account.dispatcher.cycle(ample())  # creates what was promised under the old settings
    account.clock.now += timedelta(minutes=16)
    account.sagemaker.end_due()
    assert not account.sagemaker.running
    promised, account.sagemaker.peak = account.sagemaker.peak, 0
    report = account.run_to_end()

    assert (report.completed, report.lost, report.duplicated) == (REQUESTS, 0, 0)
    assert promised <= LIMIT
    assert report.peak == LATER
