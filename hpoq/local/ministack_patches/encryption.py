"""S3's own key: ministack wants one to be named where AWS takes ``aws/s3``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import s3

ENCRYPTION = "x-amz-server-side-encryption"
KEY = f"{ENCRYPTION}-aws-kms-key-id"


def use_the_default_key() -> None:
    """Accept ``aws:kms`` without a key id, as the SageMaker SDK 2 sends it."""
    resolve = s3._resolve_sse_write_headers

    def resolving(headers: Mapping[str, str], *arguments: Any, **options: Any) -> Any:
        if headers.get(ENCRYPTION) == "aws:kms" and not headers.get(KEY):
            default = f"arn:aws:kms:{get_region()}:{get_account_id()}:alias/aws/s3"
            headers = {**headers, KEY: default}
        return resolve(headers, *arguments, **options)

    s3._resolve_sse_write_headers = resolving
