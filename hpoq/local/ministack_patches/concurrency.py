"""The account's limit of concurrent executions of functions.

Without this patch, the limit depends on the machine's memory, and any concurrency can be reserved.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
"""

from __future__ import annotations

from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

Record = dict[str, Any]
FUNCTION = "AWS::Lambda::Function"
RESERVED = "ReservedConcurrentExecutions"
UNRESERVED_MINIMUM = 100  # executions that AWS keeps unreserved; the limit itself if it is smaller


def limit_concurrency(limit: int | None) -> None:
    """Run at most this many functions at once, and refuse to reserve what must stay unreserved.

    Args:
        limit: executions; None keeps the limit of ministack and allows any reservation.
    """
    if limit is None:
        return
    lambda_svc._ACCOUNT_CONCURRENCY_CAP = limit
    reservations = _ReservedConcurrency(limit)
    _refuse_in_templates(reservations)
    _refuse_in_calls(reservations)


class _ReservedConcurrency:
    """The executions that functions may reserve."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._minimum = min(limit, UNRESERVED_MINIMUM)

    def problem(self, name: str | None, reserved: int) -> str:
        """Return why a function may not reserve this many executions, or an empty string."""
        others = sum(
            int(record.get("concurrency") or 0)
            for other, record in lambda_svc._functions.items()
            if other != name
        )
        if self._limit - others - reserved >= self._minimum:
            return ""
        return (
            f"Specified {RESERVED} for function decreases account's "
            f"UnreservedConcurrentExecution below its minimum value of [{self._minimum}]."
        )


def _refuse_in_templates(reservations: _ReservedConcurrency) -> None:
    handlers = provisioners._RESOURCE_HANDLERS[FUNCTION]
    create, update = handlers["create"], handlers["update"]

    def check(name: str | None, properties: Record) -> None:
        reserved = properties.get(RESERVED)
        problem = reservations.problem(name, int(reserved)) if reserved is not None else ""
        if problem:
            raise ValueError(problem)

    def create_checked(logical_id: str, properties: Record, stack: str) -> Any:
        check(properties.get("FunctionName"), properties)
        return create(logical_id, properties, stack)

    def update_checked(
        name: str, old: Record, new: Record, stack: str, logical_id: str = ""
    ) -> Any:
        check(name, new)
        return update(name, old, new, stack, logical_id)

    handlers |= {"create": create_checked, "update": update_checked}


def _refuse_in_calls(reservations: _ReservedConcurrency) -> None:
    original = lambda_svc._put_function_concurrency

    def put(name: str, request: Record) -> Any:
        problem = reservations.problem(name, int(request.get(RESERVED, 0)))
        if problem:
            return error_response_json("InvalidParameterValueException", problem, 400)
        return original(name, request)

    lambda_svc._put_function_concurrency = put
