"""The metrics of a training job, which regular expressions find in its log."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from hpoq.local.sagemaker.java_patterns import compiled
from hpoq.local.sagemaker.training.logs.pattern_search import (
    Found,
    PatternSearch,
    required_text,
)


@dataclass(frozen=True)
class MetricValue:
    """One value of a metric, as the script printed it."""

    name: str
    value: float
    at: float  # seconds since the epoch


class MetricFinder:
    """A finder of the metrics of one training job in its log.

    Args:
        definitions: the MetricDefinitions of the job, whose patterns are valid.
        search: of the patterns.
    """

    def __init__(self, definitions: Sequence[Mapping[str, str]], search: PatternSearch) -> None:
        self._patterns = [(each["Name"], compiled(each["Regex"]).pattern) for each in definitions]
        self._texts = {pattern: required_text(pattern) for _, pattern in self._patterns}
        self._search = search
        self.problems: list[str] = []  # lines for the log of the job, not yet written

    def find(self, lines: Sequence[tuple[float, str]]) -> list[MetricValue]:
        """Return the values in the order of printing; skip text that is not a finite number."""
        patterns = [pattern for _, pattern in self._patterns]
        lines = self._possible(patterns, lines)
        texts = [text for _, text in lines]
        found = self._search.search(patterns, texts) if texts else []
        values: list[tuple[int, MetricValue]] = []
        for (name, pattern), each in zip(list(self._patterns), found, strict=False):
            self._note_slow_lines(name, pattern, each, texts)
            for number, text in each.matches:
                value = _number(text)
                if value is not None and math.isfinite(value):
                    values.append((number, MetricValue(name, value, lines[number][0])))
        values.sort(key=itemgetter(0))  # a stable sort: within a line, in the order of definitions
        return [value for _, value in values]

    def _possible(
        self, patterns: Sequence[str], lines: Sequence[tuple[float, str]]
    ) -> Sequence[tuple[float, str]]:
        """Return the lines that a pattern may match, which in a flood of lines are few."""
        required = {self._texts[pattern] for pattern in patterns}
        if "" in required:
            return lines
        return [line for line in lines if any(text in line[1] for text in required)]

    def _note_slow_lines(self, name: str, pattern: str, found: Found, lines: Sequence[str]) -> None:
        """Report the lines that took a pattern too long, and give up the pattern after some."""
        for number in found.slow:
            self.problems.append(
                f"hpoq: a line of {len(lines[number])} characters has no values of the metric "
                f"{name}: its regular expression takes more than {self._search.seconds} s"
            )
        if found.is_too_slow:
            self._patterns.remove((name, pattern))
            self.problems.append(f"hpoq: the metric {name} is not searched for from here on")


def last(values: Iterable[MetricValue]) -> dict[str, MetricValue]:
    """Return the last value of each metric, which is its final value."""
    return {each.name: each for each in values}


def _number(text: str | None) -> float | None:
    """Parse a value; return None for text, and for a group that took no part in the match."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return None
