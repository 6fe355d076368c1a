"""The events of a deployment: requests changed their states, and requests were submitted.

docs/events.schema.json is the published schema of state changes; a test compares the two.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hpo_dispatcher.contract.entry import Moment, Status
from hpo_dispatcher.contract.targets.resources import HOME


class StateChange(BaseModel):
    """The change of a request's state: the ``detail`` of an event ``Request State Change``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    deployment: str = ""  # set when published; empty in events of earlier versions
    team: str
    request_id: str
    status: Status
    previous_status: Status | None
    tuning_job_name: str = ""
    reason: str = ""  # for people
    at: Moment
    # Of the tuning job; left out if that is home, as it is without targets.
    target: str = Field(default=HOME, exclude_if=lambda target: target == HOME)

    def to_json(self) -> str:
        """Return the detail as it is published."""
        return self.model_dump_json()


class Submitted(BaseModel):
    """The ``detail`` of an event ``Requests Submitted``, which asks for a cycle now."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    deployment: str
    team: str
    count: int  # messages sent

    def to_json(self) -> str:
        """Return the detail as it is sent."""
        return self.model_dump_json()
