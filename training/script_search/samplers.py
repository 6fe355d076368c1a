"""Where the hyperparameters of the next trial come from."""

import itertools
import random
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from credit_default.container import TrainingFailed
from script_search.ranges import Range, Space, Values, as_text, draw, scaling, typed
from script_search.record import Row


class Sampler(Protocol):
    """The source of trials. A number always gets the same values from a sampler at random."""

    def ask(self, number: int) -> dict[str, str]:
        """Return the hyperparameters of the trial of a number, counted from 1."""

    def tell(self, row: Row) -> None:
        """Learn from a trial that has ended."""


class RandomSampler:
    """Values drawn from the ranges; the given points come first."""

    def __init__(self, space: Space, seed: int, points: Sequence[Values] = ()) -> None:
        self._space, self._seed, self._points = space, seed, points

    def ask(self, number: int) -> dict[str, str]:
        """Return the hyperparameters of the trial of a number, counted from 1."""
        drawn = draw(self._space, random.Random(f"{self._seed}/{number}"))
        given = self._points[number - 1] if number <= len(self._points) else {}
        return drawn | dict(given)

    def tell(self, row: Row) -> None:
        """Learn nothing."""


class OptunaSampler:
    """Optuna's tree-structured Parzen estimator; running trials count as poor, so that all differ.

    Args:
        space: the ranges.
        seed: of the search.
        points: tried first.
        maximize: whether a greater objective is better.
        rows: trials that ended in an interrupted search.
    """

    def __init__(
        self,
        space: Space,
        seed: int,
        points: Sequence[Values] = (),
        *,
        maximize: bool,
        rows: Iterable[Row] = (),
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        ended = list(rows)
        self._space, self._points = space, points
        self._distributions = {name: _distribution(each) for name, each in space.items()}
        self._running: dict[int, Any] = {}
        self._study = optuna.create_study(
            direction="maximize" if maximize else "minimize",
            sampler=optuna.samplers.TPESampler(
                seed=(seed + len(ended)) % 2**31, constant_liar=True, multivariate=True
            ),
        )
        for row in ended:
            self._add(row)

    def ask(self, number: int) -> dict[str, str]:
        """Return the hyperparameters of the trial of a number, counted from 1."""
        if number <= len(self._points):
            given = self._points[number - 1]
            self._study.enqueue_trial({n: typed(self._space[n], text) for n, text in given.items()})
        trial = self._study.ask(self._distributions)
        self._running[number] = trial
        return {name: as_text(value) for name, value in trial.params.items()}

    def tell(self, row: Row) -> None:
        """Learn from a trial that has ended."""
        import optuna

        failed = optuna.trial.TrialState.FAIL
        state = optuna.trial.TrialState.COMPLETE if row.objective is not None else failed
        self._study.tell(self._running.pop(row.number), row.objective, state)

    def _add(self, row: Row) -> None:
        import optuna

        states = optuna.trial.TrialState
        params = {n: typed(self._space[n], text) for n, text in row.hyperparameters.items()}
        self._study.add_trial(
            optuna.trial.create_trial(
                state=states.FAIL if row.objective is None else states.COMPLETE,
                value=row.objective,
                params=params,
                distributions=self._distributions,
            )
        )


def read_points(written: Any, space: Space, repeats: Any = None) -> list[dict[str, str]]:
    """Return the points to try first.

    Args:
        written: a list of objects of hyperparameters.
        space: the ranges.
        repeats: values by hyperparameter, with each of which every point is tried.

    Raises:
        TrainingFailed: a document has another form, or names what is not searched.
    """
    if not isinstance(written, list) or not all(isinstance(each, dict) for each in written):
        raise TrainingFailed("--points: not a JSON list of objects of hyperparameters")
    unknown = sorted({name for each in written for name in each} - set(space))
    if unknown:
        raise TrainingFailed(f"--points: {unknown[0]} is not searched")
    points = [{name: as_text(value) for name, value in each.items()} for each in written]
    return [point | seeds for point in points for seeds in _combinations(repeats or {}, space)]


def _combinations(repeats: Any, space: Space) -> list[dict[str, str]]:
    if not isinstance(repeats, dict) or not all(isinstance(v, list) for v in repeats.values()):
        raise TrainingFailed("--repeats: not a JSON object of lists of values by hyperparameter")
    if unknown := sorted(set(repeats) - set(space)):
        raise TrainingFailed(f"--repeats: {unknown[0]} is not searched")
    texts = [[as_text(value) for value in values] for values in repeats.values()]
    return [dict(zip(repeats, each, strict=True)) for each in itertools.product(*texts)]


def _distribution(each: Range) -> Any:
    from optuna import distributions

    if each["type"] == "categorical":
        return distributions.CategoricalDistribution(each["values"])
    log = scaling(each) == "Logarithmic"
    if each["type"] == "integer":
        return distributions.IntDistribution(each["min"], each["max"], log=log)
    return distributions.FloatDistribution(float(each["min"]), float(each["max"]), log=log)
