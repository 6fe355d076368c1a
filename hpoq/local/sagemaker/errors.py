"""Errors as SageMaker's API spells them."""

from __future__ import annotations


class ApiError(Exception):
    """An error response of the API: code, message and HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def invalid(message: str) -> ApiError:
    """Return the error for a request that breaks a rule of the API."""
    return ApiError("ValidationException", message)


def not_found(kind: str, name: str) -> ApiError:
    """Return the error for a job that does not exist."""
    return ApiError("ResourceNotFound", f"Amazon SageMaker can't find a {kind} with name {name}.")


def in_use(kind: str, name: str) -> ApiError:
    """Return the error for a job name that has been used before, in any case."""
    message = (
        f"{kind} names must be unique within an AWS account and region, and a {kind} already "
        f"exists with the name {name}."
    )
    return ApiError("ResourceInUse", message)


def over_limit(limit: str, most: int, current: int, asked: int = 1, unit: str = "") -> ApiError:
    """Return the error for a request that exceeds an account limit."""
    unit = f" {unit}" if unit else ""
    message = (
        f"The account-level service limit '{limit}' is {most}{unit}, with current utilization "
        f"of {current}{unit} and a request delta of {asked}{unit}. Please use AWS "
        "Service Quotas to request an increase for this quota."
    )
    return ApiError("ResourceLimitExceeded", message)
