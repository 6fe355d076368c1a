"""A workload of a few very long jobs among many short ones, with requests for a whole quota.

    python -P benchmarks/heavy_tailed.py LOAD SEED [--estimated]

Prints the mean waits in hours as JSON, simulated with the code on ``PYTHONPATH``: of this working
tree, or of an earlier commit.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpoq.simulation.simulate import Simulation
from hpoq.simulation.workload import Arrival, Workload

HOUR = 3600.0
INSTANCES = 40  # of one type
SIGMA = 1.2  # of the lognormal run times
MEDIAN = 0.5 * HOUR
LONGEST = 12 * HOUR
WIDE = 0.005  # the part of the requests that need every instance
TEAMS = ("fraud", "vision", "forecast")
REQUESTS = 1_000  # of one simulation
ALL, WHOLE_QUOTA = "all", "whole quota"  # of which requests the waits are


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


def mean_waits(workload: Workload) -> dict[str, float]:
    """Simulate a workload; return the mean waits in hours of all and of full-quota requests."""
    account = Simulation(workload)
    account.run()
    hours = {
        entry.request_id: (entry.started_at - entry.accepted_at).total_seconds() / HOUR
        for entry in account.requests.entries.values()
        if entry.started_at
    }
    whole = [wait for request_id, wait in hours.items() if request_id.startswith("wide")]
    return {
        ALL: statistics.fmean(hours.values()),
        WHOLE_QUOTA: statistics.fmean(whole) if whole else 0.0,
    }


def mean_waits_with(
    checkout: Path, load: float, seed: int, estimates: bool = False
) -> dict[str, float]:
    """Return the mean waits of the same workload with the code of a checkout."""
    paths = os.pathsep.join(str(checkout / each) for each in (".", "lambdas"))
    command = [sys.executable, "-P", __file__, str(load), str(seed)]
    command += ["--estimated"] if estimates else []
    environment = os.environ | {"PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    waits: dict[str, float] = json.loads(done.stdout)
    return waits


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("load", type=float)
    parser.add_argument("seed", type=int)
    parser.add_argument("--estimated", action="store_true")
    arguments = parser.parse_args()
    requests = heavy_tailed(arguments.load, REQUESTS, arguments.seed)
    print(json.dumps(mean_waits(estimated(requests) if arguments.estimated else requests)))
