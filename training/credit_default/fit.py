"""The training loop of all four scripts.

What is random follows from (seed, step, process) alone, and the learning rate from the step.
So a run that is stopped anywhere and resumed ends with the same metrics.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from credit_default.data import Part, Rows
from credit_default.distributed import World
from credit_default.features import Features
from credit_default.hyperparameters import Hyperparameters
from credit_default.metrics import best_threshold, evaluate
from credit_default.model import Classifier, perceptron
from credit_default.optimisation import learning_rate, lowered, optimizer, training_loss

_ASK_EVERY = 16  # steps; asking all processes at every one would slow small networks down
_CPU = torch.device("cpu")


class Interrupted(Exception):
    """Training was asked to stop, and stands between two steps."""


class Fit:
    """One training run: the network, its averaged weights, and how far it has come."""

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
        self.validation = _Derived(validation, self.features, device)
        self.shards = _Derived(train, self.features, device)
        torch.manual_seed(chosen.seed)
        self.network = perceptron(chosen.hidden, chosen.activation, chosen.dropout).to(device)
        averaged = perceptron(chosen.hidden, chosen.activation).to(device)
        self.averaged = averaged.requires_grad_(False).eval()
        self.averaged.load_state_dict(self.network.state_dict())
        # Listed once: walking through the modules at each step takes as long as averaging them.
        self.parameters = list(self.network.parameters())
        self.averages = list(self.averaged.parameters())
        self.weights = sum(weight.numel() for weight in self.parameters)
        self.parallel = self.world.wrapped(self.network, device)
        self.optimizer = optimizer(chosen, self.network)
        self.weight = _positive_weight(chosen, train)
        self.steps_per_epoch = sum(self._steps(size) for size in train.sizes)
        self.step = self.epoch = self.best_epoch = 0
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.best: dict[str, float] = {"auc": -math.inf}
        self.best_state = self._average_state()

    def epochs(self) -> Iterator[dict[str, float | dict[str, float]]]:
        """Train; what each epoch's line reports, as it ends.

        Raises:
            Interrupted: `interrupted` answered yes; `state_dict` can be saved.
        """
        chosen = self.chosen
        while self.epoch < chosen.epochs and not self._out_of_patience():
            for features, target in self._batches():
                self._learn(features, target)
            train_loss = self.world.mean(float(self.loss_sum) / self.steps_per_epoch, self.device)
            self.loss_sum.zero_()
            self.epoch += 1
            metrics = self._validate()
            if metrics["auc"] > self.best["auc"]:
                self.best, self.best_epoch = metrics, self.epoch
                self.best_state = self._average_state()
            yield {"epoch": self.epoch, "train": {"loss": train_loss}, "validation": metrics}

    def classifier(self) -> Classifier:
        """The model of the best epoch, on the CPU, its threshold the one of the best F1."""
        hidden, activation = self.chosen.hidden, self.chosen.activation
        network = perceptron(hidden, activation)
        network.load_state_dict(self.best_state)
        features = Features()
        features.load_state_dict(self.features.state_dict())
        model = Classifier(features, network, hidden, activation)
        logit, target = _scored(self.validation, network.to(self.device).eval())
        network.cpu()
        model.threshold = best_threshold(logit, target)
        return model

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on from here; plain values and tensors."""
        return {
            "hyperparameters": self.chosen.on_the_wire(),
            "rows": self.train.rows,
            "progress": [self.step, self.epoch, self.best_epoch],
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "loss_sum": self.loss_sum,
            "best": self.best,
            "best_state": self.best_state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken.

        Raises:
            ValueError: it is the state of a run with other hyperparameters or other data.
        """
        ours = self.state_dict()
        for key in ("hyperparameters", "rows"):
            if state[key] != ours[key]:
                raise ValueError(f"the checkpoint is of a run with other {key}")
        self.step, self.epoch, self.best_epoch = state["progress"]
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.loss_sum.copy_(state["loss_sum"])
        self.best, self.best_state = state["best"], state["best_state"]

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's share of each batch of the epoch that have not been learnt from yet.

        All processes shuffle alike, so that n of them with batches of b see what one
        process with batches of n x b would see.
        """
        done = self.step - self.epoch * self.steps_per_epoch
        order = self._shuffled(len(self.train.sizes), salt=0).tolist()
        left = []
        for shard in order:
            steps = self._steps(self.train.sizes[shard])
            if done < steps:
                left.append((shard, done))
            done = max(done - steps, 0)
        shards = self.shards.subset([shard for shard, _ in left])
        for (shard, done_here), (features, target) in zip(left, shards, strict=True):
            steps, size = self._steps(len(target)), self._share(len(target))
            rows = self._shuffled(len(target), salt=shard + 1)[: steps * size * self.world.size]
            shares = rows.view(steps, self.world.size, size)
            mine = shares[done_here:, self.world.rank].reshape(-1).to(self.device)
            batches = (torch.split(part[mine], size) for part in (features, target))
            yield from zip(*batches, strict=True)

    def _learn(self, features: Tensor, target: Tensor) -> None:
        """One step of the optimizer; or Interrupted, before it."""
        ask = self.world.size == 1 or self.step % _ASK_EVERY == 0
        if ask and self.world.any(self.interrupted(), self.device):
            raise Interrupted
        self._seed_dropout()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(
                self.chosen, self.step, self.chosen.epochs * self.steps_per_epoch
            )
        pieces = list(
            zip(
                features.chunk(self.chosen.accumulate),
                target.chunk(self.chosen.accumulate),
                strict=True,
            )
        )
        with self.world.unsynchronised(self.parallel):
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
        lower = lowered(self.precision, self.device, self.weights, len(target))
        with torch.autocast(self.device.type, dtype=self.precision, enabled=lower):
            logit = self.parallel(features).squeeze(1)
        loss = training_loss(logit.float(), target, self.weight, self.chosen.focal_gamma) * share
        loss.backward()  # type: ignore[no-untyped-call]
        self.loss_sum += loss.detach()

    def _average(self) -> None:
        """Follow the weights; sooner at the start, when they are still far off."""
        decay = min(self.chosen.ema_decay, self.step / (self.step + 9))
        with torch.no_grad():
            get_ema_multi_avg_fn(decay)(  # type: ignore[no-untyped-call]
                self.averages, self.parameters, 0
            )

    def _validate(self) -> dict[str, float]:
        logit, target = _scored(self.validation, self.averaged)
        metrics = evaluate(logit, target, best_threshold(logit, target))
        return {name: self.world.leading(value, self.device) for name, value in metrics.items()}

    def _average_state(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.averaged.state_dict().items()}

    def _out_of_patience(self) -> bool:
        unimproved = self.epoch - self.best_epoch
        return 0 < self.chosen.patience <= unimproved

    def _share(self, rows: int) -> int:
        """Rows of a batch that fall to this process."""
        return max(1, min(self.chosen.batch_size, rows // self.world.size))

    def _steps(self, rows: int) -> int:
        """Batches of a shard; what is left over after the last full one is left out."""
        return max(1, rows // (self._share(rows) * self.world.size))

    def _shuffled(self, count: int, salt: int) -> Tensor:
        seed = hash((self.chosen.seed, self.epoch, salt)) & 0x7FFF_FFFF
        return torch.randperm(count, generator=torch.Generator().manual_seed(seed))

    def _seed_dropout(self) -> None:
        seed = hash((self.chosen.seed, self.step, self.world.rank)) & 0x7FFF_FFFF
        if self.device.type == "cuda":
            torch.cuda.default_generators[self.device.index or 0].manual_seed(seed)
        else:
            torch.default_generator.manual_seed(seed)  # torch.manual_seed costs 0.1 ms


class _Derived:
    """A part as standardised features: kept if there is one shard, else derived in passing."""

    def __init__(self, part: Part, features: Features, device: torch.device) -> None:
        self.part, self.features, self.device = part, features, device
        self.kept = [self._derive(rows) for rows in part] if len(part.sizes) == 1 else None

    def subset(self, order: list[int]) -> Iterator[tuple[Tensor, Tensor]]:
        if self.kept:
            return iter([self.kept[shard] for shard in order])
        return map(self._derive, self.part.subset(order))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.subset(list(range(len(self.part.sizes))))

    def _derive(self, rows: Rows) -> tuple[Tensor, Tensor]:
        raw, target = rows.to(self.device)
        return self.features(raw), target


@torch.inference_mode()
def _scored(part: _Derived, network: nn.Module) -> tuple[Tensor, Tensor]:
    """The network's logits for every row of a part, and what became of them; on the CPU."""
    scored = [(network(features).squeeze(1).cpu(), target.cpu()) for features, target in part]
    logits, targets = zip(*scored, strict=True)
    return torch.cat(logits), torch.cat(targets)


def _positive_weight(chosen: Hyperparameters, train: Part) -> float:
    if chosen.positive_weight is not None:
        return chosen.positive_weight
    positives = sum(float(rows.target.sum()) for rows in train)
    return (train.rows - positives) / positives
