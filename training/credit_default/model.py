"""The classifier: features and a multi-layer perceptron, from raw rows to a logit."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from credit_default.features import WIDTH, Features

FILE = "model.pt"
_ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "relu": nn.ReLU, "gelu": nn.GELU}


def perceptron(hidden: Sequence[int], activation: str, dropout: float = 0.0) -> nn.Sequential:
    """[rows, 87] standardised features to [rows, 1] logits."""
    layers: list[nn.Module] = []
    width = WIDTH
    for size in hidden:
        layers += [nn.Linear(width, size), _ACTIVATIONS[activation](), nn.Dropout(dropout)]
        width = size
    return nn.Sequential(*layers, nn.Linear(width, 1))


@dataclass
class Classifier:
    """A trained model, as `model.tar.gz` holds it."""

    features: Features
    network: nn.Sequential
    hidden: Sequence[int]
    activation: str
    threshold: float = 0.0  # the logit from which on a default is predicted

    @torch.inference_mode()
    def logits(self, raw: Tensor) -> Tensor:
        """[rows, 23] raw columns, in the order of FEATURES, to [rows] logits."""
        self.network.eval()
        logit: Tensor = self.network(self.features(raw))
        return logit.squeeze(1).float()

    def save(self, folder: Path, about: dict[str, Any]) -> None:
        """Write FILE; `about` (plain values only) says how it came to be."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {
            "features": self.features.state_dict(),
            "network": self.network.state_dict(),
            "hidden": list(self.hidden),
            "activation": self.activation,
            "threshold": self.threshold,
            "about": about,
        }
        temporary = folder / f"{FILE}.tmp"
        torch.save(content, temporary)
        temporary.replace(folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> "Classifier":
        """The model that `save` wrote, on the CPU."""
        content = torch.load(folder / FILE, map_location="cpu", weights_only=True)
        hidden, activation = content["hidden"], content["activation"]
        features, network = Features(), perceptron(hidden, activation)
        features.load_state_dict(content["features"])
        network.load_state_dict(content["network"])
        return cls(features, network, hidden, activation, content["threshold"])
