"""State changes of requests on EventBridge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from hpo_dispatcher.contract import names
from hpo_dispatcher.contract.documents.events import StateChange

if TYPE_CHECKING:
    from logging import Logger

    from aws_lambda_powertools import Logger as PowertoolsLogger
    from mypy_boto3_events import EventBridgeClient

BATCH = 10  # EventBridge: entries per PutEvents


class EventBridge:
    """``Events`` on an event bus, which all deployments of the account share.

    Args:
        events: client of EventBridge.
        bus: name of the event bus.
        deployment: name of the deployment, part of every event.
        logger: receives the events that were not published.
    """

    def __init__(
        self,
        events: EventBridgeClient,
        bus: str,
        deployment: str,
        logger: Logger | PowertoolsLogger,
    ) -> None:
        self._events = events
        self._deployment = deployment
        self._bus = bus
        self._logger = logger

    def publish(self, changes: Sequence[StateChange]) -> None:
        """Publish state changes."""
        for first in range(0, len(changes), BATCH):
            batch = changes[first : first + BATCH]
            try:
                answer = self._events.put_events(
                    Entries=[
                        {
                            "Source": names.EVENT_SOURCE,
                            "DetailType": names.REQUEST_EVENT,
                            "Detail": self._detail(change),
                            "EventBusName": self._bus,
                        }
                        for change in batch
                    ]
                )
            except (BotoCoreError, ClientError) as error:
                self._logger.warning("events:PutEvents: %s", error)
                continue
            if answer["FailedEntryCount"]:
                self._logger.warning("events:PutEvents: %s not taken", answer["FailedEntryCount"])

    def _detail(self, change: StateChange) -> str:
        return change.model_copy(update={"deployment": self._deployment}).to_json()
