"""One trial of a Ray Tune search: some epochs of training a step."""

import math
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from ray import tune

from credit_default.data import Part
from credit_default.fit import Fit
from credit_default.hyperparameters import Hyperparameters

FILE = "trial.pt"
PRECISION = torch.bfloat16  # of matrix products
METRIC = "validation_auc"
DIVERGED = 0.0  # an AUC that no other trial can fall below
REPORT_SECONDS = 1.0  # a report keeps the head busy for some hundredths of one


class Trial(tune.Trainable):
    """Trains one set of hyperparameters; its actor then goes on with the next one.

    The parts come from Ray's object store, read there by all trials of a host.
    """

    last: dict[str, float]

    def setup(  # type: ignore[override]
        self,
        config: Mapping[str, Any],
        train: Part,
        validation: Part,
        *,
        rungs: Collection[int] = (),
        checkpoint_epochs: int = 0,
        gpu: bool = False,
    ) -> None:
        """Called once an actor, with its first configuration; the rest, by with_parameters.

        Args:
            rungs: epochs after which the scheduler may stop a trial.
            checkpoint_epochs: between checkpoints; 0 is none.
        """
        self.train_part, self.validation_part = train, validation
        self.rungs, self.checkpoint_epochs = rungs, checkpoint_epochs
        self.device = device_of(gpu=gpu)
        torch.set_num_threads(1)
        self._begin(config)

    def reset_config(self, new_config: Mapping[str, Any]) -> bool:
        """Take the next trial's configuration; the process and the data stay."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train until somebody waits for it: a rung, a checkpoint, the log, or the end.

        A trial whose metrics are no numbers any more is done as well: a set that diverges is a
        result, the worst there can be, and no failure to be tried again.
        """
        until = time.monotonic() + REPORT_SECONDS
        done = True
        for line in self.epochs:
            self.last = _flat(line)
            if not all(map(math.isfinite, self.last.values())):
                break
            if self._is_awaited() or time.monotonic() >= until:
                done = self.fit.epoch == self.fit.chosen.epochs
                break
        return {
            **self.last,
            METRIC: max(self.fit.best["auc"], DIVERGED),
            "best_epoch": self.fit.best_epoch,
            "should_checkpoint": self._is_kept() and not done,
            "done": done,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """All that a trial needs to go on elsewhere."""
        torch.save(self.fit.state_dict(), Path(checkpoint_dir, FILE))

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Go on where `save_checkpoint` was called."""
        state = torch.load(Path(checkpoint, FILE), map_location="cpu", weights_only=True)
        self.fit.load_state_dict(state)

    def _begin(self, config: Mapping[str, Any]) -> None:
        self.fit = Fit(
            Hyperparameters.of(config),
            self.train_part,
            self.validation_part,
            device=self.device,
            precision=PRECISION,
        )
        self.epochs = self.fit.epochs()
        self.last = {}

    def _is_awaited(self) -> bool:
        return self.fit.epoch in self.rungs or self._is_kept()

    def _is_kept(self) -> bool:
        return self.checkpoint_epochs > 0 and self.fit.epoch % self.checkpoint_epochs == 0


def device_of(*, gpu: bool) -> torch.device:
    """The device a trial trains on; Ray has hidden all others from it."""
    return torch.device("cuda", 0) if gpu and torch.cuda.is_available() else torch.device("cpu")


def _flat(line: Mapping[str, Any]) -> dict[str, float]:
    """`{"validation": {"auc": 1}}` to `{"epoch_validation_auc": 1}`."""
    flat: dict[str, float] = {}
    for name, value in line.items():
        if isinstance(value, Mapping):
            flat |= {f"epoch_{name}_{key}": number for key, number in value.items()}
        else:
            flat[name] = value
    return flat
