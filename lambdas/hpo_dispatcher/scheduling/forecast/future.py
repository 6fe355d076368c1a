"""What a course of the next hours draws from: run times, and requests that arrive."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from hpo_dispatcher.contract.documents.capacity import RecentArrival
from hpo_dispatcher.scheduling.history.run_times import Work


class RunTimeFacts(NamedTuple):
    """The facts about a run time that are known before its end."""

    stated: float = 0  # how long it will be as its request says; 0: it does not say
    most: float = 0  # the maximum, which SageMaker enforces; 0: unknown


class RunTimesToDraw(Protocol):
    """The run times of one course."""

    def left(self, work: Work, known: RunTimeFacts, elapsed: float = 0.0) -> float:
        """Draw how many seconds a tuning job that has run for some seconds will still run."""


class ArrivalsToDraw(Protocol):
    """The requests that arrive in one course."""

    def wait(self, draw: random.Random) -> float | None:
        """Draw the seconds until the next batch; None: no more is expected."""

    def batch(self, draw: random.Random) -> Sequence[RecentArrival]:
        """Draw the requests of the next batch."""


class Future(NamedTuple):
    """What one course draws from."""

    run_times: RunTimesToDraw
    arrivals: ArrivalsToDraw
