"""S3 as the role of a training job may use it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hpoq.local.sagemaker.ports import Access, ObjectStore, Roles, StoredObject


@dataclass(frozen=True, kw_only=True)
class RoleObjects:
    """An ``ObjectStore`` that checks the policies of a role before each access.

    SageMaker copies channels, models and checkpoints with the job's role: "SageMaker AI Roles",
    section "CreateTrainingJob API", in the developer guide.
    """

    store: ObjectStore
    roles: Roles
    role: str  # its ARN

    def objects(self, bucket: str, prefix: str) -> Iterable[StoredObject]:
        """Return every object under ``prefix``; see ``ObjectStore``."""
        if self.roles.list_access(self.role, bucket, prefix) is not Access.ALLOWED:
            raise PermissionError(f"{self.role} is not authorized to perform s3:ListBucket")
        return self.store.objects(bucket, prefix)

    def find(self, bucket: str, key: str) -> StoredObject | None:
        """Return one object that the role may read, without a listing of its own."""
        self.check_read(bucket, key)
        return next((each for each in self.store.objects(bucket, key) if each.key == key), None)

    def read(self, bucket: str, key: str, to: Path) -> None:
        """Write an object's bytes to the file ``to``; see ``ObjectStore``."""
        self.check_read(bucket, key)
        self.store.read(bucket, key, to)

    def write(self, bucket: str, key: str, content: Path) -> None:
        """Store the file ``content`` under ``key``; see ``ObjectStore``."""
        self._check("s3:PutObject", bucket, key)
        self.store.write(bucket, key, content)

    def check_read(self, bucket: str, key: str) -> None:
        """Check that the role may read an object.

        Raises:
            PermissionError: it may not.
        """
        self._check("s3:GetObject", bucket, key)

    def _check(self, action: str, bucket: str, key: str) -> None:
        if self.roles.object_access(self.role, action, bucket, key) is not Access.ALLOWED:
            raise PermissionError(f"{self.role} is not authorized to perform {action}")
