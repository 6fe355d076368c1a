"""How far a search has come, in a log that stays short however many trials there are."""

import sys
import time
from collections.abc import Callable
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from ray_tune.cluster import alive
from ray_tune.trial import METRIC

_REASONS = 10  # of failed trials that are shown


class Progress(tune.Callback):
    """A line when something has moved: a better best, or one more trial in a hundred ended.

    At most one line in `every_seconds`, and one at least in QUIET_SECONDS while trials report.
    """

    QUIET_SECONDS = 60.0

    def __init__(
        self,
        trials: int,
        every_seconds: float = 5.0,
        *,
        now: Callable[[], float] = time.monotonic,
        nodes: Callable[[], int] = alive,
    ) -> None:
        self.trials, self.every_seconds = trials, every_seconds
        self.now, self.nodes = now, nodes
        self.ended = self.failed = self.told = 0
        self.best = self.told_best = float("-inf")
        self.most_nodes = 1
        self.spoken = float("-inf")

    def setup(self, *args: Any, **info: Any) -> None:
        """Begin anew to count time: another machine's clock was another."""
        self.spoken = float("-inf")

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **_: Any
    ) -> None:
        """Remember the best; speak if it is time to."""
        self.best = max(self.best, result.get(METRIC, float("-inf")))
        self._speak()

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **_: Any
    ) -> None:
        """Count it."""
        self.ended += 1
        self._speak()

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Count it, and say why."""
        self.failed += 1
        if self.failed <= _REASONS:
            lines = str(trial.get_error() or "no reason").strip().splitlines()
            print(f"trial {trial.trial_id} failed: {lines[-1]}", file=sys.stderr, flush=True)
        self._speak()

    def on_experiment_end(self, trials: list[Trial], **_: Any) -> None:
        """The last line."""
        self._say()

    def get_state(self) -> dict[str, Any]:
        """What a resumed search goes on counting from."""
        return {"ended": self.ended, "best": self.best}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from there; what had failed is tried again."""
        self.ended, self.best = state["ended"], state["best"]

    def _speak(self) -> None:
        silent = self.now() - self.spoken
        moved = self.best > self.told_best or self.ended - self.told >= self.trials / 100
        if silent >= (self.every_seconds if moved else self.QUIET_SECONDS):
            self._say()

    def _say(self) -> None:
        self.spoken, self.told, self.told_best = self.now(), self.ended, self.best
        nodes = self.nodes()
        self.most_nodes = max(self.most_nodes, nodes)
        hosts = f", {nodes} of {self.most_nodes} hosts" if self.most_nodes > 1 else ""
        failed = f", {self.failed} failed" if self.failed else ""
        print(
            f"{self.ended}/{self.trials} trials ended{failed}{hosts}, "
            f"best validation:auc so far {self.best:.4f}",
            file=sys.stderr,
            flush=True,
        )
