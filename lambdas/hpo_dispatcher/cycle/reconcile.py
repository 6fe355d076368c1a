"""The fifth step of a cycle: records ended tuning jobs, and unblocks the requests behind them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from hpo_dispatcher.contract.entry import BlockedEntry, Entry, Status
from hpo_dispatcher.contract.errors import BrokenTemplate, InvalidRequest
from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.cycle.endings import ending_of, finish, never_created
from hpo_dispatcher.cycle.outcome import Observation, ReconcileOutcome
from hpo_dispatcher.ports import Documents, Ending, Requests
from hpo_dispatcher.scheduling.dependencies import (
    Hopeless,
    Ready,
    Waiting,
    cyclic,
    graph_of,
    judge,
    may_change,
    parents_outside,
    targets_of_warm_start,
)
from hpo_dispatcher.tuning_job.builder import JobBuilder

# While no more requests wait for others, each cycle reads all of them.
BLOCKED_READ = 2_000
# While there are more, each cycle reads so many of each team, and the next cycle the next ones. So
# a team that has 20,000 of them delays its own, and costs the other teams no more than one query.
BLOCKED_OF_TEAM = 500
BLOCKED_POSITIONS = "blocked-positions"  # the name of the document


@dataclass(frozen=True, kw_only=True)
class Reconciler:
    """Records in the ledger what has ended, and what may start because of it."""

    requests: Requests
    documents: Documents
    teams: Collection[str]
    builder: JobBuilder
    redactor: Redactor
    clock: Callable[[], datetime]

    def reconcile(self, seen: Observation) -> ReconcileOutcome:
        """Write the final states of ended requests; queue preempted requests again."""
        ended = [
            *seen.ended,
            *((job, never_created(job)) for job in seen.missing if job.preempted_for),
        ]
        several = [job.key for job, _ in ended if job.resumed or job.preempted_for]
        entries = self.requests.get_all(several) if several else {}
        endings = [
            ending_of(
                job,
                detail,
                entries.get(job.key),
                builder=self.builder,
                redactor=self.redactor,
                now=self.clock(),
            )
            for job, detail in ended
            if job.key in entries or not (job.resumed or job.preempted_for)
        ]
        changes = finish(self.requests, endings, self.clock)
        written = {(change.team, change.request_id) for change in changes}
        resumed = [ending.resumes_as for ending in endings if ending.resumes_as]
        return ReconcileOutcome(
            changes=changes, queued=[entry for entry in resumed if entry.key in written]
        )

    def unblock(self) -> ReconcileOutcome:
        """Queue the requests whose parents have ended; end those that can never start.

        Only entries whose verdict may change are read: in a chain, the first and its parent.
        """
        all_blocked = self._blocked()
        graph = graph_of(all_blocked)
        parents_keys = parents_outside(graph)
        outside = self.requests.get_all(parents_keys) if parents_keys else {}
        cycles = cyclic(graph)
        blocked = [each for each in all_blocked if may_change(each, graph, outside, cycles)]
        keys = [b.key for b in blocked]
        inside = [key for b in blocked for p in b.parents if (key := (b.team, p)) in graph]
        entries = {**outside, **self.requests.get_all([*keys, *inside])} if keys else {}
        queued: list[Entry] = []
        endings: list[Ending] = []
        broken = 0
        for each in blocked:
            entry = entries.get((each.team, each.request_id))
            if entry is None or entry.status is not Status.QUEUED:
                continue
            found = (entries.get((each.team, parent)) for parent in each.parents)
            parents = {parent.request_id: parent for parent in found if parent}
            waited = self.clock() - entry.accepted_at
            others = graph if each.key in cycles else {}
            match judge(replace(each, request=entry.request), parents, others, waited):
                case Ready():
                    ready = self._with_demand(entry)
                    if ready is None:
                        broken += 1
                        continue
                    warm = [parents[name] for name in each.warm_start_from]
                    targets = targets_of_warm_start(ready, warm)
                    if isinstance(targets, Hopeless):
                        endings.append(self._never(entry, targets.reason))
                        continue
                    if targets != ready.targets:
                        ready = replace(ready, targets=targets)
                    demand = None if ready is entry else ready
                    if self.requests.unblock(*entry.key, demand) and not entry.on_hold:
                        queued.append(replace(ready, blocked=False, reason=""))
                case Hopeless(reason=reason):
                    endings.append(self._never(entry, reason))
                case Waiting():
                    pass
        changes = finish(self.requests, endings, self.clock)
        return ReconcileOutcome(changes=changes, queued=queued, broken_templates=broken)

    def _blocked(self) -> Sequence[BlockedEntry]:
        """Return the requests that wait for others, or the next ones of each team."""
        found = self.requests.blocked(BLOCKED_READ + 1)
        if len(found) <= BLOCKED_READ:
            return found
        positions = json.loads(self.documents.get(BLOCKED_POSITIONS) or "{}")
        following: dict[str, str] = {}
        of_teams: list[BlockedEntry] = []
        for team in self.teams:
            part = self.requests.blocked_of(team, positions.get(team, ""), BLOCKED_OF_TEAM)
            of_teams += part
            if len(part) == BLOCKED_OF_TEAM:  # otherwise, the next cycle begins with the first one
                following[team] = part[-1].request_id
        self.documents.put(BLOCKED_POSITIONS, json.dumps(following))
        return of_teams

    def _with_demand(self, entry: Entry) -> Entry | None:
        """Return an entry with the demand of its request; None while its template is broken.

        An invalid request keeps its entry, and is rejected when it starts.
        """
        if entry.max_parallel or entry.request is None:
            return entry
        try:
            return self.builder.entry(entry.team, entry.request, entry.accepted_at)
        except BrokenTemplate:
            return None
        except InvalidRequest:
            return entry

    def _never(self, entry: Entry, reason: str) -> Ending:
        return Ending(
            team=entry.team,
            request_id=entry.request_id,
            was=(Status.QUEUED,),
            status=Status.CANCELLED,
            ended_at=self.clock(),
            reason=reason,
        )
