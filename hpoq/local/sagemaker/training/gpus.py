"""GPUs of this machine, for training jobs whose instance type has some."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "SM_NUM_GPUS"
DEVICES = Path("/dev")
# ml.p3, ml.g4dn and their successors; ml.trn and ml.inf have chips of another kind.
ACCELERATED = re.compile(r"ml\.[pg]\d")


def of(instance_type: str) -> int:
    """How many a training job on this instance type finds here: all there are, or none.

    Args:
        instance_type: such as ``ml.g5.xlarge``; its number of GPUs is AWS's, not this machine's.
    """
    if not ACCELERATED.match(instance_type):
        return 0
    return sum(1 for _ in DEVICES.glob("nvidia[0-9]*"))


def named_in(environment: Mapping[str, str]) -> int:
    """How many a training process was promised."""
    return int(environment.get(VARIABLE) or 0)
