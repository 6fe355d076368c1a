from __future__ import annotations

import math
import random
import statistics

import pytest

from hpoq.campaign.planning.startup import POLL_MINUTES, until_look


@pytest.mark.parametrize("minutes", [0.05, 0.3, 0.5, 0.8, 3.0, 30.0])
@pytest.mark.parametrize("sigma", [0.1, 0.5])
def test_a_slot_waits_from_the_end_of_its_job_to_the_next_look(
    minutes: float, sigma: float
) -> None:
    draw = random.Random(1)
    location = math.log(minutes) - sigma * sigma / 2
    times = [draw.lognormvariate(location, sigma) for _ in range(20_000)]
    waits = [POLL_MINUTES * math.ceil(time / POLL_MINUTES) - time for time in times]
    assert until_look(minutes, sigma) == pytest.approx(statistics.fmean(waits), abs=0.01)


def test_jobs_of_five_seconds_wait_for_most_of_the_half_minute() -> None:
    assert until_look(5 / 60, 0.0) == pytest.approx(25 / 60)
    assert until_look(35 / 60, 0.0) == pytest.approx(25 / 60)
