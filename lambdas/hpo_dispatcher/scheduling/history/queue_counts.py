"""The length of each team's queue, and positions in it, without reading the queue. Pure.

The queue is an index sorted by position; counting it costs as much as it is long. So the
dispatcher keeps a tally as requests join and leave: a few marks, each the sort key from which it
counts and the number of requests from there to the next mark. Every cycle reads the heads of the
queue anyway and corrects the first marks with them. What a killed cycle could not count is
correct again once the heads have reached it. A last mark without requests says where the queue
ends: requests that join behind it begin new marks. Requests that join between others enlarge a
mark: a cycle reads one such mark and divides it where its requests are. docs/decisions/0013.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hpo_dispatcher.contract.documents.capacity import QueueLength

# Requests that a mark counts before the next one begins: positions are accurate to half of it.
PER_MARK = 20
# Marks of all teams together, up to 90 bytes each: the document must stay below 100 KB.
MARKS = 500
# Requests of a mark from which on a cycle reads and divides it.
OVERFULL = 2 * PER_MARK
# Requests that a cycle reads to divide a mark: one page of a DynamoDB query.
READ_AT_ONCE = 200

# A sort key before all others: DynamoDB takes no empty keys.
BEFORE_ALL = " "
# A space sorts before every character of an id: appended, it makes the first key behind another.
BEHIND = " "

Mark = tuple[str, int]  # (sort key from which it counts, number)


class PartOfQueue(NamedTuple):
    """The part of a queue that a mark counts."""

    first: str  # the sort key from which it counts
    before: int  # requests before it


class Overfull(NamedTuple):
    """A mark to divide."""

    team: str
    first: str  # the sort key from which it counts


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
        if not self.marks or (index == len(self.marks) - 1 and self._ends):
            del self.marks[-1:]
            if self.marks and self.marks[-1][1] < PER_MARK:
                self._add(-1, 1)
            else:
                self.marks.append((sort_key, 1))
            self.marks.append((sort_key + BEHIND, 0))
        elif index < 0:
            self.marks.insert(0, (sort_key, 1))
        else:
            self._add(index, 1)

    def leave(self, sort_key: str) -> None:
        """Count out a request that has started, was cancelled or was put on hold."""
        index = self._mark(sort_key)
        if index >= 0 and self.marks[index][1]:
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
        if whole:
            self.marks = [*first, (sort_keys[-1] + BEHIND, 0)] if first else []
            self.complete = True
            return
        if not sort_keys:
            return
        self.marks = first + self._behind(sort_keys)

    def before(self, sort_key: str) -> int:
        """Return about how many requests come before a sort key: it is off by half a mark."""
        index = self._mark(sort_key)
        return self.part(sort_key).before + self.marks[index][1] // 2 if index >= 0 else 0

    def part(self, sort_key: str) -> PartOfQueue:
        """Return where the mark begins that counts a sort key, and how many come before it."""
        index = self._mark(sort_key)
        first = self.marks[index][0] if index >= 0 else BEFORE_ALL
        return PartOfQueue(
            first=first, before=sum(count for _, count in self.marks[: max(0, index)])
        )

    def largest(self) -> Mark:
        """Return the mark that counts most requests; an empty one if there is none."""
        return max(self.marks, key=lambda mark: mark[1], default=(BEFORE_ALL, 0))

    def divide(self, first: str, sort_keys: Sequence[str]) -> None:
        """Divide a mark at the sort keys that were read.

        The number of requests stays the same, because reads of the index lag behind the latest
        moves. Only a mark that is read to its end and still counts far too many is corrected.

        Args:
            first: the sort key from which the mark counts.
            sort_keys: at most ``READ_AT_ONCE`` keys from there on, sorted.
        """
        index = self._mark(first)
        if index < 0 or self.marks[index][0] != first:
            return
        end = self.marks[index + 1][0] if index + 1 < len(self.marks) else None
        inside = [key for key in sort_keys if end is None or key < end]
        at_end = len(inside) < len(sort_keys) or len(sort_keys) < READ_AT_ONCE
        left = self.marks[index][1]
        parts: list[Mark] = []
        for start in inside[::PER_MARK][: -(-left // PER_MARK)]:
            parts.append((start if parts else first, min(PER_MARK, left)))
            left -= parts[-1][1]
        if parts and not (at_end and left > OVERFULL):
            low, count = parts[-1]
            parts[-1] = low, count + left
        self.marks[index : index + 1] = parts

    def shorten(self, most: int) -> None:
        """Merge neighboring marks, the smallest first, until there are few enough."""
        while len(self.marks) > max(1, most):
            counts = [count for _, count in self.marks]
            pairs = range(len(counts) - 1 - (self._ends and len(counts) > 2))
            at = min(pairs, key=lambda i: counts[i] + counts[i + 1])
            merged = self.marks[at][0], counts[at] + counts[at + 1]
            self.marks[at : at + 2] = [merged]

    def _behind(self, sort_keys: Sequence[str]) -> list[Mark]:
        last = sort_keys[-1]
        index = self._mark(last)
        if index < 0:
            return self.marks
        low, count = self.marks[index]
        left = count - sum(each >= low for each in sort_keys)
        rest = [(last + BEHIND, left)] if left > 0 else []
        return rest + self.marks[index + 1 :]

    @property
    def _ends(self) -> bool:
        """Whether the last mark counts nothing: it begins behind all requests."""
        return bool(self.marks) and not self.marks[-1][1]

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

    def overfull(self) -> Overfull | None:
        """Return the mark that counts most requests, if it should and can be divided."""
        marks = sum(len(count.marks) for count in self.by_team.values())
        largest = [(count.largest(), team) for team, count in self.by_team.items()]
        if not largest:
            return None
        (first, size), team = max(largest, key=lambda each: each[0][1])
        if size <= OVERFULL or marks + READ_AT_ONCE // PER_MARK > MARKS:
            return None
        return Overfull(team=team, first=first)

    def _most(self) -> int:
        """Return how many marks a team may have: what teams with fewer leave over is shared."""
        left = MARKS
        lengths = sorted(len(count.marks) for count in self.by_team.values())
        for place, length in enumerate(lengths):
            fair = left // (len(lengths) - place)
            if length > fair:
                return fair
            left -= length
        return MARKS

    def published(self) -> dict[str, QueueLength]:
        """Return the counts for the capacity document, with no more marks than it may hold."""
        most = self._most()
        for count in self.by_team.values():
            count.shorten(most)
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
