"""Searching log lines for the regular expressions of metrics, each in bounded time.

A regular expression that backtracks can take years for a line of 40 characters, and one that begins
with ``.*`` takes the square of the length of a line. Worker processes search, so that neither keeps
the embedded cloud from answering. Where a few steps are enough, there is no need for them.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from hpoq.local.sagemaker.training.logs.pattern_worker import Match, matches

WORKER = Path(__file__).with_name("pattern_worker.py")
SECONDS = 1  # of CPU time, for one pattern in a part of a log (follower.CHUNK)
MOST_SLOW_LINES = 3  # of one pattern, before it is given up
MOST_STEPS = 1_000_000  # of a search without a worker, which takes milliseconds
_TOKEN = re.compile(
    r"""
    (?P<unknown>\(\?(?:[aiLmsux\#(-]|P=))  # flags, comments, conditions, references
    | (?P<reference>\\[1-9])
    | (?P<opening>\((?:\?(?:P?<\w+>|<?[=!]|[:>]))?)
    | (?P<closing>\))
    | (?P<other>\|)
    | (?P<unbounded>[*+] | \{\d*,\})
    | (?P<bounded>\? | \{\d+\} | \{\d*,\d+\})
    | (?P<one>\[\^?\]?(?:\\.|[^\]\\])*\] | \\N\{[^}]*\} | \\[dDsSwWbBAZ] | \\\w+ | [.^$])
    | \\?(?P<literal>.)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass
class Found:
    """What one pattern found in some lines."""

    matches: list[Match] = field(default_factory=list)
    slow: list[int] = field(default_factory=list)  # lines that were not searched to the end

    @property
    def is_too_slow(self) -> bool:
        """Whether the pattern was given up: the lines after the slow ones were not searched."""
        return len(self.slow) >= MOST_SLOW_LINES


@lru_cache(maxsize=1024)
def required_text(pattern: str) -> str:
    """Return a text that each match of a pattern contains; empty if none is known.

    Args:
        pattern: in Python's dialect, and valid.
    """
    runs, depth = [""], 0  # of literal characters outside of groups
    for token in _TOKEN.finditer(pattern):
        if token["unknown"] or (token["other"] and not depth):
            return ""
        depth += bool(token["opening"]) - bool(token["closing"])
        if token["literal"] and not depth:
            runs[-1] += token["literal"]
            continue
        if token["unbounded"] or token["bounded"]:  # the character before it may be absent
            runs[-1] = runs[-1][:-1]
        runs.append("")
    return max(runs, key=len)


@lru_cache(maxsize=1024)
def choices(pattern: str) -> tuple[int, int] | None:
    """Return how a search for a pattern may branch: repetitions without bound, and other ways.

    Each repetition without bound may end at each character of a line. Optional parts, bounded
    repetitions and alternatives multiply the other ways. None: the pattern may branch in more ways,
    because it repeats a group or refers to one.

    Args:
        pattern: in Python's dialect, and valid.
    """
    unbounded, ways, before = 0, 1, ""
    for token in _TOKEN.finditer(pattern):
        kind = token.lastgroup or ""
        repeats_group = before == "closing" and kind in ("unbounded", "bounded")
        if kind in ("unknown", "reference") or (repeats_group and token[0] != "?"):
            return None
        unbounded += kind == "unbounded"
        if kind == "bounded":
            ways *= 1 + max(map(int, re.findall(r"\d+", token[0])), default=1)
        ways *= 2 if kind == "other" else 1
        before = kind
    return unbounded, ways


def is_quick(pattern: str, lines: Sequence[str]) -> bool:
    """Return whether a search for a pattern in lines takes few steps, whatever they contain."""
    found = choices(pattern)
    if found is None:
        return False
    unbounded, ways = found
    steps: int = ways * sum((len(line) + 1) ** (unbounded + 1) for line in lines)
    return steps <= MOST_STEPS


class PatternSearch:
    """A search by worker processes, one for each thread that searches at the same time.

    Args:
        seconds: of CPU time that a pattern may take.
    """

    def __init__(self, seconds: int = SECONDS) -> None:
        self.seconds = seconds
        self._workers: set[subprocess.Popen[str]] = set()
        self._idle: list[subprocess.Popen[str]] = []
        self._lock = threading.Lock()
        self._closed = False

    def search(self, patterns: Sequence[str], lines: Sequence[str]) -> list[Found]:
        """Return what each pattern finds in the lines; less once the search is closed.

        Args:
            patterns: in Python's dialect.
            lines: without newlines.
        """
        if not self._closed and all(is_quick(each, lines) for each in patterns):
            numbered = list(enumerate(lines))
            return [Found(matches(re.compile(each), numbered)) for each in patterns]
        found: list[Found] = []
        while len(found) < len(patterns) and not self._closed:
            answers = self._asked(patterns[len(found) :], lines, each_line=False)
            found += map(Found, answers)
            if len(found) < len(patterns) and not self._closed:
                found.append(self._line_by_line(patterns[len(found)], lines))
        return found

    def close(self) -> None:
        """End the workers, also those that search something."""
        with self._lock:
            idle, self._idle, self._closed = self._idle, [], True
            searching = self._workers.difference(idle)
        for worker in idle:
            _end(worker)
        for worker in searching:  # its thread closes its pipes
            worker.kill()

    def _line_by_line(self, pattern: str, lines: Sequence[str]) -> Found:
        found, first = Found(), 0
        while first < len(lines) and not found.is_too_slow and not self._closed:
            answers = self._asked([pattern], lines[first:], each_line=True)
            found.matches += [(first + number, text) for each in answers for number, text in each]
            first += len(answers)
            if first < len(lines):
                found.slow.append(first)
                first += 1
        return found

    def _asked(
        self, patterns: Sequence[str], lines: Sequence[str], *, each_line: bool
    ) -> list[list[Match]]:
        """Return the answers of a worker, fewer than expected if one takes too long."""
        order = {"patterns": list(patterns), "lines": list(lines), "each_line": each_line}
        expected = len(lines) if each_line else len(patterns)
        answers: list[list[Match]] = []
        worker = self._taken()
        try:
            assert worker.stdin is not None  # noqa: S101  opened as pipes
            assert worker.stdout is not None  # noqa: S101
            with contextlib.suppress(BrokenPipeError):
                worker.stdin.write(json.dumps(order) + "\n")
                worker.stdin.flush()
            while len(answers) < expected and (line := worker.stdout.readline()).endswith("\n"):
                answers.append([(number, text) for number, text in json.loads(line)])
        finally:
            self._give_back(worker, is_usable=len(answers) == expected)
        return answers

    def _taken(self) -> subprocess.Popen[str]:
        """Return a worker that no other thread uses."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
            worker = self._started()
            self._workers.add(worker)
        return worker

    def _give_back(self, worker: subprocess.Popen[str], *, is_usable: bool) -> None:
        with self._lock:
            if is_usable and not self._closed:
                self._idle.append(worker)
                return
            self._workers.discard(worker)
        _end(worker)

    def _started(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-I", "-S", str(WORKER), str(self.seconds)]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )


def _end(worker: subprocess.Popen[str]) -> None:
    worker.kill()
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        with contextlib.suppress(OSError):
            pipe.close()  # type: ignore[union-attr]
