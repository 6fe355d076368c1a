"""The answers that workflows get, and the answers that are owed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from hpo_dispatcher.contract.entry import Key
from hpo_dispatcher.contract.workflows.callbacks import Callback

# A name that a state machine's Catch and Retry can match, followed by the state of the request.
ERROR_PREFIX = "Hpoq."


class WorkflowResult(BaseModel):
    """The answer about a request that completed, the output of the step that waited for it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    team: str
    request_id: str
    tuning_job_name: str
    best_training_job: str | None = None  # None: no training job has a value of the objective
    objective_metric: str | None = None
    objective_value: float | None = None
    model_uri: str | None = None

    def to_json(self) -> str:
        """Return the output of a task of Step Functions."""
        return self.model_dump_json()

    def output_parameters(self) -> dict[str, str]:
        """Return the output parameters of a callback step, without those that have no value."""
        values = self.model_dump(exclude_none=True)
        return {name: str(value) for name, value in values.items()}


@dataclass(frozen=True, kw_only=True)
class WorkflowFailure:
    """The answer about a request that ended in another way."""

    error: str  # a name for programs, such as Hpoq.Rejected
    cause: str  # for people


@dataclass(frozen=True, kw_only=True)
class OwedAnswer:
    """An answer that a workflow waits for. The ledger keeps it until the workflow has it."""

    callback: Callback
    team: str
    request_id: str
    refusal: str = ""  # why its message was rejected; empty: the end of the request is the answer
    attempts: int = 0  # that failed
    retry_at: datetime | None = None  # the next attempt

    @property
    def key(self) -> Key:
        """Team and request id."""
        return self.team, self.request_id
