"""Write the ends of requests to the ledger, and say what changed by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from hpo_dispatcher.entry import Status
from hpo_dispatcher.naming import tuning_job_name
from hpo_dispatcher.ports import Ending, Ledger, StateChange


def finish(
    ledger: Ledger, endings: Sequence[Ending], clock: Callable[[], datetime]
) -> list[StateChange]:
    """Give entries their final state; what changed, which leaves out what had ended before."""
    written = set(ledger.finish(endings)) if endings else set()
    return [
        StateChange(
            team=ending.team,
            request_id=ending.request_id,
            status=ending.status,
            previous_status=Status.STOPPING if ending.made_room else ending.was[0],
            tuning_job_name=ending.tuning_job_name or tuning_job_name(*ending.key),
            reason=ending.reason,
            at=clock(),
        )
        for ending in endings
        if ending.key in written
    ]
