"""Tests of the training loop: each hyperparameter's effect, and resuming at any step."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from credit_default.checkpoint import Checkpoint
from credit_default.dataset.parts import Part, Rows, load
from credit_default.fit import Fit, Interrupted
from credit_default.hyperparameters import ACTIVATIONS, Hyperparameters
from credit_default.metrics import auc, best_threshold, f1
from credit_default.model import Classifier
from credit_default.optimization import (
    PRECISIONS,
    cpu_has_bfloat16,
    learning_rate,
    training_loss,
    use_bfloat16,
)

# Written by the version whose modules were not in packages.
SAVED = Path(__file__).parents[3] / "fixtures" / "training_saved_before_packages"
LOGIT = torch.tensor([-2.0, 0.0, 1.0, 3.0])
TARGET = torch.tensor([0.0, 1.0, 0.0, 1.0])


def fit(small: Path, **chosen: object) -> Fit:
    values = Hyperparameters.parse({"hidden": "16", "batch-size": 128, "epochs": 3, **chosen})
    return Fit(values, load(small / "train"), load(small / "validation"))


@pytest.mark.parametrize("step", [1, 9, 10, 11, 25, 29])
def test_a_run_resumed_at_any_step_ends_as_an_uninterrupted_run(small: Path, step: int) -> None:
    whole = list(fit(small).epochs())
    first = fit(small)
    first.interrupted = lambda: first.step == step
    before = []
    with pytest.raises(Interrupted):
        before += list(first.epochs())
    second = fit(small)
    second.load_state_dict(first.state_dict())
    assert second.step == step
    assert second.steps_per_epoch == 10
    done = step // 10
    assert list(second.epochs()) == whole[done:]


def test_a_checkpoint_of_another_run_is_rejected(small: Path) -> None:
    with pytest.raises(ValueError, match="other hyperparameters"):
        fit(small).load_state_dict(fit(small, lr=0.1).state_dict())


def test_a_checkpoint_of_other_rows_is_rejected_though_their_number_is_the_same(
    small: Path,
) -> None:
    run = fit(small)
    (rows,) = load(small / "train")
    for other in (Rows(rows.raw.flip(0), rows.target.flip(0)), Rows(rows.raw, 1 - rows.target)):
        resumed = Fit(run.chosen, Part.of(other), load(small / "validation"))
        with pytest.raises(ValueError, match="other data"):
            resumed.load_state_dict(run.state_dict())
    resumed = Fit(run.chosen, load(small / "train"), load(small / "test"))
    with pytest.raises(ValueError, match="other data"):
        resumed.load_state_dict(run.state_dict())


def test_a_checkpoint_with_another_precision_is_rejected(small: Path) -> None:
    run = fit(small)
    parts = (load(small / "train"), load(small / "validation"))
    with pytest.raises(ValueError, match="another precision"):
        Fit(run.chosen, *parts, precision=torch.bfloat16).load_state_dict(run.state_dict())


def test_a_checkpoint_of_the_version_before_is_rejected_and_its_model_can_be_read(
    small: Path,
) -> None:
    state = Checkpoint(SAVED).load()
    assert state is not None
    with pytest.raises(ValueError, match="other code"):
        fit(small, hidden="0", epochs=2).load_state_dict(state)
    (rows,) = load(small / "validation")
    model = Classifier.load(SAVED)
    assert auc(model.logits(rows.raw), rows.target) == pytest.approx(0.63771645)


def test_patience_ends_a_run_that_stops_improving(small: Path) -> None:
    run = fit(small, epochs=50, patience=2, lr=0.1, **{"weight-decay": 0})
    lines = list(run.epochs())
    assert len(lines) == run.best_epoch + 2
    assert len(lines) < 50


def test_the_model_is_that_of_the_best_epoch(small: Path) -> None:
    run = fit(small, epochs=20, lr=0.1)
    lines = list(run.epochs())
    aucs = [line["validation"]["auc"] for line in lines]  # type: ignore[index]
    assert run.best_epoch == aucs.index(max(aucs)) + 1
    (rows,) = load(small / "validation")
    assert auc(run.classifier().logits(rows.raw), rows.target) == pytest.approx(max(aucs))


def test_gradient_accumulation_does_not_change_the_loss(small: Path) -> None:
    whole, parts = (list(fit(small, dropout=0, accumulate=n).epochs()) for n in (1, 4))
    for one, four in zip(whole, parts, strict=True):
        assert one["train"]["loss"] == pytest.approx(four["train"]["loss"], abs=1e-5)  # type: ignore[index]


def test_balanced_weights_give_both_classes_the_same_total_weight(small: Path) -> None:
    (rows,) = load(small / "train")
    positives = float(rows.target.sum())
    weight = fit(small, **{"positive-weight": "balanced"}).weight
    assert weight * positives == pytest.approx(len(rows.target) - positives)
    assert fit(small, **{"positive-weight": 3}).weight == 3


def test_the_positive_weight_multiplies_the_loss_of_positives() -> None:
    each = torch.nn.functional.binary_cross_entropy_with_logits(LOGIT, TARGET, reduction="none")
    expected = (each[0] + 5 * each[1] + each[2] + 5 * each[3]) / 4
    torch.testing.assert_close(training_loss(LOGIT, TARGET, 5.0, 0.0), expected)


def test_the_focal_loss_matches_its_definition_and_is_cross_entropy_without_gamma() -> None:
    likely = torch.where(TARGET == 1, LOGIT.sigmoid(), 1 - LOGIT.sigmoid())
    expected = (-((1 - likely) ** 2) * likely.log()).mean()
    torch.testing.assert_close(training_loss(LOGIT, TARGET, 1.0, 2.0), expected)
    plain = training_loss(LOGIT, TARGET, 1.0, 0.0)
    torch.testing.assert_close(plain, -likely.log().mean())
    assert training_loss(LOGIT, TARGET, 1.0, 2.0) < plain


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", {0: 1, 50: 1, 99: 1}),
        ("step", {0: 1, 49: 1, 50: 0.1, 74: 0.1, 75: 0.01}),
        ("cosine", {0: 1, 50: 0.5, 100: 0}),
        ("onecycle", {0: 0.04, 10: 0.52, 20: 1, 60: 0.5, 100: 0}),
    ],
)
def test_the_learning_rate_is_a_function_of_the_step(
    schedule: str, rates: dict[int, float]
) -> None:
    chosen = Hyperparameters.parse({"lr": 1, "lr-schedule": schedule})
    for step, rate in rates.items():
        assert learning_rate(chosen, step, 100) == pytest.approx(rate, abs=1e-9), step


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_each_optimizer_follows_the_schedule(small: Path, optimizer: str) -> None:
    run = fit(small, optimizer=optimizer, epochs=1, **{"lr-schedule": "cosine"})
    list(run.epochs())
    expected = learning_rate(run.chosen, run.step - 1, run.step)
    assert [group["lr"] for group in run.optimizer.param_groups] == [expected]


def test_auc_counts_ties_as_one_half_and_is_nan_if_a_score_is_nan() -> None:
    assert auc(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1])) == 0.75
    assert auc(torch.zeros(4), TARGET) == 0.5
    assert math.isnan(auc(torch.tensor([0.1, math.nan]), torch.tensor([0.0, 1.0])))


def test_the_best_threshold_gives_the_highest_f1() -> None:
    generator = torch.Generator().manual_seed(0)
    score = torch.randn(50, generator=generator)
    target = (score + torch.randn(50, generator=generator) > 0).float()
    best = f1(score, target, best_threshold(score, target))
    assert best == pytest.approx(max(f1(score, target, float(cut)) for cut in score))


@pytest.mark.parametrize(
    ("precision", "device", "has_bfloat16", "weights", "rows", "expected"),
    [
        ("bfloat16", "cpu", True, 200_000, 128, True),
        ("bfloat16", "cpu", True, 10_000, 512, False),  # casting would take longer than it saves
        ("bfloat16", "cpu", False, 200_000, 128, False),  # the CPU would emulate it
        ("float32", "cpu", True, 200_000, 128, False),
        ("bfloat16", "cuda", False, 10, 1, True),
        ("float32", "cuda", True, 200_000, 128, False),
    ],
)
def test_a_step_uses_bfloat16_where_it_is_allowed_and_faster(
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
    device: str,
    has_bfloat16: bool,
    weights: int,
    rows: int,
    expected: bool,
) -> None:
    monkeypatch.setattr("credit_default.optimization.cpu_has_bfloat16", lambda: has_bfloat16)
    assert use_bfloat16(PRECISIONS[precision], torch.device(device), weights, rows) is expected


@pytest.mark.parametrize(("supported", "expected"), [(lambda: True, True), (lambda: False, False)])
def test_a_cpu_has_bfloat16_if_pytorch_says_so(
    supported: Callable[[], bool], expected: bool
) -> None:
    cpu = SimpleNamespace(_is_avx512_bf16_supported=supported)
    assert cpu_has_bfloat16(cpu) is expected


def test_a_cpu_has_no_bfloat16_if_an_older_pytorch_cannot_tell() -> None:
    assert not cpu_has_bfloat16(SimpleNamespace())


def test_bfloat16_steps_give_nearly_the_same_loss_and_validation_stays_in_float32(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[tuple[torch.device, int, int]] = set()

    def whenever_allowed(precision: torch.dtype, *about: Any) -> bool:
        asked.add(about)
        return precision == torch.bfloat16

    monkeypatch.setattr("credit_default.fit.use_bfloat16", whenever_allowed)
    parts = load(small / "train"), load(small / "validation")
    values = Hyperparameters(hidden=(64, 32), epochs=2, batch_size=128, accumulate=2)
    exact, lower = (
        Fit(values, *parts, precision=PRECISIONS[name]) for name in ("float32", "bfloat16")
    )
    in_use: dict[str, set[torch.dtype]] = {"exact": set(), "lower": set(), "validation": set()}
    for name, network in (
        ("exact", exact.network), ("lower", lower.network), ("validation", lower.averaged)
    ):  # fmt: skip
        seen = in_use[name]
        network.register_forward_hook(lambda *given, seen=seen: seen.add(given[2].dtype))
    for one, other in zip(exact.epochs(), lower.epochs(), strict=True):
        assert one["train"] == pytest.approx(other["train"], abs=2e-3)
    assert in_use == {
        "exact": {torch.float32},
        "lower": {torch.bfloat16},
        "validation": {torch.float32},
    }
    weights = (87 + 1) * 64 + (64 + 1) * 32 + (32 + 1)
    assert asked == {(torch.device("cpu"), weights, 64)}, "of one piece of a step"


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_model_is_saved_with_its_activation(small: Path, tmp_path: Path, activation: str) -> None:
    run = fit(small, activation=activation)
    best = max(line["validation"]["auc"] for line in run.epochs())  # type: ignore[index]
    run.classifier().save(tmp_path, {})
    (rows,) = load(small / "validation")
    read = Classifier.load(tmp_path)
    assert type(read.network[1]).__name__.lower() == activation
    assert auc(read.logits(rows.raw), rows.target) == pytest.approx(best)
