"""The AWS clients of one deployment, each created once and only when needed."""

from __future__ import annotations

from typing import Any

import boto3

from hpoq.botocore_config import INTERACTIVE
from hpoq.client.explained import explained
from hpoq.errors import NotReachable


class DeploymentConnection:
    """The session of a user of one deployment.

    Args:
        deployment: its name, which is the name of its stack.
        session: None for boto3's default session.
    """

    def __init__(self, deployment: str, session: boto3.Session | None) -> None:
        self.deployment = deployment
        self._session = session or boto3.Session()
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """Return the client of a service.

        Raises:
            NotReachable: there are no credentials or no Region.
        """
        if service not in self._clients:
            try:
                with explained(service):
                    self._clients[service] = self._session.client(service, config=INTERACTIVE)  # type: ignore[call-overload]
            except ValueError as error:  # of botocore, for a malformed URL
                raise NotReachable(f"{service}: {error}. Check AWS_ENDPOINT_URL") from None
        return self._clients[service]
