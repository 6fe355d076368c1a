"""A serverless queue for Amazon SageMaker hyperparameter tuning jobs."""

from __future__ import annotations

import importlib
from typing import Any

_IN_PYTHON = ("TuningQueue", "TuningQueuedJob")  # their types: __init__.pyi


def __getattr__(name: str) -> Any:
    """Import the Python interface when it is first used, so that commands start quickly."""
    if name not in _IN_PYTHON:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("hpoq.tuning_queue"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_IN_PYTHON])
