"""A process that searches lines for regular expressions and ends if one takes too long.

It is a process of its own because Python cannot interrupt a regular expression, and runs nothing
else while it searches. It uses the standard library only:

    python pattern_worker.py SECONDS

Each line of its input is a JSON object {"patterns", "lines", "each_line"}. It writes one line of
JSON for each pattern: a list of [number of the line, text of the first group or of the match].
With "each_line", it writes such a list for each line instead. The system ends it when a pattern
has taken SECONDS of CPU time for one of these lists.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from collections.abc import Iterable
from functools import lru_cache

compiled = lru_cache(maxsize=1024)(re.compile)


Match = tuple[int, str | None]
"""The number of a line, and the text of a match or None if its group took no part."""


def matches(pattern: re.Pattern[str], lines: Iterable[tuple[int, str]]) -> list[Match]:
    """Return the matches of a pattern in numbered lines."""
    group = 1 if pattern.groups else 0
    return [(number, found[group]) for number, line in lines for found in pattern.finditer(line)]


def limit(seconds: int) -> None:
    """Let the system end this process when it has used so many more seconds of CPU time."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + seconds, most))


def main() -> None:
    """Answer each line of the input until it is closed."""
    seconds = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for order in map(json.loads, sys.stdin):
        lines = list(enumerate(order["lines"]))
        parts = [[line] for line in lines] if order["each_line"] else [lines]
        for pattern in map(compiled, order["patterns"]):
            for part in parts:
                limit(seconds)
                print(json.dumps(matches(pattern, part)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
