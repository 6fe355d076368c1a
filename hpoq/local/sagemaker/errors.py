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


def internal(problem: str) -> ApiError:
    """Return the error for a request that this endpoint failed to process."""
    return ApiError("InternalFailure", problem, status=500)


def reason_of(error: BaseException) -> str:
    """Return an exception of the engine as the FailureReason of a job."""
    text = " ".join(str(error).split())[:800]
    return f"InternalServerError: {type(error).__name__}: {text}".rstrip(": ")


def not_found(kind: str, name: str) -> ApiError:
    """Return the error for a job that does not exist."""
    message = f"Amazon SageMaker can't find a {kind} called {name}. Type another name."
    return ApiError("ResourceNotFound", message)


def no_training_job() -> ApiError:
    """Return the error for a training job that does not exist.

    The API reference has ResourceNotFound, but clients of AWS handle these words and this code.
    """
    return invalid("Requested resource not found.")


def cannot_stop(kind: str, status: str) -> ApiError:
    """Return the error for stopping a job that has ended.

    The words for training jobs are those that published clients of AWS match.
    """
    return invalid(f"The request was rejected because the {kind} is in status {status}.")


def in_use(kind: str, name: str) -> ApiError:
    """Return the error for a job name that has been used before, in any case."""
    message = f"A {kind} with the name, {name}, already exists. Choose a different name."
    return ApiError("ResourceInUse", message)


# Both endings have been published: the second one since 2023.
CONTACT_SUPPORT = "Please contact AWS support to request an increase for this limit."
USE_SERVICE_QUOTAS = (
    "Please use AWS Service Quotas to request an increase for this quota. If AWS Service Quotas "
    "is not available, contact AWS support to request an increase for this quota."
)


def over_limit(
    limit: str,
    most: int,
    current: int,
    asked: int = 1,
    *,
    unit: str = "",
    remedy: str = USE_SERVICE_QUOTAS,
) -> ApiError:
    """Return the error for a request that exceeds an account limit."""
    unit = f" {unit}" if unit else ""
    message = (
        f"The account-level service limit '{limit}' is {most}{unit}, with current utilization "
        f"of {current}{unit} and a request delta of {asked}{unit}. {remedy}"
    )
    return ApiError("ResourceLimitExceeded", message)


def cannot_assume(role: str) -> ApiError:
    """Return the error for a role that does not exist or does not trust SageMaker."""
    return invalid(
        f"Could not assume role {role}. Please ensure that the role exists and allows principal "
        "'sagemaker.amazonaws.com' to assume the role."
    )


def no_objects(uri: str, bucket: str, region: str, role: str, answer_of_s3: str = "") -> ApiError:
    """Return the error for an input without objects, or whose bucket S3 did not list."""
    ending = f" Error message from S3: {answer_of_s3}" if answer_of_s3 else ""
    return invalid(
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that '
        f"the bucket exists in the selected region ({region}), that objects exist under that S3 "
        f'prefix, and that the role "{role}" has "s3:ListBucket" permissions on bucket '
        f'"{bucket}".{ending}'
    )


def not_allowed_to_list(role: str, bucket: str) -> ApiError:
    """Return the error for a role without a policy that allows listing an input's bucket."""
    partition, account, name = role.split(":")[1], role.split(":")[4], role.rpartition("/")[2]
    return invalid(
        f"User: arn:{partition}:sts::{account}:assumed-role/{name}/SageMaker is not authorized to "
        f'perform: s3:ListBucket on resource: "arn:{partition}:s3:::{bucket}" because no '
        "identity-based policy allows the s3:ListBucket action"
    )
