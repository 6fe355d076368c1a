"""Compare intake and planning, or the local engine, with those of another commit.

    python -m benchmarks.against COMMIT [--engine] [--rounds 30] [--task TEXT] [--save]

Checks the commit out into a temporary worktree and runs ``benchmarks/side.py`` in one process per
side, or ``benchmarks/engine_side.py``. The sides take turns, so that a busy machine slows both.
Prints the median ratio of the seconds of this working tree to those of the commit, and the
quartiles of the ratio as its noise. Seconds are of CPU time, and those of the engine of wall time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import engine_side, side
from benchmarks.measure import Measure, at_most, print_table, shown, update_results

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results.json"
MAX_RATIO = 1.0
ROUNDS = 30
# A task that takes long has fewer rounds, but not less than enough for quartiles.
LEAST_ROUNDS, MOST_SECONDS = 3, 60


class Side:
    """A process that runs tasks with the code of one commit.

    Args:
        checkout: of the commit.
        script: the program that runs the tasks, of this commit.
    """

    def __init__(self, checkout: Path, script: Path) -> None:
        paths = os.pathsep.join(str(checkout / each) for each in (".", "lambdas"))
        # -P: the folder of the script must not hide modules of the checkout.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": paths},
        )

    def seconds(self, task: str) -> float:
        """Return the seconds of one repetition of a task."""
        assert self._process.stdin and self._process.stdout
        print(task, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def compare(commit: str, rounds: int, script: Path, tasks: Iterable[str]) -> Iterable[Measure]:
    """Yield the ratio of each task of a script, with its quartiles."""
    with ExitStack() as stack:
        checkouts = [ROOT, stack.enter_context(checked_out(commit))]
        sides = [Side(checkout, script) for checkout in checkouts]
        for each in sides:
            stack.callback(each.close)
        for task in tasks:
            pairs = list(_pairs(sides, task, rounds))
            yield from measures(commit, task, pairs)


def _pairs(sides: Sequence[Side], task: str, rounds: int) -> Iterator[tuple[float, float]]:
    """Yield the seconds of both sides, each of which goes first in every other round."""
    for each in sides:
        each.seconds(task)  # warm up
    ours, theirs = sides
    began = time.monotonic()
    for number in range(rounds):
        if number >= LEAST_ROUNDS and time.monotonic() - began > MOST_SECONDS:
            return
        if number % 2:
            second = theirs.seconds(task)
            yield ours.seconds(task), second
        else:
            yield ours.seconds(task), theirs.seconds(task)


def measures(commit: str, task: str, pairs: Sequence[tuple[float, float]]) -> Iterable[Measure]:
    """Yield the median ratio of pairs against its goal, then its quartiles and the medians."""
    name = f"against {commit}"
    ratios = [ours / theirs for ours, theirs in pairs]
    low, _, high = statistics.quantiles(ratios, n=4)
    yield at_most(name, task, statistics.median(ratios), MAX_RATIO)
    yield shown(name, "  lower quartile of the ratio", low)
    yield shown(name, "  upper quartile of the ratio", high)
    for whose, seconds in zip(("ours", "theirs"), zip(*pairs, strict=True), strict=True):
        yield shown(name, f"  {whose}", statistics.median(seconds) * 1000, "ms")


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Check a commit out into a temporary worktree."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder) / "checkout"
        _git("worktree", "add", "--detach", str(checkout), commit)
        try:
            yield checkout
        finally:
            _git("worktree", "remove", "--force", str(checkout))


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Compare with a commit; return exit status 1 if a goal is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.against",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("commit", help="commit to compare with")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"repetitions ({ROUNDS})")
    parser.add_argument("--engine", action="store_true", help="compare the local engine")
    parser.add_argument("--save", action="store_true", help=f"keep the figures in {RESULTS.name}")
    parser.add_argument("--task", default="", help="only tasks whose name contains this text")
    arguments = parser.parse_args(argv)
    known = list(engine_side.TASKS if arguments.engine else side.TASKS)
    tasks = [each for each in known if arguments.task in each]
    script = ROOT / "benchmarks" / ("engine_side.py" if arguments.engine else "side.py")
    measured = list(compare(arguments.commit, arguments.rounds, script, tasks))
    print_table(measured)
    if arguments.save:
        update_results(measured, RESULTS)
    return 1 if any(each.holds is False for each in measured) else 0


if __name__ == "__main__":
    sys.exit(main())
