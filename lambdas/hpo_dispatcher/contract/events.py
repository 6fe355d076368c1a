"""The event that the dispatcher publishes when a request changes its state.

docs/events.schema.json is its published schema; a test compares the two.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from hpo_dispatcher.contract.entry import Moment, Status


class StateChange(BaseModel):
    """The change of a request's state: the ``detail`` of an event ``Request State Change``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    team: str
    request_id: str
    status: Status
    previous_status: Status | None
    tuning_job_name: str = ""
    reason: str = ""  # for people
    at: Moment

    def to_json(self) -> str:
        """Return the detail as it is published."""
        return self.model_dump_json()
