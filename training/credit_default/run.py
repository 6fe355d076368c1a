"""One training run, from its input folders to its saved model, on any device."""

import sys
from pathlib import Path
from typing import Any

import torch

from credit_default.checkpoint import Checkpoint, Interruption
from credit_default.container import Folders
from credit_default.dataset.parts import Part, load
from credit_default.distributed import World
from credit_default.fit import Fit, Interrupted
from credit_default.hyperparameters import Hyperparameters
from credit_default.metrics import evaluate, report

INTERRUPTED = 143  # exit status of a process ended by SIGTERM


def run(
    chosen: Hyperparameters,
    folders: Folders,
    *,
    device: torch.device,
    world: World,
    precision: torch.dtype = torch.float32,
) -> None:
    """Start or resume training; after each epoch, report it and save the run and the best model.

    A process killed at any moment therefore loses the work of at most one epoch.

    Raises:
        DataError: the data is invalid.
        MetricNotFinite: training diverged.
        SystemExit: SIGTERM was received; a checkpoint and the best model so far are saved.
    """
    interruption = Interruption()
    # Load the test part now: a missing one should fail the run before hours of training.
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
    _resume(fit, checkpoint)
    if world.is_leader and fit.best_epoch:
        # After an interruption, SageMaker restores the checkpoint folder but not the model folder.
        _save_best(fit, folders.model)
    try:
        for line in fit.epochs():
            if world.is_leader:
                report(**line)
                # The model comes first: a run resumed from a checkpoint writes its model again.
                if fit.best_epoch == fit.epoch:
                    _save_best(fit, folders.model)
                checkpoint.save(fit.state_dict())
    except Interrupted:
        if world.is_leader:
            checkpoint.save(fit.state_dict())
        world.leave(INTERRUPTED)
        raise SystemExit(INTERRUPTED) from None
    if world.is_leader:
        finish(fit, test, folders.model)
    world.leave()


def _resume(fit: Fit, checkpoint: Checkpoint) -> None:
    try:
        state = checkpoint.load()
        if state is None:
            return
        fit.load_state_dict(state)
    except ValueError as error:
        print(f"starting from scratch: {error}", file=sys.stderr)
    else:
        print(f"resuming after {fit.epoch} epochs and {fit.step} steps", file=sys.stderr)


def finish(fit: Fit, test: Part, folder: Path) -> None:
    """Evaluate the model on the test part, the only use of that part, and save the model."""
    model = fit.classifier()
    logits, targets = zip(*((model.logits(rows.raw), rows.target) for rows in test), strict=True)
    metrics = evaluate(torch.cat(logits), torch.cat(targets), model.threshold)
    report(best_epoch=fit.best_epoch, validation=fit.best, test=metrics)
    model.save(folder, about(fit) | {"test": metrics})


def _save_best(fit: Fit, folder: Path) -> None:
    fit.classifier().save(folder, about(fit))


def about(fit: Fit) -> dict[str, Any]:
    """Return the description of a run that its model file contains."""
    return {
        "hyperparameters": fit.chosen.to_strings(),
        "epoch": fit.best_epoch,
        "validation": fit.best,
    }
