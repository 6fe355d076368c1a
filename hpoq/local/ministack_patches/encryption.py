"""The default key of S3: AWS uses ``aws/s3`` where ministack requires a key id.

Without this patch, uploads of SageMaker SDK 2 fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import s3

from hpoq.local.sagemaker.settings import PARTITION

ENCRYPTION = "x-amz-server-side-encryption"
KEY = f"{ENCRYPTION}-aws-kms-key-id"


def accept_default_kms_key() -> None:
    """Accept ``aws:kms`` without a key id, as SageMaker SDK 2 sends it."""
    original = s3._resolve_sse_write_headers

    def resolve(headers: Mapping[str, str], *arguments: Any, **options: Any) -> Any:
        if headers.get(ENCRYPTION) == "aws:kms" and not headers.get(KEY):
            default = f"arn:{PARTITION}:kms:{get_region()}:{get_account_id()}:alias/aws/s3"
            headers = {**headers, KEY: default}
        return original(headers, *arguments, **options)

    s3._resolve_sse_write_headers = resolve
