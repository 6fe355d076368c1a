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
    folder = Path(tempfile.gettempdir(), settings.folder, f"{number:06}")
    shutil.rmtree(folder / "model", ignore_errors=True)  # of a process that was killed
    everything = {**settings.fixed, **hyperparameters}
    variables = environment(
        environ, folder, script, everything, cpus=settings.cpus, gpus=settings.gpus
    )
    directory = Path(settings.directory) if settings.directory else script.parent
    began = time.time()
    last: dict[str, float] = {}
    lines: dict[str, str] = {}
    steps, stopped = 0, False
    with running(
        ScriptProcess(command(script, everything), variables, folder, directory)
    ) as process:
        for line in process.lines():
            for name, value in values_in(line, settings.patterns):
                last[name], lines[name] = value, line
                if name != settings.objective or stopped:
                    continue
                steps += 1
                if not continues(steps, value):
                    stopped = True
                    process.stop()
        reason = "" if stopped else process.failure()
    objective = last.get(settings.objective)
    if not reason and not usable(objective):
        reason = (
            f"printed no {settings.objective}"
            if objective is None
            else f"{settings.objective} ended as {objective}"
        )
    row = Row(
        number=number,
        hyperparameters=dict(hyperparameters),
        status="Stopped" if stopped else "Failed" if reason else "Completed",
        objective=objective if usable(objective) and (stopped or not reason) else None,
        metrics={name: value for name, value in last.items() if usable(value)},
        started=began,
        ended=time.time(),
        steps=steps,
        reason=reason,
    )
    best = row.objective is not None and is_best(row.objective)
    model = _packed(folder / "model") if best else None
    shutil.rmtree(folder, ignore_errors=True)
    return TrialOutcome(
        row=row, model=model, lines=tuple(dict.fromkeys(lines.values())) if best else ()
    )


def _packed(folder: Path) -> bytes | None:
    """Return the archive of a folder; None if it is empty or too large to send."""
    files = [each for each in folder.rglob("*") if each.is_file()]
    if not files or sum(each.stat().st_size for each in files) > MODEL_LIMIT:
        return None
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(folder, arcname=".")
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
