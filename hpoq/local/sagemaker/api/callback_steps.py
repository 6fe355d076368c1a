"""The API's answers to callback steps of pipelines, of which the emulator runs none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from hpoq.local.sagemaker.errors import ApiError

Record = dict[str, Any]


def _no_such_step(_: Record) -> NoReturn:
    """Raise the error for a token that no step waits for: ResourceNotFound in the API reference."""
    raise ApiError("ResourceNotFound", "Resource being access is not found.")


CALLBACK_STEPS: dict[str, Callable[[Record], Record]] = {
    "SendPipelineExecutionStepSuccess": _no_such_step,
    "SendPipelineExecutionStepFailure": _no_such_step,
}
