"""Mutation testing of the decision code: `make mutants`.

    python -m tools.mutation.mutants               what this branch changed, compared with main
    python -m tools.mutation.mutants --all         everything, which takes hours: before a release
    python -m tools.mutation.mutants --sample 40   so many mutants of each package, drawn by --seed
    python -m tools.mutation.mutants cycle --processes 1       one package, on one core
    python -m tools.mutation.mutants cycle --again output.txt  the survivors that this output names

mutmut changes one expression at a time, and runs the tests that reach it. A mutant that no test
notices survives: its rule has no test. Equivalent mutants are not run: those with a reason in
equivalent_mutants.json, and those that change only a text for people. The score of a package is the
part of its other mutants that was killed.

mutmut expects an importable package in src/, so it works on a copy in .cache/mutants/.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT)]

from benchmarks.measure import Measure, at_least, shown, update_results  # noqa: E402

WORK = ROOT / ".cache" / "mutants"
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.json")
PLUGIN = Path(__file__).with_name("mutation_run.py")
RESULTS = ROOT / "benchmarks" / "results.json"
GOAL = 0.9
ALSO_COPIED = ("training", "benchmarks", "docs")  # which tests import or read
SENTENCE = r'^\s*f?"[^"]* [^"]*"[,)]*$'
TEXT = re.compile(r'"[^"]*"')
# What pytest's exit status says about a mutant, as in mutmut's stats.py.
SURVIVED, UNTESTED = (0,), (5, 33)


@dataclass(frozen=True)
class Package:
    """Code that is mutated together, and the tests that must notice."""

    name: str
    sources: tuple[str, ...]  # patterns of paths
    tests: tuple[str, ...]


_UNIT = "tests/unit/hpo_dispatcher"
_LEDGER_TESTS = (
    "test_ledger", "test_ledger_additions", "test_ledger_contract", "test_ledger_reads",
    "test_ledger_repairs", "test_transitions",
)  # fmt: skip
_CAMPAIGN = "tests/unit/hpoq/campaign"
_ENGINE = "tests/unit/hpoq/local/sagemaker"
_SIMULATED = "tests/simulations"
# What the engine decides. The modules beside them start threads and processes.
_TUNING_RULES = (
    "autotune", "completion", "counters", "early_stopping", "quota_check", "suggest", "warm_start",
)  # fmt: skip
PACKAGES = (
    Package(
        "scheduling",
        ("lambdas/hpo_dispatcher/scheduling/*",),
        (f"{_UNIT}/scheduling", f"{_UNIT}/cycle/targets", f"{_SIMULATED}/test_plan_properties.py"),
    ),
    Package(
        "tuning_job",
        ("lambdas/hpo_dispatcher/tuning_job/*",),
        (f"{_UNIT}/tuning_job", f"{_UNIT}/cycle/test_preemption.py"),  # which resumes requests
    ),
    Package("cycle", ("lambdas/hpo_dispatcher/cycle/*",), (f"{_UNIT}/cycle",)),
    Package(
        "ledger",
        (
            "lambdas/hpo_dispatcher/ports/transitions.py",
            "lambdas/hpo_dispatcher/aws/transitions.py",
            "lambdas/hpo_dispatcher/aws/ledger.py",
            "lambdas/hpo_dispatcher/aws/lease.py",
            "lambdas/hpo_dispatcher/contract/ledger/*",
        ),
        (*(f"{_UNIT}/aws/{each}.py" for each in _LEDGER_TESTS),
         f"{_UNIT}/contract/ledger", f"{_UNIT}/ports", "tests/unit/hpoq/repair"),
    ),
    Package(
        "campaign planning",
        ("hpoq/campaign/planning/*",),
        (
            f"{_CAMPAIGN}/planning",
            f"{_CAMPAIGN}/backends/test_interface.py",
            f"{_CAMPAIGN}/test_given_settings.py",
            f"{_SIMULATED}/test_given_settings_of_campaigns.py",
            f"{_SIMULATED}/test_narrowed_campaign.py",
        ),
    ),
    Package(
        "engine",
        (
            "hpoq/local/sagemaker/rules.py",
            *(f"hpoq/local/sagemaker/tuning/{each}.py" for each in _TUNING_RULES),
        ),
        (
            f"{_ENGINE}/test_rules.py",
            f"{_ENGINE}/test_training_job_rules.py",
            f"{_ENGINE}/test_tuning_job_rules.py",
            *(f"{_ENGINE}/tuning/test_{each}.py" for each in _TUNING_RULES),
            f"{_ENGINE}/tuning/test_bayesian_search.py",
            f"{_ENGINE}/tuning/test_bounds_of_ranges.py",
            f"{_ENGINE}/tuning/test_parent_results.py",
        ),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test noticed, and its change of the source."""

    name: str
    removed: str
    added: str

    def __str__(self) -> str:
        return f"{self.name}\n    - {self.removed}\n    + {self.added}"


