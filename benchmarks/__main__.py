"""Run benchmarks and compare them with their goals.

All of them:   python -m benchmarks
Some of them:  python -m benchmarks cold_start training
A list:        python -m benchmarks --help
Prints each value, its goal, and the ratio of the value to the goal; updates results.json.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

import benchmarks
from benchmarks.measure import Measure, describe, machine, print_table, update_results

RESULTS = Path(__file__).parent / "results.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the named benchmarks; return exit status 1 if a goal is missed."""
    known = dict(modules())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"benchmarks: {', '.join(known)}",
    )
    parser.add_argument("name", nargs="*", help="benchmark to run (default: all)")
    names = parser.parse_args(argv).name
    if unknown := sorted(set(names) - known.keys()):
        parser.error(f"unknown benchmark {', '.join(unknown)}; choose from {', '.join(known)}")
    print(f"on {machine()}", flush=True)
    measures: list[Measure] = []
    for name, module in known.items():
        if not names or name in names:
            measured = list(measure(name, module))
            update_results(measured, RESULTS)
            measures += measured
    print_table(measures)
    missed = sum(each.holds is False for each in measures)
    print(f"{len(measures)} measures, {missed} goals missed")
    return 1 if missed else 0


def modules() -> Iterator[tuple[str, benchmarks.Benchmark]]:
    """Yield the modules of this folder that are benchmarks."""
    for info in pkgutil.iter_modules(benchmarks.__path__):
        if info.name != "__main__":
            module = importlib.import_module(f"benchmarks.{info.name}")
            if isinstance(module, benchmarks.Benchmark):
                yield info.name, module


def measure(name: str, module: benchmarks.Benchmark) -> Iterator[Measure]:
    """Yield each measure as soon as it is known; a benchmark that raises counts as missed."""
    print(f"# {name}", flush=True)
    try:
        for each in module.results():
            print(f"  {describe(each)}", flush=True)
            yield each
    except Exception:  # one broken benchmark must not stop the others
        traceback.print_exc()
        yield Measure(
            benchmark=module.NAME, measure="whole benchmark", value=0.0, unit="",
            goal="completes", holds=False,
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
