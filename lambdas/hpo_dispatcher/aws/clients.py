"""AWS service clients: how they are made, how they retry, and what a failed call means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from hpo_dispatcher.aws.call_counter import Emitter
from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.ports import Unavailable

# Adaptive: list and describe are limited to a few calls a second, and not adjustable.
CONFIG = Config(
    retries={"mode": "adaptive", "total_max_attempts": 6},
    connect_timeout=5,
    read_timeout=30,
    max_pool_connections=50,
    user_agent_extra="hpoq",
)
# For the ledger and the queues, whose requests hold nothing that was not built here: botocore's
# check of each member costs as much as writing them out (docs/decisions/0028).
UNCHECKED = CONFIG.merge(Config(parameter_validation=False))


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


_NOTHING_SECRET = Redactor()


@contextmanager
def unavailable(call: str, told: Callable[[str], str] = _NOTHING_SECRET.text) -> Iterator[None]:
    """Whatever the caller has not understood becomes ``Unavailable``, naming the call.

    Args:
        call: as IAM names it.
        told: what may be told of the service's answer, which may quote the request.
    """
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        # Not "from error": its text is the one that has to be left out.
        raise Unavailable(told(f"{call}: {error}")) from None


def code(error: ClientError) -> str:
    """The API's error code."""
    return str(error.response.get("Error", {}).get("Code", ""))


def message(error: ClientError) -> str:
    """The API's error message."""
    return str(error.response.get("Error", {}).get("Message", ""))
