"""Reads the heads of the teams' queues, so far that no request that could start stays unseen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from hpo_dispatcher.contract.entry import Entry, Key
from hpo_dispatcher.ports import Requests

# Heads of each team whose reason to wait is published, beyond those that start.
EXPLAINED_HEADS = 10
# The most that is read of one team's queue in a cycle, to find requests behind those that wait.
MOST_HEADS = 2_000
# The most that is read of all queues beyond their first heads.
MOST_MORE_HEADS = 10_000

# Returns whether requests behind these heads of a team's queue could start.
MayHide = Callable[[str, Sequence[Entry]], bool]


@dataclass(frozen=True, kw_only=True)
class QueueHeads:
    """The heads of the queues that a cycle looks at."""

    by_team: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()  # teams whose queue is not longer than that


@dataclass(frozen=True, kw_only=True)
class QueueReader:
    """A reader of the queues in the ledger.

    Args:
        requests: the ledger.
        accepted: entries that this cycle has added to the queues; the index may lack them.
        left_out: requests that cannot be read.
    """

    requests: Requests
    accepted: Sequence[Entry]
    left_out: Collection[Key]

    def read(self, counts: Mapping[str, int], may_hide: MayHide) -> QueueHeads:
        """Return the heads of the queues, as many as given, and more where they hide others.

        Args:
            counts: how many to read at first, by team.
            may_hide: asked about what has been read of a queue.
        """
        by_team: dict[str, Sequence[Entry]] = {}
        whole: set[str] = set()
        more = MOST_MORE_HEADS
        for team, first in counts.items():
            count = first
            queue = self._queue(team, count)
            while len(queue) == count < MOST_HEADS and more > 0 and may_hide(team, queue):
                deeper = min(count * 4, count + more, MOST_HEADS)
                more -= deeper - count
                count = deeper
                queue = self._queue(team, count)
            by_team[team] = queue
            whole |= {team} if len(queue) < count else set()
        return QueueHeads(by_team=by_team, whole=frozenset(whole))

    def _queue(self, team: str, count: int) -> Sequence[Entry]:
        entries = self.requests.heads(team, count + len(self.left_out))
        found = {entry.key: entry for entry in entries}
        found |= {entry.key: entry for entry in self.accepted if entry.team == team}
        queue = sorted(found.values(), key=lambda entry: entry.queue_sort_key)
        return [entry for entry in queue if entry.key not in self.left_out][:count]
