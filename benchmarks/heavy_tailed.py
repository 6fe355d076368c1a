"""A workload of a few very long jobs among many short ones, with requests for a whole quota."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

from hpoq.simulation.workload import Arrival, Workload

HOUR = 3600.0
INSTANCES = 40  # of one type
SIGMA = 1.2  # of the lognormal run times
MEDIAN = 0.5 * HOUR
LONGEST = 12 * HOUR
WIDE = 0.005  # the part of the requests that need every instance
TEAMS = ("fraud", "vision", "forecast")


def heavy_tailed(load: float, requests: int, seed: int = 1) -> Workload:
    """Return requests that arrive by day more often than by night.

    Args:
        load: the part of the instances that the work needs.
        requests: how many there are.
        seed: equal seeds give equal workloads.
    """
    draw = random.Random(seed)
    jobs = [_job(draw, number) for number in range(requests)]
    work = sum(job.seconds * job.parallel for job in jobs)
    mean_gap = work / (INSTANCES * load) / requests
    at, arrivals = 0.0, []
    for job in jobs:
        by_day = 1 + 0.8 * math.sin(2 * math.pi * at / (24 * HOUR))
        at += draw.expovariate(by_day / mean_gap)
        arrivals.append(replace(job, at=at))
    teams: dict[str, dict[str, Any]] = {team: {} for team in TEAMS}
    return Workload(
        name="heavy-tailed", arrivals=arrivals, teams=teams, instances={"ml.m5.large": INSTANCES}
    )


def estimated(workload: Workload, seed: int = 1) -> Workload:
    """Return the workload with estimates of run times that are one to three times too long."""
    draw = random.Random(seed)
    arrivals = [
        replace(arrival, expected_minutes=arrival.seconds / 60 * draw.uniform(1, 3))
        for arrival in workload.arrivals
    ]
    return replace(workload, arrivals=arrivals)


def _job(draw: random.Random, number: int) -> Arrival:
    wide = draw.random() < WIDE
    return Arrival(
        at=0,
        team=draw.choice(TEAMS),
        request_id=f"{'wide' if wide else 'r'}{number}",
        seconds=min(LONGEST, MEDIAN * draw.lognormvariate(0, SIGMA)),
        parallel=INSTANCES if wide else draw.choice((1, 1, 1, 2, 2, 4, 8)),
    )
