"""The training loop of all four scripts.

Random numbers depend on (seed, step, process) alone and the learning rate on the step alone, so a
run that is interrupted at any step and resumed ends with the same metrics.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from credit_default.batches import Batches, DerivedPart
from credit_default.dataset.features import Features
from credit_default.dataset.parts import Part
from credit_default.distributed import World
from credit_default.hyperparameters import Hyperparameters
from credit_default.identity import code_digest
from credit_default.metrics import best_threshold, evaluate
from credit_default.model import Classifier, perceptron
from credit_default.optimization import learning_rate, optimizer, training_loss, use_bfloat16

_CHECK_EVERY_STEPS = 16  # a collective call at every step would slow small networks down
_CPU = torch.device("cpu")


class Interrupted(Exception):
    """Training was interrupted between two steps."""


class Fit:
    """One training run: the network, its averaged weights, and its progress.

    The class is long because it owns all state that a checkpoint restores.
    """

    def __init__(
        self,
        chosen: Hyperparameters,
        train: Part,
        validation: Part,
        *,
        device: torch.device = _CPU,
        world: World | None = None,
        precision: torch.dtype = torch.float32,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.chosen, self.train, self.device, self.precision = chosen, train, device, precision
        self.world = world or World()
        self.interrupted = interrupted
        self.features = Features().fit(train).to(device)
        self.validation = DerivedPart(validation, self.features, device)
        torch.manual_seed(chosen.seed)
        self.network = perceptron(chosen.hidden, chosen.activation, chosen.dropout).to(device)
        averaged = perceptron(chosen.hidden, chosen.activation).to(device)
        self.averaged = averaged.requires_grad_(False).eval()
        self.averaged.load_state_dict(self.network.state_dict())
        # Listed once: traversing the modules at each step would take as long as averaging them.
        self.parameters = list(self.network.parameters())
        self.averages = list(self.averaged.parameters())
        self.weights = sum(weight.numel() for weight in self.parameters)
        self.parallel = self.world.wrap(self.network, device)
        self.optimizer = optimizer(chosen, self.network)
        self.weight = _positive_weight(chosen, train)
        self._batches = Batches(DerivedPart(train, self.features, device), chosen, self.world)
        self.steps_per_epoch = self._batches.per_epoch
        self.step = self.epoch = self.best_epoch = 0
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.best: dict[str, float] = {"auc": -math.inf}
        self.best_state = self._average_state()
        self.best_threshold = 0.0

    def epochs(self) -> Iterator[dict[str, float | dict[str, float]]]:
        """Train, and yield the metrics of each epoch as it ends.

        Raises:
            Interrupted: `interrupted` returned True; `state_dict` can be saved.
        """
        chosen = self.chosen
        while self.epoch < chosen.epochs and not self._out_of_patience():
            done = self.step - self.epoch * self.steps_per_epoch
            for features, target in self._batches.remaining(self.epoch, done):
                self._learn(features, target)
            train_loss = self.world.mean(float(self.loss_sum) / self.steps_per_epoch, self.device)
            self.loss_sum.zero_()
            self.epoch += 1
            metrics, threshold = self._validate()
            if metrics["auc"] > self.best["auc"]:
                self.best, self.best_epoch = metrics, self.epoch
                self.best_state, self.best_threshold = self._average_state(), threshold
            yield {"epoch": self.epoch, "train": {"loss": train_loss}, "validation": metrics}

    def classifier(self) -> Classifier:
        """Return the best epoch's model on the CPU, with the threshold of the highest F1."""
        hidden, activation = self.chosen.hidden, self.chosen.activation
        network = perceptron(hidden, activation)
        network.load_state_dict(self.best_state)
        features = Features()
        features.load_state_dict(self.features.state_dict())
        return Classifier(features, network, hidden, activation, self.best_threshold)

    def state_dict(self) -> dict[str, Any]:
        """Return the state that `load_state_dict` resumes from: plain values and tensors."""
        return {
            "run": self._identity(),
            "progress": [self.step, self.epoch, self.best_epoch],
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "loss_sum": self.loss_sum,
            "best": self.best,
            "best_state": self.best_state,
            "best_threshold": self.best_threshold,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a state that `state_dict` returned.

        Raises:
            ValueError: the state belongs to a run with other code, data or settings.
        """
        saved = state.get("run", {})
        for name, value in self._identity().items():
            if saved.get(name) != value:
                raise ValueError(f"the checkpoint is of a run with {name}")
        self.step, self.epoch, self.best_epoch = state["progress"]
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.loss_sum.copy_(state["loss_sum"])
        self.best, self.best_state = state["best"], state["best_state"]
        self.best_threshold = state["best_threshold"]

    def _identity(self) -> dict[str, Any]:
        """Return what the result of the run depends on, by what to call another value of it."""
        return {
            "other code": code_digest(),
            "other hyperparameters": self.chosen.to_strings(),
            "other data": [self.train.digest, self.validation.part.digest],
            "another number of processes": self.world.size,
            "another precision": str(self.precision),
        }

    def _learn(self, features: Tensor, target: Tensor) -> None:
        """Take one optimizer step, unless training was interrupted before it."""
        check = self.world.size == 1 or self.step % _CHECK_EVERY_STEPS == 0
        if check and self.world.any(self.interrupted(), self.device):
            raise Interrupted
        self._seed_dropout()
        total = self.chosen.epochs * self.steps_per_epoch
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.chosen, self.step, total)
        count = self.chosen.accumulate
        pieces = list(zip(features.chunk(count), target.chunk(count), strict=True))
        with self.world.without_gradient_sync(self.parallel):
            for piece in pieces[:-1]:
                self._backward(*piece, share=len(piece[1]) / len(target))
        self._backward(*pieces[-1], share=len(pieces[-1][1]) / len(target))
        if self.chosen.gradient_clip:
            nn.utils.clip_grad_norm_(self.parameters, self.chosen.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self._average()

    def _backward(self, features: Tensor, target: Tensor, share: float) -> None:
        lower = use_bfloat16(self.precision, self.device, self.weights, len(target))
        with torch.autocast(self.device.type, dtype=self.precision, enabled=lower):
            logit = self.parallel(features).squeeze(1)
        loss = training_loss(logit.float(), target, self.weight, self.chosen.focal_gamma) * share
        loss.backward()  # type: ignore[no-untyped-call]
        self.loss_sum += loss.detach()

    def _average(self) -> None:
        """Update the averaged weights; the decay is lower in the first steps of the run."""
        decay = min(self.chosen.ema_decay, self.step / (self.step + 9))
        with torch.no_grad():
            get_ema_multi_avg_fn(decay)(  # type: ignore[no-untyped-call]
                self.averages, self.parameters, 0
            )

    def _validate(self) -> tuple[dict[str, float], float]:
        """Return the epoch's metrics and the threshold of the highest F1."""
        logit, target = _scored(self.validation, self.averaged)
        threshold = best_threshold(logit, target)
        metrics = evaluate(logit, target, threshold)
        shared = {n: self.world.from_leader(value, self.device) for n, value in metrics.items()}
        return shared, threshold

    def _average_state(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.averaged.state_dict().items()}

    def _out_of_patience(self) -> bool:
        unimproved = self.epoch - self.best_epoch
        return 0 < self.chosen.patience <= unimproved

    def _seed_dropout(self) -> None:
        seed = hash((self.chosen.seed, self.step, self.world.rank)) & 0x7FFF_FFFF
        if self.device.type == "cuda":
            torch.cuda.default_generators[self.device.index or 0].manual_seed(seed)
        else:
            torch.default_generator.manual_seed(seed)  # torch.manual_seed costs 0.1 ms


@torch.inference_mode()
def _scored(part: DerivedPart, network: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the network's logits and the labels of every row of a part, on the CPU."""
    scored = [(network(features).squeeze(1).cpu(), target.cpu()) for features, target in part]
    logits, targets = zip(*scored, strict=True)
    return torch.cat(logits), torch.cat(targets)


def _positive_weight(chosen: Hyperparameters, train: Part) -> float:
    if chosen.positive_weight is not None:
        return chosen.positive_weight
    positives = sum(float(rows.target.sum()) for rows in train)
    return (train.rows - positives) / positives
