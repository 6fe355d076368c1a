"""Derive the network's standardized inputs from the 23 raw columns; saved with the model."""

from typing import Self

import torch
from torch import Tensor, nn

from credit_default.dataset.parts import Part
from credit_default.dataset.schema import BILL, FEATURES, PAID, PAYMENT_STATUS

_POSITION = {name: position for position, name in enumerate(FEATURES)}
_STATUSES = (-2, -1, 0, 1, 2, 3)  # -2 unused, -1 paid in full, 0 revolving, n = months late
_LATE_CAP_MONTHS = 4.0  # longer delays are too rare to distinguish
_OUTLIER_DEVIATIONS = 6.0
WIDTH = 87  # number of derived features
_PIECE_ROWS = 1 << 16  # derived at once; the intermediate results are several times as large


def derive(raw: Tensor) -> Tensor:
    """Return the features of customers; each row depends on its own columns only.

    Amounts are on a logarithmic scale and relative to the credit limit. Payment status is both
    categories and months late. The six months also contribute their maximum, mean and trend.

    Args:
        raw: [rows, 23], the columns of FEATURES.

    Returns:
        [rows, 87], not standardized.
    """
    limit = raw[:, _POSITION["LIMIT_BAL"], None].clamp_min(1)
    status, bill, paid = (_columns(raw, names) for names in (PAYMENT_STATUS, BILL, PAID))
    late = status.clamp(0, _LATE_CAP_MONTHS)
    usage = (bill / limit).clamp(-0.5, 2)
    repaid = (paid[:, :5] / bill[:, 1:].clamp_min(1)).clamp(0, 2)  # of the month before's bill
    total_paid = paid.sum(1, keepdim=True)
    total_bill = bill.clamp_min(0).sum(1, keepdim=True).clamp_min(1000)
    known = status.clamp(_STATUSES[0], _STATUSES[-1])
    return torch.cat(
        [
            limit.log(),
            _columns(raw, ["AGE"]),
            _one_hot(raw, "SEX", (1,)),
            _one_hot(raw, "EDUCATION", (1, 2, 3)),
            _one_hot(raw, "MARRIAGE", (1, 2)),
            *((known == value).float() for value in _STATUSES),
            late,
            torch.asinh(bill / 1000),
            usage,
            torch.asinh(paid / 1000),
            repaid,
            (paid / limit).clamp(0, 1).sqrt(),
            late.amax(1, keepdim=True),
            late.mean(1, keepdim=True),
            (late >= 2).float().sum(1, keepdim=True),
            usage.mean(1, keepdim=True),
            usage.amax(1, keepdim=True),
            usage[:, :3].mean(1, keepdim=True) - usage[:, 3:].mean(1, keepdim=True),
            torch.asinh(total_paid / 1000),
            (total_paid / total_bill).clamp(0, 3),
        ],
        dim=1,
    )


class Features(nn.Module):
    """The output of `derive`, standardized by the training part's mean and deviation."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(WIDTH))
        self.register_buffer("deviation", torch.ones(WIDTH))

    def fit(self, part: Part) -> Self:
        """Compute mean and deviation of a part, one shard at a time."""
        total, squares = torch.zeros(2, WIDTH, dtype=torch.float64)
        for piece in (each for rows in part for each in torch.split(rows.raw, _PIECE_ROWS)):
            features = derive(piece).double()
            total += features.sum(0)
            squares += features.square().sum(0)
        mean = total / part.rows
        variance = (squares / part.rows - mean.square()).clamp_min(0)
        self.mean.copy_(mean)
        # Dividing a constant column by its deviation, which is near zero, would amplify noise.
        self.deviation.copy_(torch.where(variance > 1e-8, variance.sqrt(), 1.0))
        return self

    def forward(self, raw: Tensor) -> Tensor:
        """Return standardized features [rows, 87] of raw columns [rows, 23]."""
        if len(raw) <= _PIECE_ROWS:
            return self._standardized(raw)
        whole = raw.new_empty(len(raw), WIDTH)
        for piece, into in zip(
            torch.split(raw, _PIECE_ROWS), torch.split(whole, _PIECE_ROWS), strict=True
        ):
            into.copy_(self._standardized(piece))
        return whole

    def _standardized(self, raw: Tensor) -> Tensor:
        standard = (derive(raw) - self.mean) / self.deviation
        return standard.clamp(-_OUTLIER_DEVIATIONS, _OUTLIER_DEVIATIONS)


def _columns(raw: Tensor, names: tuple[str, ...] | list[str]) -> Tensor:
    return raw[:, [_POSITION[name] for name in names]]


def _one_hot(raw: Tensor, name: str, values: tuple[int, ...]) -> Tensor:
    """Return one column per value; a row with any other value is all zeros."""
    return torch.cat([(_columns(raw, [name]) == value).float() for value in values], dim=1)
