"""What a search is asked for."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from script_search import source
from script_search.metrics import Patterns
from script_search.ranges import Space


@dataclass(frozen=True, kw_only=True)
class TrialSettings:
    """What all trials of a search have in common.

    Attributes:
        script: path of the script within its source.
        source: folder or archive of the source; a path on every host.
        fixed: hyperparameters that are not searched.
        patterns: regular expressions by metric.
        objective: name of the metric to optimize.
        maximize: whether a greater objective is better.
        cpus: CPUs per trial.
        gpus: GPUs per trial; a fraction shares a GPU.
        folder: where trials keep their files while they run; relative to the host's temporary
            folder.
        directory: the working directory; empty for the script's folder, as on SageMaker.
        function: name of a function of the script, called for each trial in a process that stays;
            empty to start the script for each trial.
    """

    script: str
    source: str
    fixed: Mapping[str, str]
    patterns: Patterns
    objective: str
    maximize: bool
    cpus: float
    gpus: float
    folder: str = "hpoq-trials"
    directory: str = ""
    function: str = ""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search of a script.

    Attributes:
        settings: what all trials have in common.
        space: ranges of the searched hyperparameters.
        trials: number of trials.
        parallel: trials at once; 0 runs as many as the cluster has resources for.
        algorithm: random or optuna.
        halving: whether poor trials stop early (ASHA).
        grace: values of the objective before a trial may be stopped.
        factor: one trial in this many continues.
        seed: of the search.
        points: hyperparameters to try first.
        retries: of a trial whose process or host is lost.
        minutes: no trial starts after this time; 0 for no limit.
        target: the search ends once an objective is as good; None for no target.
        progress_seconds: between progress lines.
    """

    settings: TrialSettings
    space: Space
    trials: int
    parallel: int = 0
    algorithm: str = "random"
    halving: bool = True
    grace: int = 1
    factor: int = 4
    seed: int = 0
    points: tuple[Mapping[str, str], ...] = ()
    retries: int = 3
    minutes: float = 0.0
    target: float | None = None
    progress_seconds: float = 5.0

    @property
    def identity(self) -> str:
        """The digest of all that the result of a trial depends on."""
        common = self.settings
        patterns = {name: each.pattern for name, each in common.patterns.items()}
        parts = [
            self.space, common.script, dict(common.fixed), patterns, common.objective,
            common.maximize, self.algorithm, self.seed, [dict(each) for each in self.points],
            [self.halving, self.grace, self.factor], source.digest(common.source, common.fixed),
        ]  # fmt: skip
        parts += [common.function] if common.function else []
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
