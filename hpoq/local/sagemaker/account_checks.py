"""What SageMaker checks in the account when it creates a job: the job's role and its inputs."""

from __future__ import annotations

from typing import Any

from hpo_dispatcher.tuning_job.api.s3_uri import bucket_and_key
from hpoq.local.sagemaker.errors import cannot_assume, no_objects, not_allowed_to_list
from hpoq.local.sagemaker.ports import Access, Ports

Record = dict[str, Any]
# Answers of S3, from its list of error codes.
ACCESS_DENIED = "Access Denied"
NO_SUCH_BUCKET = "The specified bucket does not exist"


class AccountChecks:
    """The checks of a new job's role and inputs.

    Args:
        ports: the AWS services around the endpoint.
        region: of the account.
    """

    def __init__(self, ports: Ports, region: str) -> None:
        self._roles = ports.roles
        self._objects = ports.objects
        self._region = region

    def check(self, definition: Record) -> None:
        """Check a training job, or a definition of a tuning job.

        Raises:
            ApiError: if SageMaker cannot assume the role, or the role cannot list an input's
                bucket, or there are no objects under an input's prefix.
        """
        role = definition["RoleArn"]
        if not self._roles.is_assumable(role):
            raise cannot_assume(role)
        for channel in definition.get("InputDataConfig", ()):
            source = channel["DataSource"].get("S3DataSource")
            if source:
                self._check_input(role, source["S3Uri"])

    def _check_input(self, role: str, uri: str) -> None:
        bucket, prefix = bucket_and_key(uri)
        match self._roles.list_access(role, bucket, prefix):
            case Access.NOT_ALLOWED:
                raise not_allowed_to_list(role, bucket)
            case Access.DENIED:
                raise no_objects(uri, bucket, self._region, role, ACCESS_DENIED)
            case Access.ALLOWED:
                pass
        try:
            found = next(iter(self._objects.objects(bucket, prefix)), None)
        except PermissionError:
            raise no_objects(uri, bucket, self._region, role, ACCESS_DENIED) from None
        except FileNotFoundError:
            raise no_objects(uri, bucket, self._region, role, NO_SUCH_BUCKET) from None
        if found is None:
            raise no_objects(uri, bucket, self._region, role)
