"""One trial of a script on any host of the cluster."""

import io
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from script_search.halving import Halving
from script_search.metrics import usable, values_in
from script_search.process import ScriptProcess, command, environment, running
from script_search.record import Row
from script_search.requirements import packages_of
from script_search.settings import TrialSettings
from script_search.source import unpacked

MODEL_LIMIT = 1 << 30  # bytes of a model that another host sends


class Judge:
    """The actor that knows all trials: which of them continue, and which is the best."""

    def __init__(self, halving: Halving | None, best: float | None, *, maximize: bool) -> None:
        self._halving, self._best, self._maximize = halving, best, maximize

    def continues(self, step: int, value: float) -> bool:
        """Record a value of a running trial and return whether the trial should continue."""
        return self._halving is None or self._halving.continues(step, value)

    def is_best(self, value: float) -> bool:
        """Record the objective of an ended trial and return whether it is the best so far."""
        better = self._best is None or (
            value > self._best if self._maximize else value < self._best
        )
        if better:
            self._best = value
        return better


@dataclass(frozen=True, kw_only=True)
class TrialOutcome:
    """A trial that has ended; with its model and its metrics' lines if it is the best so far."""

    row: Row
    model: bytes | None = None
    lines: tuple[str, ...] = ()


class Reading:
    """The metrics of a running trial, from the lines that it prints.

    Args:
        settings: what all trials have in common.
        continues: called with each step and value of the objective.
    """

    def __init__(self, settings: TrialSettings, continues: Callable[[int, float], bool]) -> None:
        self._settings, self._continues = settings, continues
        self._last: dict[str, float] = {}
        self._lines: dict[str, str] = {}
        self.steps, self.stopped, self.began = 0, False, time.time()

    def read(self, line: str) -> bool:
        """Read a line and return whether the trial should continue."""
        for name, value in values_in(line, self._settings.patterns):
            self._last[name], self._lines[name] = value, line
            if name == self._settings.objective and not self.stopped:
                self.steps += 1
                self.stopped = not self._continues(self.steps, value)
        return not self.stopped

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines of the last values."""
        return tuple(dict.fromkeys(self._lines.values()))

    def row(self, number: int, hyperparameters: Mapping[str, str], failure: str) -> Row:
        """Return the row of the trial, which has ended.

        Args:
            number: of the trial.
            hyperparameters: the searched ones.
            failure: why the script failed; empty if it did not.
        """
        name = self._settings.objective
        objective = self._last.get(name)
        reason = "" if self.stopped else failure
        if not reason and not usable(objective):
            reason = f"printed no {name}" if objective is None else f"{name} ended as {objective}"
        counts = usable(objective) and (self.stopped or not reason)
        return Row(
            number=number,
            hyperparameters=dict(hyperparameters),
            status="Stopped" if self.stopped else "Failed" if reason else "Completed",
            objective=objective if counts else None,
            metrics={each: value for each, value in self._last.items() if usable(value)},
            started=self.began,
            ended=time.time(),
            steps=self.steps,
            reason=reason,
        )


def run_trial(
    number: int,
    hyperparameters: Mapping[str, str],
    settings: TrialSettings,
    *,
    continues: Callable[[int, float], bool],
    is_best: Callable[[float], bool],
    environ: Mapping[str, str] = os.environ,
) -> TrialOutcome:
    """Run a trial to its end and return what came out.

    Args:
        number: of the trial, from 1.
        hyperparameters: the searched ones.
        settings: what all trials have in common.
        continues: called with each step and value of the objective.
        is_best: called with the objective of the ended trial.
        environ: the variables of the training job on this host.
    """
    code = unpacked(settings.source, environ)
    script = code / settings.script
    if packages := packages_of(code):
        path = os.pathsep.join(filter(None, [str(packages), environ.get("PYTHONPATH", "")]))
        environ = {**environ, "PYTHONPATH": path}
    folder = new_folder(settings, number)
    everything = {**settings.fixed, **hyperparameters}
    variables = environment(
        environ, folder, script, everything, cpus=settings.cpus, gpus=settings.gpus
    )
    reading = Reading(settings, continues)
    with running(
        ScriptProcess(
            command(script, everything), variables, folder, directory_of(settings, script)
        )
    ) as process:
        stopping = False
        for line in process.lines():
            if not reading.read(line) and not stopping:
                stopping = True
                process.stop()
        failure = "" if stopping else process.failure()
    return outcome_of(reading.row(number, hyperparameters, failure), reading, folder, is_best)


def new_folder(settings: TrialSettings, number: int) -> Path:
    """Return the folder of a trial, without a model of a process that was killed."""
    folder = Path(tempfile.gettempdir(), settings.folder, f"{number:06}")
    shutil.rmtree(folder / "model", ignore_errors=True)
    return folder


def directory_of(settings: TrialSettings, script: Path) -> Path:
    """Return the working directory of a trial."""
    return Path(settings.directory) if settings.directory else script.parent


def outcome_of(
    row: Row, reading: Reading, folder: Path, is_best: Callable[[float], bool]
) -> TrialOutcome:
    """Return what came out of a trial that has ended, and remove its folder.

    Args:
        row: its row.
        reading: what it printed.
        folder: its folder, with its model.
        is_best: called with the objective.
    """
    best = row.objective is not None and is_best(row.objective)
    model = _packed(folder / "model") if best else None
    shutil.rmtree(folder, ignore_errors=True)
    return TrialOutcome(row=row, model=model, lines=reading.lines if best else ())


def _packed(folder: Path) -> bytes | None:
    """Return the archive of a folder; None if it is empty or too large to send."""
    files = [each for each in folder.rglob("*") if each.is_file()]
    if not files or sum(each.stat().st_size for each in files) > MODEL_LIMIT:
        return None
    packed = io.BytesIO()
    # With the files that links name: a link to a folder of this host leads nowhere on another.
    with tarfile.open(fileobj=packed, mode="w", dereference=True) as archive:
        for each in files:
            archive.add(each, arcname=each.relative_to(folder))
    return packed.getvalue()


def ray_trial(
    number: int, hyperparameters: Mapping[str, str], settings: TrialSettings, judge: Any
) -> TrialOutcome:
    """Run a trial as a task of Ray."""
    import ray

    return run_trial(
        number,
        hyperparameters,
        settings,
        continues=lambda step, value: bool(ray.get(judge.continues.remote(step, value))),
        is_best=lambda value: bool(ray.get(judge.is_best.remote(value))),
    )
