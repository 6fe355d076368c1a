"""The data that the runs train on."""

from __future__ import annotations

from tests.support.training_data import data, small

__all__ = ["data", "small"]
