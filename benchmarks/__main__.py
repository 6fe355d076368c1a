"""Run benchmarks, all or some: ``python -m benchmarks [name ...]``."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import benchmarks
from benchmarks.measure import Measure, print_table, said, update_results

RESULTS = Path(__file__).parent / "results.json"


def main(names: list[str]) -> int:
    """Print value against goal, update results.json; exit status 1 if a goal is missed."""
    found = {name: module for name, module in modules() if not names or name in names}
    if unknown := set(names) - found.keys():
        known = ", ".join(name for name, _ in modules())
        print(f"no benchmark {', '.join(sorted(unknown))}; there are {known}", file=sys.stderr)
        return 2
    measures: list[Measure] = []
    for name, module in found.items():
        measured = list(measure(name, module))
        update_results(measured, RESULTS)
        measures += measured
    print_table(measures)
    missed = [each for each in measures if each.holds is False]
    print(f"{len(measures)} measures, {len(missed)} goals missed")
    return 1 if missed else 0


def modules() -> Iterator[tuple[str, benchmarks.Benchmark]]:
    """Those of this folder that measure something."""
    for info in pkgutil.iter_modules(benchmarks.__path__):
        if info.name != "__main__":
            module = importlib.import_module(f"benchmarks.{info.name}")
            if isinstance(module, benchmarks.Benchmark):
                yield info.name, module


def measure(name: str, module: benchmarks.Benchmark) -> Iterator[Measure]:
    """Each measure as soon as it is known. One that breaks off counts as missed."""
    print(f"# {name}", flush=True)
    try:
        for each in module.results():
            print(f"  {said(each)}", flush=True)
            yield each
    except Exception:
        traceback.print_exc()
        yield Measure(
            benchmark=module.NAME, measure="all of it", value=0.0, unit="",
            goal="runs to its end", holds=False,
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
