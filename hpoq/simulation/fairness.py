"""Measures of how fully and how fairly the account was used, over virtual time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from hpo_dispatcher.contract.targets.resources import on_target
from hpo_dispatcher.scheduling.snapshot import SLOTS, needs
from hpoq.simulation.in_memory_ledger import MemoryRequests
from hpoq.simulation.in_memory_ports import MemoryQueues
from hpoq.simulation.targets.services import SimulatedTargets
from hpoq.simulation.workload import Workload

MAX_COUNTED = 100  # queued requests per team; more than that is demand for the whole account


class Shares:
    """Integrals over the time in which requests were queued.

    A team's fair share is its weight's part of the account among the teams with running or queued
    requests, but not more than it asks for. Its received share is its dominant share. The
    shortfall counts while the team has queued requests.
    """

    def __init__(
        self,
        workload: Workload,
        requests: MemoryRequests,
        queues: MemoryQueues,
        targets: SimulatedTargets,
    ) -> None:
        of_one = {SLOTS: workload.slots, **workload.instances}
        self._limits = {r: n * workload.targets for r, n in of_one.items()}
        self._slots = workload.slots
        self._weights = {team: of.get("weight", 1.0) for team, of in workload.teams.items()}
        self._requests, self._queues, self._targets = requests, queues, targets
        self._backlogged = 0.0  # seconds
        self._used: defaultdict[str, float] = defaultdict(float)  # resource -> amount x seconds
        self._short: defaultdict[str, float] = defaultdict(float)  # team -> share x seconds
        self._wanting: defaultdict[str, float] = defaultdict(float)  # team -> seconds

    def pass_for(self, seconds: float) -> None:
        """Add a time in which nothing changes to the integrals."""
        if seconds <= 0 or not (self._queues.waiting() or self._requests.queued()):
            return
        self._backlogged += seconds
        for target, service in self._targets.services.items():
            self._used[on_target(target, SLOTS)] += seconds * len(service.running)
        for each, held in self._targets.held().items():
            self._used[each] += seconds * held
        if len(self._weights) > 1:
            self._compare(seconds)

    def slots_used(self) -> float:
        """Return the used share of the slots while requests were queued."""
        return self._part(SLOTS)

    def slots_used_on(self, target: str) -> float:
        """Return the used share of the slots of one target while requests were queued."""
        whole = self._backlogged * self._slots
        return self._used[on_target(target, SLOTS)] / whole if whole else 0.0

    def instances_used(self) -> dict[str, float]:
        """Return the used share of each instance quota while requests were queued."""
        return {each: self._part(each) for each in self._limits if each != SLOTS}

    def largest_gap(self) -> float:
        """Return the largest mean shortfall of a team."""
        means = (self._short[team] / seconds for team, seconds in self._wanting.items() if seconds)
        return max([0.0, *means])

    def _part(self, resource: str) -> float:
        whole = self._backlogged * self._limits[resource]
        used = sum(self._used[on_target(target, resource)] for target in self._targets.services)
        return used / whole if whole else 0.0

    def _compare(self, seconds: float) -> None:
        held: dict[str, Counter[str]] = {team: Counter() for team in self._weights}
        for job in self._targets.running():
            if job.key:
                held[job.key[0]].update(needs(job.instances))
        wanted = {team: self._wanted(team) for team in self._weights}
        there = [team for team in self._weights if held[team] or wanted[team]]
        weights = sum(self._weights[team] for team in there)
        for team in there:
            if wanted[team]:
                fair = min(self._weights[team] / weights, self._dominant(held[team] + wanted[team]))
                self._short[team] += seconds * (fair - self._dominant(held[team]))
                self._wanting[team] += seconds

    def _wanted(self, team: str) -> Counter[str]:
        wanted: Counter[str] = Counter()
        for entry in self._requests.first_queued(team, MAX_COUNTED):
            wanted.update(needs(entry.instances))
        return wanted

    def _dominant(self, amounts: Mapping[str, int]) -> float:
        return max(min(1.0, amounts.get(r, 0) / limit) for r, limit in self._limits.items())
