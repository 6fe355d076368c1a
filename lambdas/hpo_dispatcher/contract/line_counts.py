"""How many requests stand where in a team's line, without reading the line. Pure.

The line is an index sorted by position; counting it costs as much as it is long. So the
dispatcher keeps a tally of it as requests join and leave: a few marks, each the position from
which on it counts, and a number. The heads, which every cycle reads anyway, correct the front;
what a killed cycle could not count is right again once the front has come to it.
docs/decisions/0013.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# Requests a mark counts before the next one begins: a place is right to half of it.
PER_MARK = 20
# Marks of all teams together, about 45 bytes each: the document must stay below 400 KB.
MARKS = 2000

Mark = tuple[str, int]  # (position from which on it counts, number)


@dataclass
class Line:
    """One team's line."""

    marks: list[Mark] = field(default_factory=list)
    complete: bool = False  # False: there may be more than were ever counted

    def __len__(self) -> int:
        return sum(count for _, count in self.marks)

    def join(self, position: str) -> None:
        """A request came into the line."""
        index = self._mark(position)
        last = index == len(self.marks) - 1
        if index < 0 or (last and self.marks[index][1] >= PER_MARK):
            self.marks.insert(index + 1, (position, 1))
        else:
            self._add(index, 1)

    def leave(self, position: str) -> None:
        """A request left it: started, cancelled or held."""
        index = self._mark(position)
        if index >= 0:
            self._add(index, -1)

    def seen(self, positions: Sequence[str], whole: bool) -> None:
        """The front of the line as it is.

        Args:
            positions: the first ones, sorted.
            whole: there are no more.
        """
        front = [
            (positions[first], len(positions[first : first + PER_MARK]))
            for first in range(0, len(positions), PER_MARK)
        ]
        if whole or not positions:
            self.marks = front if whole else self.marks
            self.complete = whole or self.complete
            return
        self.marks = front + self._behind(positions)

    def before(self, position: str) -> int:
        """About how many stand before a position; wrong by half a mark at most."""
        index = self._mark(position)
        if index < 0:
            return 0
        return sum(count for _, count in self.marks[:index]) + self.marks[index][1] // 2

    def shorten(self, most: int) -> None:
        """Merge neighbours, the smallest first, until there are few enough marks."""
        while len(self.marks) > max(1, most):
            counts = [count for _, count in self.marks]
            at = min(range(len(counts) - 1), key=lambda i: counts[i] + counts[i + 1])
            merged = self.marks[at][0], counts[at] + counts[at + 1]
            self.marks[at : at + 2] = [merged]

    def _behind(self, positions: Sequence[str]) -> list[Mark]:
        last = positions[-1]
        index = self._mark(last)
        if index < 0:
            return self.marks
        low, count = self.marks[index]
        left = count - sum(each >= low for each in positions)
        # A space sorts before all that ids are made of: the first position after the last one.
        rest = [(last + " ", left)] if left > 0 else []
        return rest + self.marks[index + 1 :]

    def _mark(self, position: str) -> int:
        """The mark that counts a position; -1 before the first."""
        return bisect_right(self.marks, position, key=lambda mark: mark[0]) - 1

    def _add(self, index: int, number: int) -> None:
        low, count = self.marks[index]
        if count + number > 0:
            self.marks[index] = low, count + number
        else:
            del self.marks[index]


@dataclass
class Census:
    """All teams' lines."""

    lines: dict[str, Line] = field(default_factory=dict)

    def of(self, team: str) -> Line:
        """A team's line."""
        return self.lines.setdefault(team, Line())

    def as_document(self) -> dict[str, Any]:
        """As JSON values, no more marks than there may be."""
        for line in self.lines.values():
            line.shorten(MARKS // max(1, len(self.lines)))
        return {
            team: {"queued": len(line), "complete": line.complete, "marks": line.marks}
            for team, line in self.lines.items()
        }

    @classmethod
    def from_document(cls, lines: Mapping[str, Any]) -> Census:
        """The other way round."""
        return cls(
            {
                team: Line([(low, count) for low, count in line["marks"]], line["complete"])
                for team, line in lines.items()
            }
        )
