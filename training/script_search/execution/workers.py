"""Where trials run on a cluster: as tasks that start the script, or in actors that stay."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import ray
from ray.exceptions import RayError, RayTaskError

from script_search.execution.function import ImportedScript, TrialStopped
from script_search.process import environment, flags_of, make_folders
from script_search.requirements import packages_of
from script_search.settings import Search, TrialSettings
from script_search.source import unpacked
from script_search.trial import (
    Reading,
    TrialOutcome,
    directory_of,
    new_folder,
    outcome_of,
    ray_trial,
)

Started = Any  # Ray's reference to the outcome of a trial


class Workers(Protocol):
    """The place where trials run."""

    def start(self, number: int, hyperparameters: Mapping[str, str]) -> Started:
        """Start a trial and return the reference to its outcome."""

    def ended(self, started: Started) -> Started | None:
        """Return the reference to another try, if the process of an ended trial was lost."""


class Tasks:
    """A task of Ray per trial, which starts the script.

    Ray itself would retry a lost task, but not say so.
    """

    def __init__(self, search: Search, judge: Any) -> None:
        self._search, self._judge = search, judge
        self._running: dict[Started, tuple[int, Mapping[str, str], int]] = {}
        self._task = ray.remote(ray_trial).options(
            num_cpus=search.settings.cpus, num_gpus=search.settings.gpus, max_retries=0,
            scheduling_strategy="SPREAD",
        )  # fmt: skip

    def start(self, number: int, hyperparameters: Mapping[str, str]) -> Started:
        """Start a trial and return the reference to its outcome."""
        return self._start(number, hyperparameters, self._search.retries)

    def ended(self, started: Started) -> Started | None:
        """Return the reference to another try, if the process of an ended trial was lost."""
        number, hyperparameters, retries = self._running.pop(started)
        again = retries and _is_lost(started)
        return self._start(number, hyperparameters, retries - 1) if again else None

    def _start(self, number: int, hyperparameters: Mapping[str, str], retries: int) -> Started:
        started = self._task.remote(number, hyperparameters, self._search.settings, self._judge)
        self._running[started] = number, hyperparameters, retries
        return started


class Actors:
    """Actors that each run one trial after the other and keep what the script has loaded.

    An actor also keeps its CPUs and its share of a GPU. A trial whose actor is lost runs again in
    another one.
    """

    def __init__(self, search: Search, judge: Any) -> None:
        self._search, self._judge = search, judge
        self._idle: list[Any] = []
        self._running: dict[Started, tuple[Any, int, Mapping[str, str], int]] = {}
        self._actor = ray.remote(FunctionActor).options(
            num_cpus=search.settings.cpus, num_gpus=search.settings.gpus,
            scheduling_strategy="SPREAD",
        )  # fmt: skip

    def start(self, number: int, hyperparameters: Mapping[str, str]) -> Started:
        """Start a trial and return the reference to its outcome."""
        return self._start(number, hyperparameters, self._search.retries)

    def ended(self, started: Started) -> Started | None:
        """Return the reference to another try, if the process of an ended trial was lost."""
        actor, number, hyperparameters, retries = self._running.pop(started)
        if _is_lost(started):
            return self._start(number, hyperparameters, retries - 1) if retries else None
        self._idle.append(actor)
        return None

    def _start(self, number: int, hyperparameters: Mapping[str, str], retries: int) -> Started:
        actor = self._idle.pop() if self._idle else self._new()
        started = actor.run.remote(number, dict(hyperparameters))
        self._running[started] = actor, number, hyperparameters, retries
        return started

    def _new(self) -> Any:
        return self._actor.remote(self._search.settings, self._judge)


def _is_lost(started: Started) -> bool:
    """Return whether the process or the host of an ended trial was lost, or what it returned."""
    try:
        ray.get(started)
    except RayTaskError:  # the caller reads the outcome, and its error
        return False
    except RayError:
        return True
    return False


class FunctionActor:
    """A process that imports the script once and calls its function for each trial."""

    def __init__(self, settings: TrialSettings, judge: Any) -> None:
        self._settings, self._judge = settings, judge
        self._script: ImportedScript | None = None

    def run(self, number: int, hyperparameters: Mapping[str, str]) -> TrialOutcome:
        """Run a trial to its end and return what came out."""
        settings = self._settings
        code = unpacked(settings.source)
        path = code / settings.script
        folder = new_folder(settings, number)
        make_folders(folder)
        everything = {**settings.fixed, **hyperparameters}
        variables = environment(
            os.environ, folder, path, everything, cpus=settings.cpus, gpus=settings.gpus
        )
        reading = Reading(settings, self._continues)
        try:
            failure = self._imported(code, path).call(
                flags_of(everything), variables, directory_of(settings, path), reading.read
            )
        except TrialStopped:
            failure = ""
        row = reading.row(number, hyperparameters, failure)
        return outcome_of(row, reading, folder, self._is_best)

    def _imported(self, code: Path, path: Path) -> ImportedScript:
        """Return the script, imported at the first trial; a trial without it fails by itself."""
        if self._script is None:
            if packages := packages_of(code):
                sys.path.insert(0, str(packages))
            self._script = ImportedScript(path, self._settings.function)
        return self._script

    def _continues(self, step: int, value: float) -> bool:
        return bool(ray.get(self._judge.continues.remote(step, value)))

    def _is_best(self, value: float) -> bool:
        return bool(ray.get(self._judge.is_best.remote(value)))


def workers_of(search: Search, judge: Any) -> Workers:
    """Return actors if the script offers a function, else tasks."""
    return Actors(search, judge) if search.settings.function else Tasks(search, judge)