@dataclass
class MutationOutcome:
    """What became of the mutants of a package."""

    killed: int = 0
    equivalent: int = 0
    survivors: list[Survivor] = field(default_factory=list)
    names: Sequence[str] = ()  # of those that were run
    all_mutants: int = 0  # of the files

    @property
    def viable(self) -> int:
        """How many mutants tests could notice."""
        return self.killed + len(self.survivors)

    @property
    def score(self) -> float:
        """The part of them that was killed."""
        return self.killed / self.viable if self.viable else 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the mutants; exit status 1 if a package misses the goal."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.mutation.mutants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [each.name for each in PACKAGES]
    parser.add_argument("package", nargs="*", help=f"default: all of {', '.join(names)}")
    parser.add_argument("--all", action="store_true", help="also what main has unchanged")
    parser.add_argument("--sample", type=int, help="mutants of each package; implies --all")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--again", type=Path, help="output of a run: its survivors; implies --all")
    parser.add_argument("--processes", type=int, help="at once; default: one for each core")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results.json")
    options = parser.parse_args(argv)
    if unknown := {*options.package} - {*names}:
        parser.error(f"unknown package {min(unknown)}; choose from {', '.join(names)}")
    again = survivors_in(options.again.read_text()) if options.again else None
    changed = None if options.all or options.sample or again else changed_files()
    measures: list[Measure] = []
    for package in PACKAGES:
        if options.package and package.name not in options.package:
            continue
        files = [*sources(package)] if changed is None else [*chosen(package, changed)]
        if files:
            began = time.monotonic()
            run = MutmutRun(package, files, options.processes or os.cpu_count() or 1)
            outcome = run.outcome(options.sample, options.seed, again)
            report(package, outcome, time.monotonic() - began)
            measures += measured(package, outcome)
    if not measures:
        say("no file of these packages differs from main; --all runs all mutants")
    if options.record:
        update_results(measures, RESULTS)
    return 1 if any(each.holds is False for each in measures) else 0


def survivors_in(output: str) -> set[str]:
    """Return the names of the mutants that survived a run with this output."""
    return set(re.findall(r"^ +survived: (\S+)$", output, re.MULTILINE))


def changed_files() -> list[str]:
    """Return the paths of the files that differ from main."""
    base = _git("merge-base", "main", "HEAD")[0]
    return [*_git("diff", "--name-only", base), *_git("ls-files", "--others", "--exclude-standard")]


def chosen(package: Package, paths: Sequence[str]) -> Iterator[str]:
    """Yield those paths that are sources of a package."""
    for path in paths:
        is_code = path.endswith(".py") and not path.endswith("__init__.py")
        if is_code and any(fnmatch(path, pattern) for pattern in package.sources):
            yield path


def sources(package: Package) -> Iterator[str]:
    """Yield the paths of all sources of a package."""
    return chosen(package, _git("ls-files", "lambdas", "hpoq"))


def report(package: Package, outcome: MutationOutcome, seconds: float) -> None:
    """Print the survivors and the score of a package, and how long its run took."""
    for each in outcome.survivors:
        say(f"  survived: {each}")
    say(
        f"{package.name}: {outcome.score:.1%} of {outcome.viable} mutants killed, "
        f"{len(outcome.survivors)} survived, {outcome.equivalent} more are equivalent; "
        f"{len(outcome.names)} of {outcome.all_mutants} mutants run in {seconds / 60:.0f} minutes"
    )


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def measured(package: Package, outcome: MutationOutcome) -> Iterator[Measure]:
    """Yield the lines of a package in benchmarks/results.json."""
    benchmark = f"mutants: {package.name}"
    yield at_least(benchmark, "killed, of those that are viable", outcome.score, GOAL)
    yield shown(benchmark, "  viable mutants that were run", outcome.viable)


