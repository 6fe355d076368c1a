"""Bring the ledger to what has ended: final states, places in line, children that may start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.cycle.endings import ending_of, finish, never_created
from hpo_dispatcher.cycle.outcome import Observation
from hpo_dispatcher.ports import Ending, Requests, StateChange
from hpo_dispatcher.scheduling.dependencies import Hopeless, Ready, Waiting, graph_of, judge
from hpo_dispatcher.tuning_job.builder import JobBuilder


@dataclass(frozen=True, kw_only=True)
class Reconciler:
    """Between tuning jobs and requests that have ended, and the entries that tell of them."""

    builder: JobBuilder
    requests: Requests
    clock: Callable[[], datetime]

    def reconcile(self, seen: Observation) -> tuple[list[StateChange], list[Entry]]:
        """Give the entries whose tuning jobs have ended their final state, or let them go on.

        Returns:
            What changed, and the entries that are in line again.
        """
        ended = [
            *seen.ended,
            *((job, never_created(job)) for job in seen.missing if job.preempted_for),
        ]
        several = [job.key for job, _ in ended if job.resumed or job.preempted_for]
        entries = self.requests.get_all(several) if several else {}
        endings = [
            ending_of(job, detail, entries.get(job.key), builder=self.builder, now=self.clock())
            for job, detail in ended
            if job.key in entries or not (job.resumed or job.preempted_for)
        ]
        changes = finish(self.requests, endings, self.clock)
        written = {(change.team, change.request_id) for change in changes}
        on = [ending.resumes_as for ending in endings if ending.resumes_as]
        return changes, [entry for entry in on if entry.key in written]

    def unblock(self) -> tuple[list[StateChange], list[Entry]]:
        """Let requests whose parents have ended into line; end those that never can start.

        Returns:
            What changed for those that never can, and the entries that are in line now.
        """
        blocked = self.requests.blocked()
        keys = [(b.team, each) for b in blocked for each in (b.request_id, *b.parents)]
        entries = self.requests.get_all(keys) if keys else {}
        freed: list[Entry] = []
        endings: list[Ending] = []
        graph = graph_of(blocked)
        for each in blocked:
            entry = entries.get((each.team, each.request_id))
            if entry is None or entry.status is not Status.QUEUED:
                continue
            found = (entries.get((each.team, parent)) for parent in each.parents)
            parents = {parent.request_id: parent for parent in found if parent}
            match judge(replace(each, request=entry.request), parents, graph):
                case Ready():
                    if self.requests.unblock(*entry.key) and not entry.on_hold:
                        freed.append(replace(entry, blocked=False, reason=""))
                case Hopeless(reason=reason):
                    endings.append(self._never(entry, reason))
                case Waiting():
                    pass
        return finish(self.requests, endings, self.clock), freed

    def _never(self, entry: Entry, reason: str) -> Ending:
        return Ending(
            team=entry.team,
            request_id=entry.request_id,
            was=(Status.QUEUED,),
            status=Status.CANCELLED,
            ended_at=self.clock(),
            reason=reason,
        )
