"""The AWS clients of one deployment, each created once and only when needed."""

from __future__ import annotations

import threading
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver

from hpoq.botocore_config import INTERACTIVE
from hpoq.client.explained import explained
from hpoq.errors import NotReachable


class DeploymentConnection:
    """The session of a user of one deployment, in one account and Region.

    Args:
        deployment: its name, which is the name of its stack.
        session: None for boto3's default session.
        region: None for the session's.
    """

    def __init__(
        self, deployment: str, session: boto3.Session | None, region: str | None = None
    ) -> None:
        self.deployment = deployment
        self._session = session or boto3.Session()
        self._region = {"region_name": region} if region else {}
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, int], Any] = {}

    @property
    def boto_session(self) -> boto3.Session:
        """A session with the credentials and the Region of this connection."""
        if not self._region:
            return self._session
        there = botocore.session.Session()
        # Of the session itself, not a copy of its keys, which would expire unrenewed.
        there.register_component(
            "credential_provider", CredentialResolver([_CredentialsOf(self._session)])
        )
        return boto3.Session(botocore_session=there, **self._region)

    def in_region(self, region: str) -> DeploymentConnection:
        """Return a connection with the same credentials in another Region."""
        return DeploymentConnection(self.deployment, self._session, region)

    def service(self, name: str, config: Config = INTERACTIVE) -> Any:
        """Return the client of a service; threads may ask for it at once.

        The lock is necessary because sessions are not thread-safe, while clients are
        (https://docs.aws.amazon.com/boto3/latest/guide/session.html).

        Args:
            name: of the service in boto3.
            config: a constant of ``hpoq.botocore_config``.

        Raises:
            NotReachable: there are no credentials or no Region.
        """
        key = name, id(config)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._made(name, config)
            return self._clients[key]

    def _made(self, service: str, config: Config) -> Any:
        try:
            with explained(service):
                return self._session.client(  # type: ignore[call-overload]
                    service, config=config, **self._region
                )
        except ValueError as error:  # of botocore, for a malformed URL
            raise NotReachable(f"{service}: {error}. Check AWS_ENDPOINT_URL") from None


class _CredentialsOf(CredentialProvider):
    """A provider of the credentials of another session, which renews them for both."""

    METHOD = "hpoq-home"

    def __init__(self, session: boto3.Session) -> None:
        super().__init__()
        self._session = session

    def load(self) -> Any:
        """Return the credentials; None if there are none."""
        return self._session.get_credentials()
