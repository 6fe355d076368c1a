"""Gather what the plan decides by: holders, lines, budgets and capacity."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from hpo_dispatcher.contract.entry import ActiveJob, Entry, Status, month_of
from hpo_dispatcher.cycle.intake import held_teams
from hpo_dispatcher.cycle.outcome import Decision, Key, Observation
from hpo_dispatcher.ports import Ledger, Quotas, TuningJob, TuningService
from hpo_dispatcher.scheduling.budget import Budget, budgets, over_budget, spent_by, with_held
from hpo_dispatcher.scheduling.plan import Capacity, Front, Head, Holder, Snapshot, plan
from hpo_dispatcher.tuning_job.build import Demand
from hpo_dispatcher.tuning_job.builder import JobBuilder

# Heads of each team that are told why they wait, beyond those that start.
EXPLAINED_HEADS = 10
# Looked at in a line of which a budget holds some, for smaller ones behind them.
BUDGETED_HEADS = 200
OTHER_JOBS = "other-jobs"


@dataclass(frozen=True, kw_only=True)
class Decider:
    """Snapshot of holders and heads, handed to the pure plan."""

    builder: JobBuilder
    ledger: Ledger
    tuning: TuningService
    quotas: Quotas
    clock: Callable[[], datetime]

    def decide(
        self, seen: Observation, accepted: Sequence[Entry], fronts: Mapping[Key, Front]
    ) -> Decision:
        """What is to start, to stop and to wait.

        Args:
            seen: all that holds capacity.
            accepted: entries that this cycle has put in line.
            fronts: of the lines, as the last cycle left them.
        """
        deployment = self.builder.deployment
        holders = self._holders(seen)
        count = max(0, deployment.limits.tuning_jobs - len(holders)) + EXPLAINED_HEADS
        held = held_teams(self.ledger)
        going = [team for team in deployment.teams if team not in held]
        lines = {team: self._line(team, count, accepted) for team in going}
        whole = {team for team, line in lines.items() if len(line) < count}
        of_teams = self._budgets(seen)
        over: dict[Key, str] = {}
        for team in of_teams.keys() & lines.keys():
            over |= over_budget(lines[team], of_teams[team])
            if team not in whole and any(key[0] == team for key in over):
                deeper = count + BUDGETED_HEADS
                lines[team] = self._line(team, deeper, accepted)
                over |= over_budget(lines[team], of_teams[team])
                whole |= {team} if len(lines[team]) < deeper else set()
        heads = {team: [_head(entry) for entry in line] for team, line in lines.items()}
        free = {t: [head for head in line if head.key not in over] for t, line in heads.items()}
        promised = frozenset(job.stopped_for for job in seen.active if job.stopped_for)
        snapshot = Snapshot(
            now=self.clock(), holders=holders, lines=free, fronts=fronts, promised=promised
        )
        capacity = self._capacity()
        return Decision(
            plan=with_held(plan(snapshot, capacity, deployment.teams), heads, over),
            capacity=capacity,
            entries={entry.key: entry for line in lines.values() for entry in line},
            lines=lines,
            whole=whole,
            held_teams=held,
            holders=holders,
            budgets=of_teams,
        )

    def _holders(self, seen: Observation) -> list[Holder]:
        ours = {job.tuning_job_name: job for job in seen.active}
        gone = {job.tuning_job_name for job, _ in seen.ended}
        names = (set(seen.listed) | set(ours)) - gone
        others = self._others(names - set(ours))
        return [
            _holder(name, ours.get(name), others, seen.listed.get(name)) for name in sorted(names)
        ]

    def _others(self, names: AbstractSet[str]) -> Mapping[str, Mapping[str, int]]:
        """Instances of tuning jobs that nobody queued: each is described once."""
        document = self.ledger.document(OTHER_JOBS) if names else None
        known: dict[str, dict[str, int]] = json.loads(document or "{}")
        new = {name: dict(self.tuning.instances(name)) for name in sorted(names - set(known))}
        if new:
            kept = {name: known[name] for name in names & set(known)} | new
            self.ledger.put_document(OTHER_JOBS, json.dumps(kept))
            return kept
        return known

    def _line(self, team: str, count: int, accepted: Sequence[Entry]) -> Sequence[Entry]:
        """The index may lag behind; what this cycle itself accepted is added."""
        entries = {entry.key: entry for entry in self.ledger.heads(team, count)}
        entries |= {entry.key: entry for entry in accepted if entry.team == team}
        line = sorted(entries.values(), key=lambda e: (-e.priority, e.accepted_at, e.request_id))
        return line[:count]

    def _budgets(self, seen: Observation) -> Mapping[str, Budget]:
        """Read after what runs: an end in between counts twice rather than not at all."""
        teams, now = self.builder.deployment.teams, self.clock()
        if all(settings.monthly_instance_hours is None for settings in teams.values()):
            return {}
        ended = {job.tuning_job_name for job, _ in seen.ended}
        return budgets(
            teams,
            self.ledger.spent(month_of(now)),
            [job for job in seen.active if job.tuning_job_name not in ended],
            [spent_by(job, detail.ended_at or now) for job, detail in seen.ended],
            now,
        )

    def _capacity(self) -> Capacity:
        """Quotas, unless the settings say otherwise, less what is left to others."""
        limits = self.builder.deployment.limits
        instances = {**self.quotas.training_instances(), **limits.instances}
        for instance_type, spared in limits.headroom.items():
            if instance_type in instances:
                instances[instance_type] = max(0, instances[instance_type] - spared)
        return Capacity(tuning_jobs=limits.tuning_jobs, instances=instances)


def _holder(
    name: str,
    ours: ActiveJob | None,
    others: Mapping[str, Mapping[str, int]],
    listed: TuningJob | None,
) -> Holder:
    instances = ours.instances if ours else others.get(name, {})
    demand = Demand(tuning_jobs=1, instances=listed.held(instances) if listed else instances)
    stopping = listed is not None and listed.status is Status.STOPPING
    if ours is None:
        return Holder(tuning_job_name=name, team=None, demand=demand, stopping=stopping)
    return Holder(
        tuning_job_name=name,
        team=ours.team,
        demand=demand,
        request_id=ours.request_id,
        priority=ours.priority,
        started_at=ours.started_at,
        obstacle=ours.obstacle if listed else "it is about to be created",
        resumed=ours.resumed,
        stopping=stopping or ours.status is Status.STOPPING,
        stopped_for=ours.stopped_for,
    )


def _head(entry: Entry) -> Head:
    return Head(
        team=entry.team,
        request_id=entry.request_id,
        priority=entry.priority,
        accepted_at=entry.accepted_at,
        demand=Demand(tuning_jobs=1, instances=entry.instances),
    )
