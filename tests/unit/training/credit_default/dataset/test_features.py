"""Features of many rows are derived in pieces, which changes nothing but the memory."""

from __future__ import annotations

import numpy as np
import torch

from credit_default.dataset.features import WIDTH, Features
from credit_default.dataset.parts import MEMORY_ROWS, Part, Rows
from credit_default.dataset.schema import FEATURES, TARGET
from credit_default.dataset.sources import synthesize

ROWS = 70_000  # more than one piece


def rows(count: int) -> Rows:
    made = synthesize(count, np.random.default_rng(3))
    raw = np.stack([made[name] for name in FEATURES], axis=1).astype(np.float32)
    return Rows(torch.from_numpy(raw), torch.from_numpy(made[TARGET].astype(np.float32)))


def test_the_features_of_a_row_do_not_depend_on_the_rows_around_it() -> None:
    found = rows(ROWS)
    features = Features().fit(Part.of(found))
    whole = features(found.raw)
    for start in (0, 65_530, ROWS - 8):
        assert torch.equal(whole[start : start + 8], features(found.raw[start : start + 8]))


def test_mean_and_deviation_are_those_of_all_rows() -> None:
    found = rows(ROWS)
    whole = Features().fit(Part.of(found))
    halves = [Rows(found.raw[:9], found.target[:9]), Rows(found.raw[9:], found.target[9:])]
    assert torch.equal(whole.mean, Features().fit(Part(halves, [9, ROWS - 9])).mean)


def test_a_part_in_memory_has_at_most_400_mb_of_features() -> None:
    assert MEMORY_ROWS * WIDTH * 4 <= 400e6 < (MEMORY_ROWS + 10_000) * WIDTH * 4
