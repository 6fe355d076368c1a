"""Write ``credit_trials.csv``: real trials on the credit-default data, for search_quality.py.

    python -m benchmarks.credit_trials PREPARED_DATA [COUNT]

Each row is one training run of six epochs with random hyperparameters and its validation AUC.
"""

from __future__ import annotations

import csv
import math
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "credit_trials.csv"
EPOCHS = 6
NUMBERS = {  # name -> low, high, logarithmic
    "lr": (1e-4, 0.3, True),
    "weight_decay": (1e-5, 1.0, True),
    "dropout": (0.0, 0.7, False),
    "batch_size": (64, 4096, True),
    "momentum": (0.5, 0.99, False),
}
HIDDEN = ("16", "32", "64-32", "128-64", "256-128")
OPTIMIZERS = ("adamw", "adam", "sgd")


def drawn(generator: random.Random) -> dict[str, Any]:
    """Return random hyperparameters from the whole space."""
    values: dict[str, Any] = {}
    for name, (low, high, logarithmic) in NUMBERS.items():
        if logarithmic:
            values[name] = math.exp(generator.uniform(math.log(low), math.log(high)))
        else:
            values[name] = generator.uniform(low, high)
    values["batch_size"] = round(values["batch_size"])
    values["hidden"] = generator.choice(HIDDEN)
    values["optimizer"] = generator.choice(OPTIMIZERS)
    return values


def trials(data: Path, count: int) -> Iterator[dict[str, Any]]:
    """Train with random hyperparameters; yield them with the best epoch's validation AUC."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
    import torch

    from credit_default.dataset.parts import load
    from credit_default.fit import Fit
    from credit_default.hyperparameters import Hyperparameters

    torch.set_num_threads(1)
    train, validation = load(data / "train"), load(data / "validation")
    generator = random.Random(20261123)
    for seed in range(count):
        values = drawn(generator)
        layers = tuple(int(size) for size in values["hidden"].split("-"))
        chosen = Hyperparameters(
            **{**values, "hidden": layers}, epochs=EPOCHS, seed=seed, gradient_clip=1.0
        )
        auc = -math.inf
        try:
            for line in Fit(chosen, train, validation).epochs():
                auc = max(auc, dict(line)["validation"]["auc"])  # type: ignore[index]
        except ArithmeticError:
            auc = 0.5  # diverged: no better than chance
        yield {**values, "auc": round(auc, 6)}


def main() -> None:
    """Write credit_trials.csv."""
    data, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 500
    with OUT.open("w", newline="") as file:
        writer: csv.DictWriter[str] | None = None
        for row in trials(data, count):
            if writer is None:
                writer = csv.DictWriter(file, list(row))
                writer.writeheader()
            shown = {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()}
            writer.writerow(shown)
            file.flush()


if __name__ == "__main__":
    main()
