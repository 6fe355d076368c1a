"""The import of the packages that draw figures, by one thread and at once.

The first figure imports some 1,500 modules, many of them in circles (pandas, scikit-learn, plotly).
Two threads that import such modules at the same time can see half of one: Python then breaks its
import locks' deadlock, and an ``AttributeError`` or ``ImportError`` follows
(https://docs.python.org/3/library/importlib.html, ``_ModuleLock``). So one figure of each kind is
drawn under a lock before any other.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

_LOCK = threading.Lock()
_EXAMPLES = 5


def drawing() -> ModuleType:
    """Return :mod:`hpoq.ui.figures.drawing` after everything that it imports, later imports too."""
    with _LOCK:
        return _loaded()


def begin() -> None:
    """Start the import in a thread, so that the first figure does not wait for all of it."""
    threading.Thread(target=drawing, daemon=True).start()


@functools.cache
def _loaded() -> ModuleType:
    from hpoq.ui.figures import drawing as module

    module.of_tuning_job(_JOB, [_trial(number) for number in range(_EXAMPLES)])
    module.of_log(({"Name": "loss", "Regex": "loss=(.*)"},), ["loss=2", "loss=1"])
    return module


_JOB: Mapping[str, Any] = {
    "HyperParameterTuningJobConfig": {
        "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
        "ParameterRanges": {
            "ContinuousParameterRanges": [{"Name": "lr", "MinValue": "0.1", "MaxValue": "9"}],
            "CategoricalParameterRanges": [{"Name": "optimizer", "Values": ["adam", "sgd"]}],
        },
    },
    "TrainingJobDefinition": {},
}


def _trial(number: int) -> Mapping[str, Any]:
    began = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
    return {
        "TrainingJobName": f"example-{number}",
        "TrainingJobStatus": "Completed",
        "CreationTime": began,
        "TrainingEndTime": began,
        "TunedHyperParameters": {"lr": str(1 + number), "optimizer": "adam"},
        "FinalHyperParameterTuningJobObjectiveMetric": {"Value": float(number)},
    }
