"""The length of each team's queue, and positions in it, without reading the queue. Pure.

The queue is an index sorted by position; counting it costs as much as it is long. So the
dispatcher keeps a tally as requests join and leave: a few marks, each the sort key from which it
counts and the number of requests from there to the next mark. Every cycle reads the heads of the
queue anyway and corrects the first marks with them. What a killed cycle could not count is
correct again once the heads have reached it. docs/decisions/0013.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hpo_dispatcher.contract.documents.capacity import QueueLength

# Requests that a mark counts before the next one begins: positions are accurate to half of it.
PER_MARK = 20
# Marks of all teams together, up to 90 bytes each: the document must stay below 100 KB.
MARKS = 500

Mark = tuple[str, int]  # (sort key from which it counts, number)


@dataclass
class QueueCount:
    """The count of one team's queue."""

    marks: list[Mark] = field(default_factory=list)
    complete: bool = False  # False: there may be more requests than were ever counted

    def __len__(self) -> int:
        return sum(count for _, count in self.marks)

    def join(self, sort_key: str) -> None:
        """Count a request that has joined the queue."""
        index = self._mark(sort_key)
        last = index == len(self.marks) - 1
        if index < 0 or (last and self.marks[index][1] >= PER_MARK):
            self.marks.insert(index + 1, (sort_key, 1))
        elif self.marks[index][1] >= 2 * PER_MARK and self.marks[index][0] < sort_key:
            self._split(index, sort_key)
        else:
            self._add(index, 1)

    def leave(self, sort_key: str) -> None:
        """Count out a request that has started, was cancelled or was put on hold."""
        index = self._mark(sort_key)
        if index >= 0:
            self._add(index, -1)

    def correct(self, sort_keys: Sequence[str], whole: bool) -> None:
        """Correct the count with the heads of the queue as they were read.

        Args:
            sort_keys: of the heads, sorted.
            whole: there are no requests behind them.
        """
        first = [
            (sort_keys[start], len(sort_keys[start : start + PER_MARK]))
            for start in range(0, len(sort_keys), PER_MARK)
        ]
        if whole or not sort_keys:
            self.marks = first if whole else self.marks
            self.complete = whole or self.complete
            return
        self.marks = first + self._behind(sort_keys)

    def before(self, sort_key: str) -> int:
        """Return about how many requests come before a sort key.

        It is off by half a mark at most if requests join in order; by more if they join between
        others, until the heads are read there.
        """
        index = self._mark(sort_key)
        if index < 0:
            return 0
        return sum(count for _, count in self.marks[:index]) + self.marks[index][1] // 2

    def shorten(self, most: int) -> None:
        """Merge neighboring marks, the smallest first, until there are few enough."""
        while len(self.marks) > max(1, most):
            counts = [count for _, count in self.marks]
            at = min(range(len(counts) - 1), key=lambda i: counts[i] + counts[i + 1])
            merged = self.marks[at][0], counts[at] + counts[at + 1]
            self.marks[at : at + 2] = [merged]

    def _split(self, index: int, sort_key: str) -> None:
        """Divide a full mark at a request that joins; half of the others are taken to be before it.

        Requests join in the middle if priorities change or are released from a hold.
        """
        low, count = self.marks[index]
        before = count // 2
        self.marks[index : index + 1] = [(low, before), (sort_key, count - before + 1)]

    def _behind(self, sort_keys: Sequence[str]) -> list[Mark]:
        last = sort_keys[-1]
        index = self._mark(last)
        if index < 0:
            return self.marks
        low, count = self.marks[index]
        left = count - sum(each >= low for each in sort_keys)
        # A space sorts before every character of an id: this is the first key after the last one.
        rest = [(last + " ", left)] if left > 0 else []
        return rest + self.marks[index + 1 :]

    def _mark(self, sort_key: str) -> int:
        """Return the index of the mark that counts a sort key; -1 before the first."""
        return bisect_right(self.marks, sort_key, key=lambda mark: mark[0]) - 1

    def _add(self, index: int, number: int) -> None:
        low, count = self.marks[index]
        if count + number > 0:
            self.marks[index] = low, count + number
        else:
            del self.marks[index]


@dataclass
class QueueCounts:
    """The counts of all teams' queues."""

    by_team: dict[str, QueueCount] = field(default_factory=dict)

    def of(self, team: str) -> QueueCount:
        """Return the count of a team's queue."""
        return self.by_team.setdefault(team, QueueCount())

    def published(self) -> dict[str, QueueLength]:
        """Return the counts for the capacity document, with no more marks than it may hold."""
        for count in self.by_team.values():
            count.shorten(MARKS // max(1, len(self.by_team)))
        return {
            team: QueueLength(queued=len(count), complete=count.complete, marks=tuple(count.marks))
            for team, count in self.by_team.items()
        }

    @classmethod
    def from_published(cls, queues: Mapping[str, QueueLength]) -> QueueCounts:
        """Read the counts from the capacity document."""
        return cls(
            {team: QueueCount(list(queue.marks), queue.complete) for team, queue in queues.items()}
        )
