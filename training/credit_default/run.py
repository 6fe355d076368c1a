"""One training run from its folders to its saved model, whatever the device."""

import sys
from pathlib import Path
from typing import Any

import torch

from credit_default.checkpoint import Checkpoint, Interruption
from credit_default.container import Folders
from credit_default.data import Part, load
from credit_default.distributed import World
from credit_default.fit import Fit, Interrupted
from credit_default.hyperparameters import Hyperparameters
from credit_default.metrics import evaluate, report

INTERRUPTED = 143  # the exit status of a process that SIGTERM ended


def run(
    chosen: Hyperparameters,
    folders: Folders,
    *,
    device: torch.device,
    world: World,
    precision: torch.dtype = torch.float32,
) -> None:
    """Resume or start, train, report each epoch, and save the best epoch's model.

    Raises:
        DataError: the data cannot be used.
        MetricNotFinite: training has diverged.
        SystemExit: SIGTERM came; a checkpoint and the best model so far are saved.
    """
    interruption = Interruption()
    # The test part, too: that it is missing had better not come out after hours of training.
    train, validation, test = (load(each) for each in folders.parts)
    fit = Fit(
        chosen,
        train,
        validation,
        device=device,
        world=world,
        precision=precision,
        interrupted=interruption,
    )
    checkpoint = Checkpoint(folders.checkpoints)
    _resume(fit, checkpoint.load())
    try:
        for line in fit.epochs():
            if world.leads:
                report(**line)
                checkpoint.save(fit.state_dict())
    except Interrupted:
        if world.leads:
            checkpoint.save(fit.state_dict())
            if fit.best_epoch:
                fit.classifier().save(folders.model, _about(fit))
        world.leave(INTERRUPTED)
        raise SystemExit(INTERRUPTED) from None
    if world.leads:
        finish(fit, test, folders.model)
    world.leave()


def _resume(fit: Fit, state: dict[str, Any] | None) -> None:
    if state is None:
        return
    try:
        fit.load_state_dict(state)
    except ValueError as error:
        print(f"starting afresh: {error}", file=sys.stderr)
    else:
        print(f"resuming after {fit.epoch} epochs and {fit.step} steps", file=sys.stderr)


def finish(fit: Fit, test: Part, folder: Path) -> None:
    """Score the test part, for the first and only time, and save the model."""
    model = fit.classifier()
    logits, targets = zip(*((model.logits(rows.raw), rows.target) for rows in test), strict=True)
    metrics = evaluate(torch.cat(logits), torch.cat(targets), model.threshold)
    report(best_epoch=fit.best_epoch, validation=fit.best, test=metrics)
    model.save(folder, _about(fit) | {"test": metrics})


def _about(fit: Fit) -> dict[str, Any]:
    return {
        "hyperparameters": fit.chosen.on_the_wire(),
        "epoch": fit.best_epoch,
        "validation": fit.best,
    }
