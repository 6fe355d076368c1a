"""Makes the clients of AWS's services: those of botocore, without the rest of boto3."""

from __future__ import annotations

from typing import Any, Protocol

import botocore.session

from hpo_dispatcher.aws.calls import CONFIG
from hpo_dispatcher.aws.counting import Emitter


class Clients(Protocol):
    """What is needed of a session; ``boto3.Session`` has it, too."""

    @property
    def events(self) -> Emitter:
        """Where the clients' hooks are registered, before they are made."""

    def client(self, service_name: Any, *, config: Any) -> Any:
        """A client."""


class BotocoreClients:
    """The function's own; boto3 would add its resources and S3 transfers to each cold start."""

    def __init__(self, region: str) -> None:
        self._session = botocore.session.get_session()
        self._region = region

    @property
    def events(self) -> Emitter:
        """See ``Clients``."""
        emitter: Emitter = self._session.get_component("event_emitter")
        return emitter

    def client(self, service_name: str, *, config: Any = CONFIG) -> Any:
        """See ``Clients``."""
        return self._session.create_client(service_name, region_name=self._region, config=config)
