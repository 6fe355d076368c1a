"""The loop of all scripts: what each hyperparameter does, and that no cut changes the end."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from credit_default.data import load
from credit_default.fit import Fit, Interrupted
from credit_default.hyperparameters import ACTIVATIONS, Hyperparameters
from credit_default.metrics import auc, best_threshold, f1
from credit_default.model import Classifier
from credit_default.optimisation import PRECISIONS, learning_rate, lowered, training_loss

LOGIT = torch.tensor([-2.0, 0.0, 1.0, 3.0])
TARGET = torch.tensor([0.0, 1.0, 0.0, 1.0])


def fit(small: Path, **chosen: object) -> Fit:
    told = Hyperparameters.of({"hidden": "16", "batch-size": 128, "epochs": 3, **chosen})
    return Fit(told, load(small / "train"), load(small / "validation"))


@pytest.mark.parametrize("cut", [1, 9, 10, 11, 25, 29])
def test_a_run_cut_short_at_any_step_ends_as_an_undisturbed_one(small: Path, cut: int) -> None:
    whole = list(fit(small).epochs())
    first = fit(small)
    first.interrupted = lambda: first.step == cut
    before = []
    with pytest.raises(Interrupted):
        before += list(first.epochs())
    second = fit(small)
    second.load_state_dict(first.state_dict())
    assert second.step == cut
    assert second.steps_per_epoch == 10
    done = cut // 10
    assert list(second.epochs()) == whole[done:]


def test_a_checkpoint_of_another_run_is_refused(small: Path) -> None:
    with pytest.raises(ValueError, match="other hyperparameters"):
        fit(small).load_state_dict(fit(small, lr=0.1).state_dict())


def test_patience_ends_a_run_that_improves_no_more(small: Path) -> None:
    run = fit(small, epochs=50, patience=2, lr=0.1, **{"weight-decay": 0})
    lines = list(run.epochs())
    assert len(lines) == run.best_epoch + 2
    assert len(lines) < 50


def test_the_best_epoch_is_the_one_that_is_kept(small: Path) -> None:
    run = fit(small, epochs=20, lr=0.1)
    lines = list(run.epochs())
    aucs = [line["validation"]["auc"] for line in lines]  # type: ignore[index]
    assert run.best_epoch == aucs.index(max(aucs)) + 1
    (rows,) = load(small / "validation")
    assert auc(run.classifier().logits(rows.raw), rows.target) == pytest.approx(max(aucs))


def test_a_batch_cut_into_parts_teaches_the_same(small: Path) -> None:
    whole, parts = (list(fit(small, dropout=0, accumulate=n).epochs()) for n in (1, 4))
    for one, four in zip(whole, parts, strict=True):
        assert one["train"]["loss"] == pytest.approx(four["train"]["loss"], abs=1e-5)  # type: ignore[index]


def test_balanced_weights_count_each_class_alike(small: Path) -> None:
    (rows,) = load(small / "train")
    positives = float(rows.target.sum())
    weight = fit(small, **{"positive-weight": "balanced"}).weight
    assert weight * positives == pytest.approx(len(rows.target) - positives)
    assert fit(small, **{"positive-weight": 3}).weight == 3


def test_a_positive_counts_for_as_many_negatives_as_its_weight_says() -> None:
    each = torch.nn.functional.binary_cross_entropy_with_logits(LOGIT, TARGET, reduction="none")
    expected = (each[0] + 5 * each[1] + each[2] + 5 * each[3]) / 4
    torch.testing.assert_close(training_loss(LOGIT, TARGET, 5.0, 0.0), expected)


def test_focal_loss_is_that_of_its_definition_and_without_gamma_cross_entropy() -> None:
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
    chosen = Hyperparameters.of({"lr": 1, "lr-schedule": schedule})
    for step, rate in rates.items():
        assert learning_rate(chosen, step, 100) == pytest.approx(rate, abs=1e-9), step


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_each_optimizer_follows_the_schedule(small: Path, optimizer: str) -> None:
    run = fit(small, optimizer=optimizer, epochs=1, **{"lr-schedule": "cosine"})
    list(run.epochs())
    expected = learning_rate(run.chosen, run.step - 1, run.step)
    assert [group["lr"] for group in run.optimizer.param_groups] == [expected]


def test_auc_counts_ties_half_and_knows_what_is_no_number() -> None:
    assert auc(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1])) == 0.75
    assert auc(torch.zeros(4), TARGET) == 0.5
    assert math.isnan(auc(torch.tensor([0.1, math.nan]), torch.tensor([0.0, 1.0])))


def test_the_threshold_is_the_cut_of_the_best_f1() -> None:
    generator = torch.Generator().manual_seed(0)
    score = torch.randn(50, generator=generator)
    target = (score + torch.randn(50, generator=generator) > 0).float()
    best = f1(score, target, best_threshold(score, target))
    assert best == pytest.approx(max(f1(score, target, float(cut)) for cut in score))


@pytest.mark.parametrize(
    ("precision", "device", "made_for_it", "weights", "rows", "expected"),
    [
        ("bfloat16", "cpu", True, 200_000, 128, True),
        ("bfloat16", "cpu", True, 10_000, 512, False),  # casting would take longer than it saves
        ("bfloat16", "cpu", False, 200_000, 128, False),  # a CPU that would have to emulate it
        ("float32", "cpu", True, 200_000, 128, False),
        ("bfloat16", "cuda", False, 10, 1, True),
        ("float32", "cuda", True, 200_000, 128, False),
    ],
)
def test_a_step_is_lowered_where_it_may_and_where_it_pays(
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
    device: str,
    made_for_it: bool,
    weights: int,
    rows: int,
    expected: bool,
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: made_for_it)
    assert lowered(PRECISIONS[precision], torch.device(device), weights, rows) is expected


def test_an_older_pytorch_is_not_asked_for_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert not lowered(torch.bfloat16, torch.device("cpu"), 10**6, 10**6)


def test_lowered_steps_teach_the_same_and_validation_is_exact(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[tuple[torch.device, int, int]] = set()

    def whenever_it_may(precision: torch.dtype, *about: Any) -> bool:
        asked.add(about)
        return precision == torch.bfloat16

    monkeypatch.setattr("credit_default.fit.lowered", whenever_it_may)
    parts = load(small / "train"), load(small / "validation")
    told = Hyperparameters.of({"hidden": "64-32", "epochs": 2, "batch-size": 128, "accumulate": 2})
    exact, lower = (
        Fit(told, *parts, precision=PRECISIONS[name]) for name in ("float32", "bfloat16")
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
def test_a_model_is_kept_with_its_activation(small: Path, tmp_path: Path, activation: str) -> None:
    run = fit(small, activation=activation)
    best = max(line["validation"]["auc"] for line in run.epochs())  # type: ignore[index]
    run.classifier().save(tmp_path, {})
    (rows,) = load(small / "validation")
    read = Classifier.load(tmp_path)
    assert type(read.network[1]).__name__.lower() == activation
    assert auc(read.logits(rows.raw), rows.target) == pytest.approx(best)
