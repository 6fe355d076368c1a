"""What all models of settings share."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.validation.problems import nearest, wrong


class SettingsModel(BaseModel):
    """A model that rejects unknown settings, because a typo must not silently lift a limit."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )


def check_instance_types(names: Iterable[str], known: Iterable[str] = ()) -> None:
    """Reject types of EC2 instances: SageMaker's have a prefix."""
    prefix = aws_limits.INSTANCE_TYPE_PREFIX
    for name in sorted(names):
        if not name.startswith(prefix):
            fix = nearest(name, known) or f"Did you mean {prefix}{name}?"
            wrong(f"{name} is not an instance type of SageMaker", fix)


def check_instances(instances: Iterable[str]) -> None:
    """Reject names that are neither instance types nor totals over all of them."""
    totals = set(aws_limits.TOTALS.values())
    check_instance_types(set(instances) - totals, known=totals)
