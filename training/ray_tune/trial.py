"""One trial of a Ray Tune search; each step trains one or more epochs."""

import math
import sys
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune
from ray.actor import ActorHandle
from ray.exceptions import RayActorError

from credit_default.checkpoint import unpack
from credit_default.dataset.parts import Part
from credit_default.fit import Fit
from credit_default.hyperparameters import Hyperparameters
from credit_default.run import about
from ray_tune.best_model import BestModel

FILE = "trial.pt"
PRECISION = torch.bfloat16  # lowest precision of matrix products
METRIC = "validation_auc"
DIVERGED = 0.0  # the lowest possible AUC
REPORT_SECONDS = 1.0  # each report occupies the head for some hundredths of a second


class CreditTrainable(tune.Trainable):
    """The training of one set of hyperparameters; its actor is reused for the next set.

    All trials of a host read the parts from Ray's object store.
    """

    _name = "Trial"  # the name in saved searches; Ray rejects a search saved under another one
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
        best_model: ActorHandle[BestModel] | None = None,
    ) -> None:
        """Prepare an actor's first trial; Ray calls this once per actor.

        Args:
            config: hyperparameters, named as on SageMaker.
            train: the part to train on.
            validation: the part to evaluate each epoch on.
            rungs: epochs after which the scheduler may stop a trial.
            checkpoint_epochs: epochs between checkpoints; 0 writes none.
            gpu: train on a GPU if Ray has assigned one.
            best_model: the `BestModel` that writes the best model so far.
        """
        self.train_part, self.validation_part = train, validation
        self.rungs, self.checkpoint_epochs = rungs, checkpoint_epochs
        self.device, self.best_model = device_of(gpu=gpu), best_model
        torch.set_num_threads(1)
        self._begin(config)

    def reset_config(self, new_config: Mapping[str, Any]) -> bool:
        """Start the next trial with the same process and data."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train until the next rung, checkpoint or progress report, or to the end.

        A diverged trial also ends. It counts as a result with the lowest metric, not as a failure,
        because a retry would diverge again.
        """
        report_at = time.monotonic() + REPORT_SECONDS
        done, diverged = True, False
        for line in self.epochs:
            self.last = _flat(line)
            if diverged := not all(map(math.isfinite, self.last.values())):
                break
            if self._must_report() or time.monotonic() >= report_at:
                done = self.fit.epoch == self.fit.chosen.epochs
                break
        if not diverged:
            self._offer_model()
        return {
            **self.last,
            METRIC: DIVERGED if diverged else self.fit.best["auc"],
            "best_epoch": self.fit.best_epoch,
            "should_checkpoint": self._must_checkpoint() and not done,
            "done": done,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the state that a trial resumes from, on this or another host."""
        torch.save(self.fit.state_dict(), Path(checkpoint_dir, FILE))

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Resume from a saved checkpoint; start the trial again if it is damaged."""
        try:
            self.fit.load_state_dict(unpack(Path(checkpoint, FILE)))
        except ValueError as error:
            print(f"starting the trial again: {error}", file=sys.stderr)

    def _begin(self, config: Mapping[str, Any]) -> None:
        self.fit = Fit(
            Hyperparameters.parse(config),
            self.train_part,
            self.validation_part,
            device=self.device,
            precision=PRECISION,
        )
        self.epochs = self.fit.epochs()
        self.last = {}
        self.offered_epoch = 0

    def _offer_model(self) -> None:
        """Send the trial's best model if it is the best of the search so far."""
        if self.best_model is None or self.fit.best_epoch == self.offered_epoch:
            return
        self.offered_epoch = self.fit.best_epoch
        metric = self.fit.best["auc"]
        # Without the actor, the search ends with the same result.
        with suppress(RayActorError):
            if ray.get(self.best_model.is_exceeded_by.remote(metric)):
                model = self.fit.classifier().pack(about(self.fit))
                ray.get(self.best_model.write.remote(metric, model))  # before Tune reports it

    def _must_report(self) -> bool:
        return self.fit.epoch in self.rungs or self._must_checkpoint()

    def _must_checkpoint(self) -> bool:
        return self.checkpoint_epochs > 0 and self.fit.epoch % self.checkpoint_epochs == 0


def device_of(*, gpu: bool) -> torch.device:
    """Return the device a trial trains on; Ray hides all other devices from the process."""
    return torch.device("cuda", 0) if gpu and torch.cuda.is_available() else torch.device("cpu")


def _flat(line: Mapping[str, Any]) -> dict[str, float]:
    """Flatten `{"validation": {"auc": 1}}` to `{"epoch_validation_auc": 1}`."""
    flat: dict[str, float] = {}
    for name, value in line.items():
        if isinstance(value, Mapping):
            flat |= {f"epoch_{name}_{key}": number for key, number in value.items()}
        else:
            flat[name] = value
    return flat
