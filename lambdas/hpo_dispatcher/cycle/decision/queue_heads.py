"""Reads the heads of the teams' queues, so far that no request that could start stays unseen.

If the first 2,000 requests of a queue could still hide others, each cycle reads one more page
behind them. The next cycle goes on where it ended, and begins again at the end of the queue. So
the first request of each shape is seen within as many cycles as the queue has pages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from hpo_dispatcher.contract.entry import Entry, Key
from hpo_dispatcher.ports import Requests
from hpo_dispatcher.scheduling.history.queue_counts import BEHIND
from hpo_dispatcher.scheduling.snapshot import Shape, shape_of

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
    # Requests farther back, of shapes that are not among the heads.
    farther: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    # The sort keys at which the next cycle reads on; not of teams whose queues end there.
    read_up_to: Mapping[str, str] = field(default_factory=dict)

    def examined(self) -> dict[str, list[Entry]]:
        """Return what a cycle looks at of each team's queue, in order."""
        return {team: [*queue, *self.farther.get(team, ())] for team, queue in self.by_team.items()}


@dataclass(frozen=True, kw_only=True)
class QueueReader:
    """A reader of the queues in the ledger.

    Args:
        requests: the ledger.
        accepted: entries that this cycle has added to the queues; the index may lack them.
        left_out: requests that cannot be read.
        read_up_to: the sort keys up to which the last cycle has read long queues, by team.
    """

    requests: Requests
    accepted: Sequence[Entry]
    left_out: Collection[Key]
    read_up_to: Mapping[str, str] = field(default_factory=dict)

    def read(self, counts: Mapping[str, int], may_hide: MayHide) -> QueueHeads:
        """Return the heads of the queues, as many as given, and more where they hide others.

        Args:
            counts: how many to read at first, by team.
            may_hide: asked about what has been read of a queue.
        """
        by_team: dict[str, Sequence[Entry]] = {}
        whole: set[str] = set()
        more = MOST_MORE_HEADS
        farther: dict[str, Sequence[Entry]] = {}
        read_up_to: dict[str, str] = {}
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
            if len(queue) >= MOST_HEADS and may_hide(team, queue):
                page = self._page(team, queue[-1].queue_sort_key)
                readable = [entry for entry in page if entry.key not in self.left_out]
                farther[team] = _of_other_shapes(queue, readable, first)
                if len(page) == MOST_HEADS:
                    read_up_to[team] = page[-1].queue_sort_key
        return QueueHeads(
            by_team=by_team, whole=frozenset(whole), farther=farther, read_up_to=read_up_to
        )

    def _page(self, team: str, last: str) -> Sequence[Entry]:
        """Return the next requests behind the last head."""
        after = max(last, self.read_up_to.get(team, ""))
        return self.requests.queued_from(team, after + BEHIND, MOST_HEADS)

    def _queue(self, team: str, count: int) -> Sequence[Entry]:
        entries = self.requests.heads(team, count + len(self.left_out))
        found = {entry.key: entry for entry in entries}
        found |= {entry.key: entry for entry in self.accepted if entry.team == team}
        queue = sorted(found.values(), key=lambda entry: entry.queue_sort_key)
        return [entry for entry in queue if entry.key not in self.left_out][:count]


def _of_other_shapes(queue: Sequence[Entry], page: Sequence[Entry], most: int) -> list[Entry]:
    """Return the first requests of each shape that is not in a queue, in order."""
    shapes = {_shape(entry) for entry in queue}
    seen: Counter[Shape] = Counter()
    found: list[Entry] = []
    for entry in page:
        shape = _shape(entry)
        if shape not in shapes and seen[shape] < most:
            seen[shape] += 1
            found.append(entry)
    return found


def _shape(entry: Entry) -> Shape:
    return shape_of(dict(sorted(entry.instances.items())), entry.allowed_targets)
