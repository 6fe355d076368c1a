"""The workloads of ``hpoq simulate``: which requests teams send, and when."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MINUTE = 60.0
DEFAULT_RUN_SECONDS = 3600  # of a simulated training job, unless it runs longer
LONGEST_RUN_SECONDS = 5 * 24 * 3600


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One request and the time at which it is sent."""

    at: float  # seconds from the start
    team: str
    request_id: str
    seconds: float  # how long its tuning job runs
    fails: bool = False
    parallel: int = 1  # training jobs at once, one instance each
    instance_type: str = "ml.m5.large"
    after: tuple[str, ...] = ()
    priority: int = 0
    expected_minutes: float | None = None
    targets: tuple[str, ...] = ()  # on which it may run; empty: home


def message(arrival: Arrival) -> dict[str, Any]:
    """Return the message that the team sends."""
    body: dict[str, Any] = {
        "request_id": arrival.request_id,
        "hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0.1, "max": 1}},
        "strategy": "Random",
        "resource_limits": {
            "max_training_jobs": arrival.parallel,
            "max_parallel_training_jobs": arrival.parallel,
        },
        "overrides": {
            "TrainingJobDefinition": {
                "ResourceConfig": {"InstanceType": arrival.instance_type, "InstanceCount": 1}
            }
        },
    }
    if arrival.seconds > DEFAULT_RUN_SECONDS:
        definition = body["overrides"]["TrainingJobDefinition"]
        definition["StoppingCondition"] = {"MaxRuntimeInSeconds": LONGEST_RUN_SECONDS}
    if arrival.priority:
        body["priority"] = arrival.priority
    if arrival.expected_minutes:
        body["expected_minutes"] = arrival.expected_minutes
    if arrival.targets:
        body["targets"] = list(arrival.targets)
    if arrival.after:
        body["after"] = list(arrival.after)
    return body


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Arrivals, and the limits of the account they run in."""

    name: str
    arrivals: list[Arrival]
    teams: dict[str, dict[str, Any]]
    slots: int = 100
    instances: dict[str, int] = field(default_factory=dict)
    targets: int = 1  # each an account with so many slots and instances


def burst(requests: int, seed: int) -> Workload:
    """Return requests that all arrive at once, with jobs of about 30 minutes."""
    draw = random.Random(seed)
    arrivals = [
        Arrival(at=0, team="fraud", request_id=f"r{n}", seconds=draw.uniform(20, 40) * MINUTE)
        for n in range(requests)
    ]
    return Workload(name="burst", arrivals=arrivals, teams={"fraud": {}})


def steady(requests: int, seed: int) -> Workload:
    """Return requests of three teams that together use nine tenths of the account."""
    draw = random.Random(seed)
    mean_gap = 30 * MINUTE / 90
    at, arrivals = 0.0, []
    for n in range(requests):
        at += draw.expovariate(1 / mean_gap)
        team = draw.choice(["fraud", "vision", "forecast"])
        seconds = draw.lognormvariate(0, 0.5) * 26 * MINUTE
        arrivals.append(Arrival(at=at, team=team, request_id=f"r{n}", seconds=seconds))
    return Workload(
        name="steady", arrivals=arrivals, teams={"fraud": {}, "vision": {}, "forecast": {}}
    )


def noisy_neighbor(requests: int, seed: int) -> Workload:
    """Return requests of team a that fill the account, and ten of team b an hour later."""
    draw = random.Random(seed)
    noisy = [
        Arrival(at=0, team="a", request_id=f"a{n}", seconds=draw.uniform(20, 40) * MINUTE)
        for n in range(requests)
    ]
    quiet = [
        Arrival(at=60 * MINUTE + n, team="b", request_id=f"b{n}", seconds=30 * MINUTE)
        for n in range(10)
    ]
    return Workload(name="noisy-neighbor", arrivals=noisy + quiet, teams={"a": {}, "b": {}})


def big_and_small(requests: int, seed: int) -> Workload:
    """Return small jobs of an instance type, and big jobs that need most of its instances."""
    draw = random.Random(seed)
    small = [
        Arrival(at=n * 20.0, team="small", request_id=f"s{n}", seconds=draw.uniform(5, 15) * MINUTE)
        for n in range(requests)
    ]
    big = [
        Arrival(
            at=30 * MINUTE + n * 180 * MINUTE, team="big", request_id=f"b{n}",
            seconds=30 * MINUTE, parallel=16,
        )
        for n in range(max(1, requests // 1000))
    ]  # fmt: skip
    return Workload(
        name="big-and-small",
        arrivals=small + big,
        teams={"small": {}, "big": {}},
        instances={"ml.m5.large": 20},
    )


def chain(requests: int, seed: int) -> Workload:
    """Return chains of ten requests, each after the one before."""
    draw = random.Random(seed)
    arrivals = []
    for n in range(requests):
        link, chain_number = n % 10, n // 10
        previous = (f"c{chain_number}-{link - 1}",) if link else ()
        arrivals.append(
            Arrival(
                at=chain_number * 30.0, team="fraud", request_id=f"c{chain_number}-{link}",
                seconds=draw.uniform(5, 10) * MINUTE, after=previous,
            )
        )  # fmt: skip
    return Workload(name="chain", arrivals=arrivals, teams={"fraud": {}})


def multi_quota(requests: int, seed: int) -> Workload:
    """Return requests of two teams for two instance types, with quotas tighter than the slots."""
    draw = random.Random(seed)
    types = ["ml.m5.large", "ml.g5.xlarge"]
    arrivals = [
        Arrival(
            at=n * 5.0, team=draw.choice(["fraud", "vision"]), request_id=f"r{n}",
            seconds=draw.uniform(10, 30) * MINUTE, parallel=draw.randint(1, 5),
            instance_type=draw.choice(types),
        )
        for n in range(requests)
    ]  # fmt: skip
    return Workload(
        name="multi-quota",
        arrivals=arrivals,
        teams={"fraud": {"weight": 2.0}, "vision": {}},
        instances={"ml.m5.large": 60, "ml.g5.xlarge": 20},
    )


WORKLOADS: dict[str, Callable[[int, int], Workload]] = {
    "burst": burst,
    "steady": steady,
    "noisy-neighbor": noisy_neighbor,
    "big-and-small": big_and_small,
    "chain": chain,
    "multi-quota": multi_quota,
}
