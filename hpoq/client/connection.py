"""The AWS clients of one deployment, each created once and only when needed."""

from __future__ import annotations

import threading
from typing import Any

import boto3
from botocore.config import Config

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
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, int], Any] = {}

    def client(self, service: str, config: Config = INTERACTIVE) -> Any:
        """Return the client of a service; threads may ask for it at once.

        The lock is necessary because sessions are not thread-safe, while clients are
        (https://docs.aws.amazon.com/boto3/latest/guide/session.html).

        Args:
            service: its name in boto3.
            config: a constant of ``hpoq.botocore_config``.

        Raises:
            NotReachable: there are no credentials or no Region.
        """
        key = service, id(config)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._made(service, config)
            return self._clients[key]

    def _made(self, service: str, config: Config) -> Any:
        try:
            with explained(service):
                return self._session.client(service, config=config)  # type: ignore[call-overload]
        except ValueError as error:  # of botocore, for a malformed URL
            raise NotReachable(f"{service}: {error}. Check AWS_ENDPOINT_URL") from None
