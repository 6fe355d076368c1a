"""One side of ``benchmarks.against``: intake and planning of the code on ``PYTHONPATH``.

Reads the name of a task per line and prints the CPU seconds of one repetition. This file is run
for both commits, so it must work with each of their layouts: the flat one of November 2026, and
the packages since then. Change ``_packages`` when a name moves, and keep the old names in a
function of their own as long as commits with them are compared.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

TEAM = "fraud"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MESSAGES = 1000
TEAMS, HEADS = 100, 110  # a cycle reads at most this many heads of each team's queue
PLANS = 3
TYPES = ("ml.m5.large", "ml.m5.xlarge", "ml.g5.xlarge")
BUILT_IN = "123456789012.dkr.ecr.us-east-1.amazonaws.com/xgboost:1"

Work = Callable[[], None]


def short_message(number: int) -> str:
    """Return a message with one range, as the simulation sends it."""
    return json.dumps(
        {
            "request_id": f"r{number}",
            "hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0.1, "max": 1}},
            "strategy": "Random",
            "resource_limits": {"max_training_jobs": 1, "max_parallel_training_jobs": 1},
            "overrides": {
                "TrainingJobDefinition": {
                    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1}
                }
            },
        }
    )


def full_message(number: int) -> str:
    """Return a message that uses most fields."""
    image = {"TrainingImage": BUILT_IN, "TrainingInputMode": "File"}
    return json.dumps(
        {
            "request_id": f"r{number}",
            "hyperparameters": {"epochs": 20, "optimizer": "adam", "amp": True},
            "hyperparameter_ranges": {
                "lr": {"type": "continuous", "min": 1e-4, "max": 0.1, "scaling": "Logarithmic"},
                "dropout": {"type": "continuous", "min": 0, "max": 0.6},
                "batch-size": {"type": "integer", "min": 64, "max": 1024},
                "layers": {"type": "categorical", "values": [1, 2, 3]},
            },
            "strategy": "Bayesian",
            "objective": {"metric": "validation:auc", "type": "Maximize"},
            "resource_limits": {"max_training_jobs": 50, "max_parallel_training_jobs": 5},
            "priority": 5,
            "tags": {"project": "credit", "owner": "risk"},
            "overrides": {
                "TrainingJobDefinition": {
                    "AlgorithmSpecification": image
                    | {"MetricDefinitions": [{"Name": "validation:auc", "Regex": "auc=(.*)"}]},
                    "ResourceConfig": {
                        "InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30,
                    },
                    "StoppingCondition": {
                        "MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200,
                    },
                    "EnableManagedSpotTraining": True,
                }
            },
        }
    )  # fmt: skip


def intake_of(message: Callable[[int], str]) -> Work:
    """Return the intake of new messages by a deployment in memory."""
    simulate = import_module("hpoq.simulation.simulate")
    workload = import_module("hpoq.simulation.workload")
    simulation = simulate.Simulation(workload.Workload(name="", arrivals=[], teams={TEAM: {}}))
    for number in range(MESSAGES):
        simulation.queues.send(TEAM, message(number))

    def work() -> None:
        taken = _intake(simulation.dispatcher)
        assert taken.counts["new"] == MESSAGES, taken.counts

    return work


def _intake(dispatcher: Any) -> Any:
    """Run the first step of a cycle."""
    parts = {name: getattr(dispatcher, name, None) for name in ("queues", "builder", "clock")}
    try:
        drain = import_module("hpo_dispatcher.cycle.intake.drain")
    except ModuleNotFoundError:  # the flat layout
        flat = import_module("hpo_dispatcher.intake")
        return flat.intake(ledger=dispatcher.ledger, out_of_time=lambda: False, **parts)
    parts |= {each.name: getattr(dispatcher, each.name) for each in fields(drain.Intake)}
    return drain.Intake(**parts).run(lambda: False)


def planning() -> Work:
    """Return plans for full queues in an account that is half in use."""
    plans = _flat() if _is_flat() else _packages()

    def work() -> None:
        for _ in range(PLANS):
            assert len(plans().starts) == 50

    return work


def _is_flat() -> bool:
    try:
        import_module("hpo_dispatcher.scheduling.plan")
    except ModuleNotFoundError:
        return True
    return False


def _jobs(make: Callable[..., Any]) -> list[Any]:
    """Return fifty running jobs of ten teams."""
    return [
        make(tuning_job_name=f"j{n}", team=f"t{n % 10}", **_needs(TYPES[n % 3])) for n in range(50)
    ]


def _queues(make: Callable[..., Any]) -> dict[str, list[Any]]:
    return {
        f"t{team}": [
            make(
                team=f"t{team}", request_id=f"r{n}", priority=0,
                accepted_at=NOON - timedelta(seconds=n), **_needs(TYPES[(team + n) % 3]),
            )
            for n in range(HEADS)
        ]
        for team in range(TEAMS)
    }  # fmt: skip


def _needs(instance_type: str) -> dict[str, Any]:
    """Return the fields of a head or a running job that uses two instances."""
    if not _is_flat():
        return {"instances": {instance_type: 2}}
    demand = import_module("hpo_dispatcher.tuning_job").Demand
    return {"demand": demand(tuning_jobs=1, instances={instance_type: 2})}


QUOTAS = dict.fromkeys(TYPES, 400)


def _packages() -> Callable[[], Any]:
    values = import_module("hpo_dispatcher.scheduling.snapshot")
    plan = import_module("hpo_dispatcher.scheduling.plan").plan
    capacity = values.Capacity(tuning_jobs=100, instances=QUOTAS)
    snapshot = values.Snapshot(
        now=NOON, running_jobs=_jobs(values.RunningJob), queues=_queues(values.Head)
    )
    return lambda: plan(snapshot, capacity, {})


def _flat() -> Callable[[], Any]:
    flat = import_module("hpo_dispatcher.plan")
    capacity = flat.Capacity(tuning_jobs=100, instances=QUOTAS)
    snapshot = flat.Snapshot(now=NOON, holders=_jobs(flat.Holder), lines=_queues(flat.Head))
    return lambda: flat.plan(snapshot, capacity, {})


TASKS: dict[str, Callable[[], Work]] = {
    f"intake of {MESSAGES:,} short messages": lambda: intake_of(short_message),
    f"intake of {MESSAGES:,} full messages": lambda: intake_of(full_message),
    f"{PLANS} plans, {TEAMS} teams with {HEADS} heads each": planning,
}


def main() -> None:
    """Answer each line of standard input with the CPU seconds of that task."""
    for line in sys.stdin:
        work = TASKS[line.strip()]()
        gc.collect()
        gc.disable()  # a collection would count for whichever repetition it falls into
        began = time.process_time()
        work()
        seconds = time.process_time() - began
        gc.enable()
        print(seconds, flush=True)


if __name__ == "__main__":
    main()
