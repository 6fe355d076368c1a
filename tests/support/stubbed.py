"""A boto3 client that gives prepared answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.stub import Stubber


@contextmanager
def stubbed(client: Any, *answers: tuple[str, dict[str, Any]]) -> Iterator[Stubber]:
    """Let a client give these answers, by operation, in this order."""
    with Stubber(client) as stub:
        for operation, answer in answers:
            stub.add_response(operation, answer)
        yield stub
