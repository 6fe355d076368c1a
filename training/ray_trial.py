"""One trial of a Ray Tune search: one epoch of training a step."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ray import tune

from data import Part
from fit import Fit
from hyperparameters import Hyperparameters

FILE = "trial.pt"
METRIC = "validation_auc"
DIVERGED = 0.0  # an AUC that no other trial can fall below


class Trial(tune.Trainable):
    """Trains one set of hyperparameters; its actor then goes on with the next one.

    The parts come from Ray's object store, read there by all trials of a host.
    """

    last: dict[str, float]

    def setup(  # type: ignore[override]
        self, config: Mapping[str, Any], train: Part, validation: Part
    ) -> None:
        """Called once an actor, with its first configuration; the parts, by with_parameters."""
        self.train_part, self.validation_part = train, validation
        torch.set_num_threads(1)
        self._begin(config)

    def reset_config(self, new_config: Mapping[str, Any]) -> bool:
        """Take the next trial's configuration; the process and the data stay."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """One epoch. The last one, of the configuration or of its patience, says done.

        So does one whose metrics are no numbers any more: a set that diverges is a result,
        the worst there can be, and no failure to be tried again.
        """
        line = next(self.epochs, None)
        if line is not None:
            self.last = _flat(line)
        diverged = not all(map(math.isfinite, self.last.values()))
        out_of_epochs = self.fit.epoch >= self.fit.chosen.epochs
        return {
            **self.last,
            METRIC: max(self.fit.best["auc"], DIVERGED),
            "best_epoch": self.fit.best_epoch,
            "done": line is None or out_of_epochs or diverged,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """All that a trial needs to go on elsewhere."""
        torch.save(self.fit.state_dict(), Path(checkpoint_dir, FILE))

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Go on where `save_checkpoint` was called."""
        state = torch.load(Path(checkpoint, FILE), map_location="cpu", weights_only=True)
        self.fit.load_state_dict(state)

    def _begin(self, config: Mapping[str, Any]) -> None:
        device, precision = device_of(gpu=config.get("gpu", False))
        chosen = {name: value for name, value in config.items() if name != "gpu"}
        self.fit = Fit(
            Hyperparameters.of(chosen),
            self.train_part,
            self.validation_part,
            device=device,
            precision=precision,
        )
        self.epochs = self.fit.epochs()
        self.last = {}


def device_of(*, gpu: bool) -> tuple[torch.device, torch.dtype]:
    """The device a trial trains on, and its precision; Ray has hidden all others from it."""
    if gpu and torch.cuda.is_available():
        return torch.device("cuda", 0), torch.bfloat16
    return torch.device("cpu"), torch.float32


def _flat(line: Mapping[str, Any]) -> dict[str, float]:
    """`{"validation": {"auc": 1}}` to `{"epoch_validation_auc": 1}`."""
    flat: dict[str, float] = {}
    for name, value in line.items():
        if isinstance(value, Mapping):
            flat |= {f"epoch_{name}_{key}": number for key, number in value.items()}
        else:
            flat[name] = value
    return flat
