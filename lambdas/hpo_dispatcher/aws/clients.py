"""AWS service clients: their creation, retries and errors, and the number of their calls."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from hpo_dispatcher.contract.redaction import Redactor
from hpo_dispatcher.ports import Unavailable

# Adaptive, because list and describe calls have a low limit that cannot be increased.
CONFIG = Config(
    retries={"mode": "adaptive", "total_max_attempts": 6},
    connect_timeout=5,
    read_timeout=30,
    max_pool_connections=50,
    user_agent_extra="hpoq",
)
# For the ledger and the queues, whose requests only contain values built by the dispatcher:
# botocore's validation takes as long as serializing them (docs/decisions/0028).
UNCHECKED = CONFIG.merge(Config(parameter_validation=False))

# A copy of the codes in botocore's ThrottledRetryableChecker, which is not a public interface.
THROTTLED = frozenset(
    [
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottledException",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "TransactionInProgressException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "RequestThrottled",
        "SlowDown",
        "PriorRequestNotComplete",
        "EC2ThrottledException",
    ]
)
_TOO_MANY_REQUESTS = 429


class Emitter(Protocol):
    """The emitter of botocore's events, of a session or a client."""

    def register(self, event_name: str, handler: Any) -> None:
        """Register a handler of an event."""


class Clients(Protocol):
    """The part of a session that the dispatcher uses; ``boto3.Session`` has it, too."""

    @property
    def events(self) -> Emitter:
        """The emitter at which hooks of later clients are registered."""

    def client(self, service_name: Any, *, config: Any) -> Any:
        """Create a client."""


class BotocoreClients:
    """A botocore session; boto3 would add its resources and S3 transfers to each cold start."""

    def __init__(self, region: str) -> None:
        self._session = botocore.session.get_session()
        self._region = region

    @property
    def events(self) -> Emitter:
        """The emitter at which hooks of later clients are registered."""
        emitter: Emitter = self._session.get_component("event_emitter")
        return emitter

    def client(self, service_name: str, *, config: Any = CONFIG) -> Any:
        """Create a client."""
        return self._session.create_client(service_name, region_name=self._region, config=config)


_NOTHING_SECRET = Redactor()


@contextmanager
def unavailable(call: str, redacted: Callable[[str], str] = _NOTHING_SECRET.text) -> Iterator[None]:
    """Convert AWS errors that the caller has not handled to ``Unavailable``.

    Args:
        call: the IAM name of the call.
        redacted: redacts the service's answer, which may quote the request.
    """
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        # Not "from error", whose text may contain secrets.
        raise Unavailable(redacted(f"{call}: {error}")) from None


def code(error: ClientError) -> str:
    """Return the error code of the API."""
    return str(error.response.get("Error", {}).get("Code", ""))


def message(error: ClientError) -> str:
    """Return the error message of the API."""
    return str(error.response.get("Error", {}).get("Message", ""))


class CallCounter:
    """A thread-safe counter of the answers of all clients created after ``listen``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._throttled: Counter[str] = Counter()

    def listen(self, events: Emitter) -> None:
        """Count the calls of this session's clients from now on."""
        events.register("response-received.*.*", self._received)

    def take(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """Return and reset the calls and throttled calls by service."""
        with self._lock:
            counted = self._calls, self._throttled
            self._calls, self._throttled = Counter(), Counter()
        return counted

    def _received(self, event_name: str, parsed_response: dict[str, Any] | None, **_: Any) -> None:
        """Count one attempt, answered or failed."""
        service = event_name.split(".")[1]
        answer = parsed_response or {}
        error = answer.get("Error", {}).get("Code", "")
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        with self._lock:
            self._calls[service] += 1
            if error in THROTTLED or status == _TOO_MANY_REQUESTS:
                self._throttled[service] += 1
