"""The loss, optimizer, learning rate and precision that the hyperparameters select."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from credit_default.hyperparameters import Hyperparameters

PRECISIONS = {"bfloat16": torch.bfloat16, "float32": torch.float32}
_WARM_UP = 0.2  # share of all steps
_STEPS_DOWN = (0.5, 0.75)  # shares of all steps where "step" divides the rate by ten
# Multiplications and additions per step: forward, and twice as many backward. A step in bfloat16
# takes as long as one in float32 at 0.6e8, 0.9 times as long at 1.5e8, 0.7 times at 6e8.
_MIN_OPERATIONS = 1e8


def training_loss(logit: Tensor, target: Tensor, positive_weight: float, gamma: float) -> Tensor:
    """Return the mean weighted cross entropy, or the focal loss (Lin et al. 2017) if gamma > 0."""
    weights = 1 + (positive_weight - 1) * target if positive_weight != 1 else None
    if gamma == 0:
        return functional.binary_cross_entropy_with_logits(logit, target, weights)
    entropy = functional.binary_cross_entropy_with_logits(logit, target, reduction="none")
    missed = -torch.expm1(-entropy)  # 1 - p of the true class
    focal = missed.clamp_min(1e-12) ** gamma * entropy
    return (focal if weights is None else weights * focal).mean()


def learning_rate(chosen: Hyperparameters, step: int, steps: int) -> float:
    """Return the learning rate at a step; it depends on nothing else, so runs resume exactly."""
    share = step / steps
    if chosen.lr_schedule == "constant":
        return chosen.lr
    if chosen.lr_schedule == "step":
        return chosen.lr * 0.1 ** sum(share >= down for down in _STEPS_DOWN)
    if chosen.lr_schedule == "onecycle":
        if share < _WARM_UP:
            return chosen.lr * (0.04 + 0.96 * share / _WARM_UP)
        share = (share - _WARM_UP) / (1 - _WARM_UP)
    return chosen.lr * 0.5 * (1 + math.cos(math.pi * share))


def optimizer(chosen: Hyperparameters, network: nn.Module) -> torch.optim.Optimizer:
    """Return a fused optimizer of all parameters; for small networks, fusing halves step time."""
    parameters = list(network.parameters())
    if chosen.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=chosen.lr,
            momentum=chosen.momentum,
            nesterov=chosen.momentum > 0,
            weight_decay=chosen.weight_decay,
            fused=True,
        )
    kind = torch.optim.AdamW if chosen.optimizer == "adamw" else torch.optim.Adam
    return kind(
        parameters,
        lr=chosen.lr,
        betas=(chosen.momentum, 0.999),
        weight_decay=chosen.weight_decay,
        fused=True,
    )


def use_bfloat16(precision: torch.dtype, device: torch.device, weights: int, rows: int) -> bool:
    """Return whether to multiply the matrices of a step in bfloat16.

    On a CPU, only if it has bfloat16 instructions and the network is large enough to gain from it.

    Args:
        precision: the lowest precision allowed.
        device: the device that trains.
        weights: number of weights in the network.
        rows: rows in the step.
    """
    if precision == torch.float32 or device.type != "cpu":
        return precision != torch.float32
    return cpu_has_bfloat16() and 6 * weights * rows >= _MIN_OPERATIONS


def cpu_has_bfloat16(cpu: object = torch.cpu) -> bool:
    """Return whether the CPU multiplies in bfloat16; False if this PyTorch cannot tell."""
    # PyTorch's public get_capabilities is newer than the PyTorch in SageMaker's containers.
    supported: bool = getattr(cpu, "_is_avx512_bf16_supported", bool)()
    return supported
