"""The search: starts trials on all hosts, records them, and keeps the best model."""

import io
import json
import shutil
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from credit_default.container import TrainingFailed
from credit_default.files import write_atomically
from script_search.execution.workers import workers_of
from script_search.halving import Halving
from script_search.record import FILE, Record, Row, best_of
from script_search.samplers import OptunaSampler, RandomSampler, Sampler
from script_search.settings import Search
from script_search.trial import Judge, TrialOutcome

MODEL = "best-model.tar"
_WAIT_SECONDS = 5.0  # after which newly joined hosts are used
_REASONS = 10  # failed trials whose reason is printed


class SearchRun:
    """A search that runs on a cluster.

    Args:
        search: what to search.
        state: folder of the record and of the best model so far.
        model: folder of the best model.
    """

    def __init__(self, search: Search, state: Path, model: Path) -> None:
        self.search, self.state, self.model = search, state, model
        self.record = Record(state / FILE, search.identity)
        self._lines: tuple[str, ...] = ()
        self._started = time.monotonic()
        self._printed = 0.0
        self._warned = 0

    def run(self) -> Row:
        """Run the trials that are not recorded yet and return the best of all.

        Raises:
            TrainingFailed: no trial has an objective.
        """
        search, rows = self.search, self.record.rows
        if rows:
            print(f"resuming after {len(rows)} trials", file=sys.stderr, flush=True)
            self._restore_model()
        sampler = self._sampler()
        workers = workers_of(search, self._judge())
        left = iter([n for n in range(1, search.trials + 1) if n not in rows])
        running: dict[Any, tuple[int, dict[str, str], float]] = {}
        while True:
            while len(running) < self._slots() and self._continues():
                number = next(left, None)
                if number is None:
                    break
                values = sampler.ask(number)
                running[workers.start(number, values)] = number, values, time.time()
            if not running:
                break
            for done in ray.wait(list(running), num_returns=1, timeout=_WAIT_SECONDS)[0]:
                if (again := workers.ended(done)) is not None:
                    number, values, _ = running[again] = running.pop(done)
                    print(f"trial {number} lost its process and runs again", file=sys.stderr)
                    continue
                outcome = _outcome(done, *running.pop(done))
                self._keep(outcome)
                sampler.tell(outcome.row)
            self._print_progress()
        return self._finish()

    def _slots(self) -> int:
        """Return the number of trials to have at once, a few more than the cluster runs."""
        if self.search.parallel:
            return self.search.parallel
        found = ray.cluster_resources()  # type: ignore[no-untyped-call]
        common = self.search.settings
        fit = [found.get("CPU", 1) / common.cpus]
        fit += [found.get("GPU", 0) / common.gpus] if common.gpus else []
        return max(1, int(min(fit)))

    def _continues(self) -> bool:
        search, best = self.search, self._best()
        if search.minutes and time.monotonic() - self._started > search.minutes * 60:
            return False
        if search.target is None or best is None or best.objective is None:
            return True
        if search.settings.maximize:
            return best.objective < search.target
        return best.objective > search.target

    def _sampler(self) -> Sampler:
        search, rows = self.search, self.record.rows
        if search.algorithm == "random":
            return RandomSampler(search.space, search.seed, search.points)
        return OptunaSampler(
            search.space, search.seed, search.points,
            maximize=search.settings.maximize, rows=rows.values(),
        )  # fmt: skip

    def _judge(self) -> Any:
        search, best = self.search, self._best()
        maximize = search.settings.maximize
        halving = Halving(search.grace, search.factor, maximize=maximize)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor = ray.remote(Judge).options(num_cpus=0, scheduling_strategy=here)
        return actor.remote(
            halving if search.halving else None, best.objective if best else None, maximize=maximize
        )

    def _best(self) -> Row | None:
        return best_of(self.record.rows, maximize=self.search.settings.maximize)

    def _keep(self, outcome: TrialOutcome) -> None:
        """Record a trial; write its model first, so that the record never names a lost model."""
        before, row = self._best(), outcome.row
        better = row.objective is not None and (
            before is None
            or best_of({1: before, 2: row}, maximize=self.search.settings.maximize) is row
        )
        if better and outcome.model is not None:
            write_atomically(self.state / MODEL, outcome.model)
            unpack_model(outcome.model, self.model)
        if better:
            self._lines = outcome.lines
        self.record.add(row)
        if row.status == "Failed" and self._warned < _REASONS:
            self._warned += 1
            print(f"trial {row.number} failed: {row.reason}", file=sys.stderr, flush=True)

    def _restore_model(self) -> None:
        """Write the best model again: SageMaker empties the model folder after an interruption."""
        kept = self.state / MODEL
        if kept.is_file():
            unpack_model(kept.read_bytes(), self.model)

    def _finish(self) -> Row:
        rows, best = self.record.rows, self._best()
        self._print_progress(now=True)
        self.model.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.state / FILE, self.model / FILE)
        if best is None:
            minutes = self.search.minutes
            late = f"the {minutes:g} minutes ended before any trial started; raise --minutes"
            reasons = [row.reason for row in rows.values() if row.reason]
            reasons += [late if minutes else "no trial ran"]
            raise TrainingFailed(f"none of {len(rows)} trials has an objective: {reasons[0]}")
        print(f"best trial {best.number}: {json.dumps(best.hyperparameters)}", file=sys.stderr)
        for line in self._lines or [f"{name}={value:.8g}" for name, value in best.metrics.items()]:
            print(line, flush=True)
        return best

    def _print_progress(self, *, now: bool = False) -> None:
        if not now and time.monotonic() - self._printed < self.search.progress_seconds:
            return
        self._printed = time.monotonic()
        rows, best = self.record.rows, self._best()
        failed = sum(row.status == "Failed" for row in rows.values())
        stopped = sum(row.status == "Stopped" for row in rows.values())
        parts = [f"{len(rows)}/{self.search.trials} trials ended"]
        parts += [f"{failed} failed"] if failed else []
        parts += [f"{stopped} stopped early"] if stopped else []
        parts += [f"best {self.search.settings.objective} {best.objective:.6g}"] if best else []
        print(", ".join(parts), file=sys.stderr, flush=True)


def _outcome(done: Any, number: int, values: dict[str, str], started: float) -> TrialOutcome:
    """Return what a trial returned, or a failed trial if its process or host is lost."""
    try:
        outcome: TrialOutcome = ray.get(done)
    except RayError as error:
        cause = getattr(error, "cause", None) or error
        lines = str(cause).strip().splitlines() or [type(cause).__name__]
        reason = f"{type(cause).__name__}: {lines[0]}"[:1024]
        row = Row(
            number=number, hyperparameters=values, status="Failed", objective=None,
            started=started, ended=time.time(), reason=reason,
        )  # fmt: skip
        return TrialOutcome(row=row)
    return outcome


def unpack_model(packed: bytes, folder: Path) -> None:
    """Replace the files of the model folder; those of an earlier model are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in folder.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
