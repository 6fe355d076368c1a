"""The classifier: features and a multi-layer perceptron that map raw rows to logits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from credit_default.checkpoint import Damaged, pack, unpack
from credit_default.dataset.features import WIDTH, Features
from credit_default.files import write_atomically

FILE = "model.pt"
_MEMBERS = {"features", "network", "hidden", "activation", "threshold", "about"}
_ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "relu": nn.ReLU, "gelu": nn.GELU}


def perceptron(hidden: Sequence[int], activation: str, dropout: float = 0.0) -> nn.Sequential:
    """Return a network that maps standardized features [rows, 87] to logits [rows, 1]."""
    layers: list[nn.Module] = []
    width = WIDTH
    for size in hidden:
        layers += [nn.Linear(width, size), _ACTIVATIONS[activation](), nn.Dropout(dropout)]
        width = size
    return nn.Sequential(*layers, nn.Linear(width, 1))


def _content(folder: Path) -> dict[str, Any]:
    content = unpack(folder / FILE)
    if missing := sorted(_MEMBERS - content.keys()):
        raise Damaged(f"{folder / FILE} is not a model: it has no {missing[0]}")
    return content


@dataclass
class Classifier:
    """A trained model, as stored in `model.tar.gz`."""

    features: Features
    network: nn.Sequential
    hidden: Sequence[int]
    activation: str
    threshold: float = 0.0  # logit at or above which a default is predicted

    @torch.inference_mode()
    def logits(self, raw: Tensor) -> Tensor:
        """Return the logits [rows] of raw columns [rows, 23] in the order of FEATURES."""
        self.network.eval()
        logit: Tensor = self.network(self.features(raw))
        return logit.squeeze(1).float()

    def save(self, folder: Path, about: dict[str, Any]) -> None:
        """Write FILE; `about` (plain values only) describes the training run."""
        write_atomically(folder / FILE, self.pack(about))

    def pack(self, about: dict[str, Any]) -> bytes:
        """Return the content of the file that `save` writes."""
        content = {
            "features": self.features.state_dict(),
            "network": self.network.state_dict(),
            "hidden": list(self.hidden),
            "activation": self.activation,
            "threshold": self.threshold,
            "about": about,
        }
        return pack(content)

    @staticmethod
    def about(folder: Path) -> dict[str, Any]:
        """Return the description of the training run whose model `save` wrote.

        Raises:
            Damaged: the file is not a model.
        """
        described: dict[str, Any] = _content(folder)["about"]
        return described

    @classmethod
    def load(cls, folder: Path) -> "Classifier":
        """Return the model that `save` wrote, on the CPU.

        Raises:
            Damaged: the file is not a model.
        """
        content = _content(folder)
        hidden, activation = content["hidden"], content["activation"]
        features, network = Features(), perceptron(hidden, activation)
        features.load_state_dict(content["features"])
        network.load_state_dict(content["network"])
        return cls(features, network, hidden, activation, content["threshold"])
