"""The rows of each training step, as standardized features.

All processes shuffle identically, so n processes with batches of b rows train on the same rows as
one process with batches of n x b rows.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from credit_default.dataset.features import Features
from credit_default.dataset.parts import Part, Rows
from credit_default.distributed import World
from credit_default.hyperparameters import Hyperparameters


class DerivedPart:
    """A part as standardized features: cached for one shard, else derived while streaming."""

    def __init__(self, part: Part, features: Features, device: torch.device) -> None:
        self.part, self.features, self.device = part, features, device
        self.cached = [self._derive(rows) for rows in part] if len(part.sizes) == 1 else None

    def subset(self, order: list[int]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the features and labels of the shards at the given positions."""
        if self.cached:
            return iter([self.cached[shard] for shard in order])
        return map(self._derive, self.part.subset(order))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.subset(list(range(len(self.part.sizes))))

    def _derive(self, rows: Rows) -> tuple[Tensor, Tensor]:
        raw, target = rows.to(self.device)
        return self.features(raw), target


class Batches:
    """The batches of a training part that one process trains on."""

    def __init__(self, part: DerivedPart, chosen: Hyperparameters, world: World) -> None:
        self._part, self._chosen, self._world = part, chosen, world
        self._sizes = part.part.sizes
        self.per_epoch = sum(self._steps(size) for size in self._sizes)

    def remaining(self, epoch: int, done: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield this process's share of each batch of an epoch after the first ``done``."""
        order = self._shuffled(len(self._sizes), epoch, salt=0).tolist()
        left = []
        for shard in order:
            steps = self._steps(self._sizes[shard])
            if done < steps:
                left.append((shard, done))
            done = max(done - steps, 0)
        shards = self._part.subset([shard for shard, _ in left])
        for (shard, done_here), (features, target) in zip(left, shards, strict=True):
            steps, size = self._steps(len(target)), self._share(len(target))
            order_here = self._shuffled(len(target), epoch, salt=shard + 1)
            rows = order_here[: steps * size * self._world.size]
            shares = rows.view(steps, self._world.size, size)
            mine = shares[done_here:, self._world.rank].reshape(-1).to(self._part.device)
            batches = (torch.split(part[mine], size) for part in (features, target))
            yield from zip(*batches, strict=True)

    def _share(self, rows: int) -> int:
        """Return the rows of a batch that this process trains on."""
        return max(1, min(self._chosen.batch_size, rows // self._world.size))

    def _steps(self, rows: int) -> int:
        """Return the number of full batches in a shard; the remaining rows are skipped."""
        return max(1, rows // (self._share(rows) * self._world.size))

    def _shuffled(self, count: int, epoch: int, salt: int) -> Tensor:
        seed = hash((self._chosen.seed, epoch, salt)) & 0x7FFF_FFFF
        return torch.randperm(count, generator=torch.Generator().manual_seed(seed))
