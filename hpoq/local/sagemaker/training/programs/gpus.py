"""The GPUs of this machine, for training jobs whose instance type has GPUs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "SM_NUM_GPUS"
DEVICES = Path("/dev")
# ml.p3, ml.g4dn and their successors. The accelerators of ml.trn and ml.inf are not GPUs.
GPU_INSTANCE = re.compile(r"ml\.[pg]\d")


def count_for(instance_type: str) -> int:
    """Return how many GPUs a training job gets: all GPUs of this machine, or none.

    Args:
        instance_type: such as ``ml.g5.xlarge``. The number of GPUs that AWS gives it is ignored.
    """
    if not GPU_INSTANCE.match(instance_type):
        return 0
    return sum(1 for _ in DEVICES.glob("nvidia[0-9]*"))


def count_in(environment: Mapping[str, str]) -> int:
    """Return how many GPUs the environment of a training process names."""
    return int(environment.get(VARIABLE) or 0)
