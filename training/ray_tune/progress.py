"""The progress lines of a search; their number does not grow with the number of trials."""

import math
import sys
import time
from collections.abc import Callable
from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from ray_tune.cluster import count_live_nodes
from ray_tune.trial import METRIC

_MAX_REASONS = 10  # failed trials whose reason is printed


class SearchProgress(tune.Callback):
    """A log line whenever a search has a new best metric or one percent more trials have ended.

    At most one line is printed per `every_seconds`, and at least one per QUIET_SECONDS while
    trials report.
    """

    QUIET_SECONDS = 60.0

    def __init__(
        self,
        trials: int,
        every_seconds: float = 5.0,
        *,
        now: Callable[[], float] = time.monotonic,
        nodes: Callable[[], int] = count_live_nodes,
    ) -> None:
        self.trials, self.every_seconds = trials, every_seconds
        self.now, self.nodes = now, nodes
        self.ended = self.failed = self.printed_ended = 0
        self.best = self.printed_best = float("-inf")
        self.most_nodes = 1
        self.printed_at = float("-inf")

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles the callback into a search's saved state. With the settings alone in it,
        # renaming any other attribute keeps saved searches readable.
        return {"trials": self.trials, "every_seconds": self.every_seconds}

    def __setstate__(self, state: dict[str, Any]) -> None:
        SearchProgress.__init__(self, state["trials"], state["every_seconds"])

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **_: Any
    ) -> None:
        """Record the best metric and print a line if one is due."""
        self.best = max(self.best, result.get(METRIC, float("-inf")))
        self._print_if_due()

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **_: Any
    ) -> None:
        """Count the trial and print a line if one is due."""
        self.ended += 1
        self._print_if_due()

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Count the failed trial and print its reason."""
        self.failed += 1
        if self.failed <= _MAX_REASONS:
            lines = str(trial.get_error() or "no reason").strip().splitlines()
            print(f"trial {trial.trial_id} failed: {lines[-1]}", file=sys.stderr, flush=True)
        self._print_if_due()

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Print that a trial whose process or host was lost runs again."""
        print(
            f"trial {trial.trial_id} lost its process and runs again", file=sys.stderr, flush=True
        )

    def on_experiment_end(self, trials: list[Trial], **_: Any) -> None:
        """Print the last line; trials that a limit has ended were not counted before."""
        ended = sum(
            each.status == Trial.TERMINATED and METRIC in each.last_result for each in trials
        )
        self.ended = max(self.ended, ended)
        self._print()

    def get_state(self) -> dict[str, Any]:
        """Return the counts that a resumed search continues from."""
        return {"ended": self.ended, "best": self.best}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from saved counts; failed trials are not among them, as they are retried."""
        self.ended, self.best = state["ended"], state["best"]

    def _print_if_due(self) -> None:
        silent_seconds = self.now() - self.printed_at
        news = self.best > self.printed_best or self.ended - self.printed_ended >= self.trials / 100
        if silent_seconds >= (self.every_seconds if news else self.QUIET_SECONDS):
            self._print()

    def _print(self) -> None:
        self.printed_at, self.printed_ended, self.printed_best = self.now(), self.ended, self.best
        nodes = self.nodes()
        self.most_nodes = max(self.most_nodes, nodes)
        hosts = f", {nodes} of {self.most_nodes} hosts" if self.most_nodes > 1 else ""
        failed = f", {self.failed} failed" if self.failed else ""
        best = f", best validation:auc so far {self.best:.4f}" if math.isfinite(self.best) else ""
        print(
            f"{self.ended}/{self.trials} trials ended{failed}{hosts}{best}",
            file=sys.stderr,
            flush=True,
        )
