"""The data that the training code's tests use."""

from __future__ import annotations

from tests.support.training_data import data, small

__all__ = ["data", "small"]
