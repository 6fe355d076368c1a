"""Loss, optimizer and learning rate, as the hyperparameters choose them."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from credit_default.hyperparameters import Hyperparameters

PRECISIONS = {"bfloat16": torch.bfloat16, "float32": torch.float32}
_WARM_UP = 0.2  # of all steps
_STEPS_DOWN = (0.5, 0.75)  # where "step" divides the rate by ten
# Multiplications and additions of a step: forward, and twice as many backward. With 0.6e8 a step
# in bfloat16 took as long as one in float32, with 1.5e8 nine tenths, with 6e8 seven tenths.
_WORTH_CASTING = 1e8


def training_loss(logit: Tensor, target: Tensor, positive_weight: float, gamma: float) -> Tensor:
    """Weighted cross entropy, or focal loss (Lin et al. 2017) for `gamma` above 0; the mean."""
    weights = 1 + (positive_weight - 1) * target if positive_weight != 1 else None
    if gamma == 0:
        return functional.binary_cross_entropy_with_logits(logit, target, weights)
    entropy = functional.binary_cross_entropy_with_logits(logit, target, reduction="none")
    missed = -torch.expm1(-entropy)  # 1 - p of the true class
    focal = missed.clamp_min(1e-12) ** gamma * entropy
    return (focal if weights is None else weights * focal).mean()


def learning_rate(chosen: Hyperparameters, step: int, steps: int) -> float:
    """At a step of a run: a function of the step alone, so that a resumed run goes on exactly."""
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
    """Over all parameters; fused, which for small networks is half the time of a step."""
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


def lowered(precision: torch.dtype, device: torch.device, weights: int, rows: int) -> bool:
    """Whether a step of so many rows had better multiply its matrices in bfloat16, if it may.

    A CPU has to be made for it, and casting has to take less than the products save.
    """
    if precision == torch.float32 or device.type != "cpu":
        return precision != torch.float32
    # PyTorch's public word for it, get_capabilities, is younger than SageMaker's containers.
    made_for_it = getattr(torch.cpu, "_is_avx512_bf16_supported", bool)()
    return made_for_it and 6 * weights * rows >= _WORTH_CASTING