class MutmutRun:
    """One run of mutmut on a copy of the sources."""

    def __init__(self, package: Package, files: Sequence[str], processes: int) -> None:
        self._package = package
        self._processes = processes
        self._files = files
        self._folder = WORK / package.name.replace(" ", "_")

    def outcome(
        self, sample: int | None, seed: int, again: Container[str] | None = None
    ) -> MutationOutcome:
        """Run all mutants, or a sample of them, or those whose names are given."""
        self._copy()
        # Makes the mutants, and finds the tests of each.
        self._mutmut("run", "--max-children", f"{self._processes}", "no such mutant")
        every = sorted(self._statuses())
        names = every if again is None else [name for name in every if name in again]
        if not names:
            sys.exit(f"no such mutant in {self._package.name}")
        if sample and sample < len(names):
            names = random.Random(seed).sample(names, sample)  # noqa: S311
        equivalents = known_equivalents()
        changes = changes_of(self._folder / "mutants" / "src", names)
        viable = [
            name
            for name, change in changes.items()
            if key_of(change) not in equivalents and not differs_in_a_text(change)
        ]
        if viable:
            self._mutmut("run", "--max-children", f"{self._processes}", *viable)
        statuses = self._statuses()
        if any(statuses[name] is None for name in viable):
            sys.exit(f"mutmut failed; its output is in {self._folder / 'mutmut.log'}")
        survivors = [changes[name] for name in viable if statuses[name] in SURVIVED + UNTESTED]
        return MutationOutcome(
            killed=len(viable) - len(survivors),  # also those in an endless loop
            equivalent=len(names) - len(viable),
            survivors=survivors,
            names=names,
            all_mutants=len(every),
        )

    def _copy(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        packages = {"lambdas/hpo_dispatcher": "src/hpo_dispatcher", "hpoq": "src/hpoq"}
        folders = (*packages, *ALSO_COPIED, "tests")
        for path in _git("ls-files", *folders, "--cached", "--others", "--exclude-standard"):
            source = ROOT / path
            root = next((each for each in packages if path.startswith(f"{each}/")), "")
            target = self._folder / (packages[root] + path.removeprefix(root) if root else path)
            if source.is_file() and "__pycache__" not in path:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        shutil.copy2(PLUGIN, self._folder)
        (self._folder / "pyproject.toml").write_text(self._settings())

    def _settings(self) -> str:
        mutated = [_staged(path) for path in self._files]
        return (
            "[tool.mutmut]\n"
            'source_paths = ["src/hpo_dispatcher", "src/hpoq"]\n'
            f"only_mutate = {json.dumps(mutated)}\n"
            f"pytest_add_cli_args_test_selection = {json.dumps(self._package.tests)}\n"
            # Lines that are a sentence: texts are for people, and no code depends on them.
            f"do_not_mutate_patterns = ['{SENTENCE}']\n"
            'pytest_add_cli_args = ["-p", "no:cacheprovider", "-n", "0", "--timeout=20", '
            f'"-p", "{PLUGIN.stem}"]\n'
            f"also_copy = {json.dumps([*ALSO_COPIED, PLUGIN.name])}\n"
            "[tool.pytest.ini_options]\n"
            'pythonpath = [".", "src", "training"]\n'
            'markers = ["slow: takes more than ten seconds"]\n'
        )

    def _mutmut(self, *arguments: str) -> None:
        with (self._folder / "mutmut.log").open("a") as log:
            subprocess.run(
                [sys.executable, "-m", "mutmut.__main__", *arguments],
                cwd=self._folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )

    def _statuses(self) -> dict[str, int | None]:
        """Return pytest's exit status of each mutant; None of one that was not run."""
        found: dict[str, int | None] = {}
        for meta in self._folder.glob("mutants/**/*.meta"):
            found |= json.loads(meta.read_text())["exit_code_by_key"]
        return found


def changes_of(source: Path, names: Sequence[str]) -> dict[str, Survivor]:
    """Return what each mutant changes, before it is known whether it survives.

    Args:
        source: the folder of the mutated sources, in which mutmut keeps a copy of each function
            for each of its mutants.
        names: of the mutants.
    """

    @cache
    def functions(module: str) -> dict[str, list[str]]:
        path = source.joinpath(*module.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        lines = path.read_text().splitlines()
        return {
            node.name: [
                line.replace(node.name, "") for line in lines[node.lineno - 1 : node.end_lineno]
            ]
            for node in ast.walk(ast.parse("\n".join(lines)))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }

    def change(name: str) -> Survivor:
        module, _, function = name.rpartition(".")
        of = functions(module)
        original = of[f"{function.rpartition('__mutmut_')[0]}__mutmut_orig"]
        changes = list(difflib.unified_diff(original, of[function], lineterm=""))[2:]
        removed = " ".join(line[1:].strip() for line in changes if line[0] == "-")
        added = " ".join(line[1:].strip() for line in changes if line[0] == "+")
        return Survivor(name, removed, added)

    return {name: change(name) for name in names}


def key_of(survivor: Survivor) -> str:
    """Return what identifies a mutant as long as its line stays as it is."""
    function = survivor.name.rpartition("__mutmut_")[0]
    return f"{function}: {survivor.removed} -> {survivor.added}"


def differs_in_a_text(survivor: Survivor) -> bool:
    """Return whether only a text with several words has another case, or ``XX`` around it."""
    before, after = (TEXT.sub(_plain, each) for each in (survivor.removed, survivor.added))
    return before == after


def _plain(text: re.Match[str]) -> str:
    words = text.group()[1:-1]
    if " " not in words:
        return text.group()
    return f'"{words.lower().removeprefix("xx").removesuffix("xx")}"'


def known_equivalents() -> dict[str, str]:
    """Return the reason of each equivalent mutant."""
    reasons: dict[str, str] = json.loads(EQUIVALENT.read_text())
    return reasons


def _staged(path: str) -> str:
    return "src/" + path.removeprefix("lambdas/")


def _git(*arguments: str) -> list[str]:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()


if __name__ == "__main__":
    sys.exit(main())
