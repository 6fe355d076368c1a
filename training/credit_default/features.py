"""Turn the raw 23 columns into what the network sees; standardised, and saved with the model."""

from typing import Self

import torch
from torch import Tensor, nn

from credit_default.data import Part
from credit_default.schema import BILL, FEATURES, PAID, PAYMENT_STATUS

_AT = {name: position for position, name in enumerate(FEATURES)}
_STATUSES = (-2, -1, 0, 1, 2, 3)  # -2 unused, -1 paid in full, 0 revolving, n = months late
_LATE_CAP = 4.0  # months; later than this is too rare to tell apart
_OUTLIER = 6.0  # standard deviations
WIDTH = 87  # features derived


def derive(raw: Tensor) -> Tensor:
    """Features of customers, each row by itself.

    Money is seen on a logarithmic scale and relative to the credit limit, payment status as
    categories and as months late, and the six months as their worst, mean and trend.

    Args:
        raw: [rows, 23], the columns of FEATURES.

    Returns:
        [rows, 87], not yet standardised.
    """
    limit = raw[:, _AT["LIMIT_BAL"], None].clamp_min(1)
    status, bill, paid = (_columns(raw, names) for names in (PAYMENT_STATUS, BILL, PAID))
    late = status.clamp(0, _LATE_CAP)
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
    """`derive`, standardised by the training part's mean and deviation."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(WIDTH))
        self.register_buffer("deviation", torch.ones(WIDTH))

    def fit(self, part: Part) -> Self:
        """Take mean and deviation from a part, one shard at a time."""
        total, squares = torch.zeros(2, WIDTH, dtype=torch.float64)
        for rows in part:
            features = derive(rows.raw).double()
            total += features.sum(0)
            squares += features.square().sum(0)
        mean = total / part.rows
        variance = (squares / part.rows - mean.square()).clamp_min(0)
        self.mean.copy_(mean)
        # A column that never varies says nothing; dividing by its deviation would blow it up.
        self.deviation.copy_(torch.where(variance > 1e-8, variance.sqrt(), 1.0))
        return self

    def forward(self, raw: Tensor) -> Tensor:
        """[rows, 23] raw to [rows, 87] standardised."""
        standard = (derive(raw) - self.mean) / self.deviation
        return standard.clamp(-_OUTLIER, _OUTLIER)


def _columns(raw: Tensor, names: tuple[str, ...] | list[str]) -> Tensor:
    return raw[:, [_AT[name] for name in names]]


def _one_hot(raw: Tensor, name: str, values: tuple[int, ...]) -> Tensor:
    """One column per value; any other value has none set."""
    return torch.cat([(_columns(raw, [name]) == value).float() for value in values], dim=1)
