"""How well the account was used, and how fairly, over virtual time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from hpo_dispatcher.scheduling.snapshot import SLOTS
from hpoq.simulation.in_memory_ports import MemoryLedger, MemoryQueues
from hpoq.simulation.sagemaker import SimulatedSageMaker
from hpoq.simulation.workload import Workload

LOOKED_AT = 100  # requests of a line: more than that is demand for the whole account


class Shares:
    """Integrals over the time in which something was queued.

    A team's fair share is the part of the account that its weight gives it among the teams that
    hold or want something, but no more than it wants; what it received is its dominant share. The
    shortfall counts while the team has requests in line.
    """

    def __init__(
        self,
        workload: Workload,
        ledger: MemoryLedger,
        queues: MemoryQueues,
        sagemaker: SimulatedSageMaker,
    ) -> None:
        self._limits = {SLOTS: workload.slots, **workload.instances}
        self._weights = {team: of.get("weight", 1.0) for team, of in workload.teams.items()}
        self._ledger, self._queues, self._sagemaker = ledger, queues, sagemaker
        self._backlogged = 0.0  # seconds
        self._used: defaultdict[str, float] = defaultdict(float)  # resource -> amount x seconds
        self._short: defaultdict[str, float] = defaultdict(float)  # team -> share x seconds
        self._wanting: defaultdict[str, float] = defaultdict(float)  # team -> seconds

    def pass_for(self, seconds: float) -> None:
        """So long everything stays as it is."""
        if seconds <= 0 or not (self._queues.waiting() or self._ledger.queued()):
            return
        self._backlogged += seconds
        self._used[SLOTS] += seconds * len(self._sagemaker.running)
        for each, held in self._sagemaker.held.items():
            self._used[each] += seconds * held
        if len(self._weights) > 1:
            self._compare(seconds)

    def slots_used(self) -> float:
        """Part of the slots, while something was queued."""
        return self._part(SLOTS)

    def instances_used(self) -> dict[str, float]:
        """Part of each instance quota, while something was queued."""
        return {each: self._part(each) for each in self._limits if each != SLOTS}

    def largest_gap(self) -> float:
        """The mean shortfall of the team that had the largest."""
        means = (self._short[team] / seconds for team, seconds in self._wanting.items() if seconds)
        return max([0.0, *means])

    def _part(self, resource: str) -> float:
        whole = self._backlogged * self._limits[resource]
        return self._used[resource] / whole if whole else 0.0

    def _compare(self, seconds: float) -> None:
        held: dict[str, Counter[str]] = {team: Counter() for team in self._weights}
        for job in self._sagemaker.running.values():
            if job.key:
                held[job.key[0]].update({SLOTS: 1, **job.instances})
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
        for entry in self._ledger.first_in_line(team, LOOKED_AT):
            wanted.update({SLOTS: 1, **entry.instances})
        return wanted

    def _dominant(self, amounts: Mapping[str, int]) -> float:
        return max(min(1.0, amounts.get(r, 0) / limit) for r, limit in self._limits.items())
