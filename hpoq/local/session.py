"""boto3 sessions for an embedded cloud, which do not change this process's environment."""

from __future__ import annotations

from typing import Any

import boto3

from hpoq.local.lifecycle.home import RunningCloud


class CloudSession(boto3.Session):
    """A session whose clients and resources use one embedded cloud."""

    def __init__(
        self,
        running: RunningCloud,
        *,
        access_key_id: str = "",
        secret_access_key: str = "",
        region: str = "",
    ) -> None:
        super().__init__(
            aws_access_key_id=access_key_id or running.access_key_id,
            aws_secret_access_key=secret_access_key or running.secret_access_key,
            region_name=region or running.region,
        )
        self._defaults = {"endpoint_url": running.endpoint, "verify": running.ca}

    def client(self, *args: Any, **kwargs: Any) -> Any:
        """Return a client, with the cloud's endpoint and certificate authority."""
        return super().client(*args, **{**self._defaults, **kwargs})

    def resource(self, *args: Any, **kwargs: Any) -> Any:
        """Return a resource, with the cloud's endpoint and certificate authority."""
        return super().resource(*args, **{**self._defaults, **kwargs})
