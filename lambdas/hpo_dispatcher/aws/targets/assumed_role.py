"""AWS clients of another account or Region, as a role that trusts the dispatcher's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config
from botocore.credentials import (
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)

from hpo_dispatcher.aws.clients import CONFIG, Emitter

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient

# A target that does not answer must not take the time of the others.
TARGET_CONFIG = CONFIG.merge(
    Config(retries={"mode": "adaptive", "total_max_attempts": 3}, read_timeout=20)
)
SESSION_NAME = "hpoq-dispatcher"


class TargetClients:
    """A botocore session with the credentials of an assumed role.

    The role is assumed at the first call, and again a few minutes before its credentials expire.
    An error of ``sts:AssumeRole`` is the error of the call that needs the credentials.

    Args:
        region: of the target.
        role_arn: the role to assume.
        external_id: that its trust policy requires.
        sts: returns the client that assumes it; called once, when it is needed.
    """

    def __init__(
        self, *, region: str, role_arn: str, external_id: str, sts: Callable[[], STSClient]
    ) -> None:
        self._session = botocore.session.Session()
        self._region = region

        def assume() -> Mapping[str, str]:
            answer = sts().assume_role(
                RoleArn=role_arn, RoleSessionName=SESSION_NAME, ExternalId=external_id
            )
            given = answer["Credentials"]
            return {
                "access_key": given["AccessKeyId"],
                "secret_key": given["SecretAccessKey"],
                "token": given["SessionToken"],
                "expiry_time": given["Expiration"].isoformat(),
            }

        self._session.register_component(
            "credential_provider", CredentialResolver([_AssumedRole(assume)])
        )

    @property
    def events(self) -> Emitter:
        """The emitter at which hooks of later clients are registered."""
        emitter: Emitter = self._session.get_component("event_emitter")
        return emitter

    def client(self, service_name: str, *, config: Any = TARGET_CONFIG) -> Any:
        """Create a client."""
        return self._session.create_client(service_name, region_name=self._region, config=config)


class _AssumedRole(CredentialProvider):
    """A provider of credentials that are fetched when they are needed."""

    METHOD = "assume-role"

    def __init__(self, assume: Callable[[], Mapping[str, str]]) -> None:
        super().__init__()
        self._assume = assume

    def load(self) -> DeferredRefreshableCredentials:
        """Return the credentials, which have not been fetched yet."""
        return DeferredRefreshableCredentials(refresh_using=self._assume, method=self.METHOD)
