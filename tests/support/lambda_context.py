"""The context that Lambda passes to a function."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Context:
    function_name: str = "hpoq-dispatcher"
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:hpoq-dispatcher"
    aws_request_id: str = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return 900_000
