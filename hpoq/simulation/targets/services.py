"""The simulated SageMaker of each target, seen together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from hpo_dispatcher.contract.targets.resources import HOME, on_target
from hpoq.simulation.sagemaker import SimulatedJob, SimulatedSageMaker
from hpoq.simulation.workload import Workload


def target_names(count: int) -> tuple[str, ...]:
    """Return the names of so many targets, home first."""
    return HOME, *(f"target-{number}" for number in range(2, count + 1))


def on_targets(workload: Workload, count: int) -> Workload:
    """Return a workload over so many targets, each of its requests on any of them."""
    names = target_names(count)
    arrivals = [replace(arrival, targets=names) for arrival in workload.arrivals]
    return replace(workload, arrivals=arrivals, targets=count)


@dataclass(frozen=True)
class SimulatedTargets:
    """The simulated SageMaker of each target, by name."""

    services: Mapping[str, SimulatedSageMaker]

    def running(self) -> Iterator[SimulatedJob]:
        """Yield the running jobs of all targets."""
        for service in self.services.values():
            yield from service.running.values()

    def count(self) -> int:
        """Return how many jobs run on all targets."""
        return sum(len(service.running) for service in self.services.values())

    def ended(self) -> Iterator[SimulatedJob]:
        """Yield the jobs of all targets that have ended."""
        for service in self.services.values():
            yield from service.ended.values()

    def next_end(self) -> datetime | None:
        """Return when the next job ends; None if no job runs."""
        ends = [service.next_end() for service in self.services.values()]
        return min((end for end in ends if end), default=None)

    def end_due(self) -> list[SimulatedJob]:
        """End every job that is due."""
        return [job for service in self.services.values() for job in service.end_due()]

    def held(self) -> Counter[str]:
        """Return the instances in use and their totals, by name with the target."""
        held: Counter[str] = Counter()
        for target, service in self.services.items():
            for resource, amount in service.held.items():
                held[on_target(target, resource)] += amount
        return held

    def calls(self) -> Counter[str]:
        """Return the calls to all targets, by operation."""
        return sum((service.calls for service in self.services.values()), Counter[str]())
