"""A plain port of the usual PyTorch sample for the credit-default set, for comparison.

It is written as in tutorials: raw columns, a training part upsampled to equal classes, a data set
that creates a tensor per row, a DataLoader that stacks them, a 500-250-100 network, Adam,
PyTorch's default number of threads, and no early stopping.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

HIDDEN = (500, 250, 100)
BATCH_SIZE = 128
LEARNING_RATE = 1e-3
TARGET = "DEFAULT"


class Customers(Dataset[tuple[Tensor, Tensor]]):
    """A data set that returns the rows of a prepared part one at a time."""

    def __init__(self, part: Path) -> None:
        columns = read(part)
        self.target = columns.pop(TARGET)
        self.features = np.stack(list(columns.values()), axis=1)

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return (
            torch.tensor(self.features[row], dtype=torch.float32),
            torch.tensor(self.target[row], dtype=torch.float32),
        )


def read(part: Path) -> dict[str, NDArray[Any]]:
    """Return the columns of a part that consists of one file."""
    (file,) = part.glob("*.npz")
    with np.load(file) as columns:
        return dict(columns)


def network(inputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in HIDDEN:
        layers += [nn.Linear(inputs, size), nn.ReLU()]
        inputs = size
    return nn.Sequential(*layers, nn.Linear(inputs, 1))


@dataclass(frozen=True)
class Epoch:
    """The cost of one pass over the training part, and the network's scores after it."""

    rows: int
    cpu_seconds: float
    scores: Tensor  # [rows of the test part]
    targets: Tensor


def epochs(data: Path, count: int, seed: int = 0) -> Iterator[Epoch]:
    """Train on an upsampled part of `data`; the CPU seconds are those of the training loop."""
    torch.manual_seed(seed)
    customers, test = Customers(data / "train"), Customers(data / "test")
    model = network(customers.features.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    loss_of = nn.BCEWithLogitsLoss()
    for _ in range(count):
        model.train()
        began = time.process_time()
        for features, target in DataLoader(customers, batch_size=BATCH_SIZE, shuffle=True):
            optimizer.zero_grad()
            loss = loss_of(model(features).squeeze(1), target)
            loss.backward()
            optimizer.step()
        seconds = time.process_time() - began
        model.eval()
        with torch.no_grad():
            scores = model(torch.from_numpy(test.features)).squeeze(1)
        yield Epoch(len(customers), seconds, scores, torch.from_numpy(test.target))
