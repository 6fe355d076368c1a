"""Workloads read from a recorded ledger, as ``hpoq list --all-teams --json`` prints it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from hpo_dispatcher.contract.aws_limits import is_total, type_of
from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.errors import HpoqError
from hpoq.simulation.workload import Arrival, Workload

DEFAULT_SECONDS = 30 * 60.0  # of a tuning job, if no job of the ledger has ended


def recorded(path: Path) -> Workload:
    """Return the requests of a ledger, with their arrival times and run times.

    Requests that have not run yet are assumed to run as long as the median of the others.
    Rejected requests and messages that were not requests are left out.

    Raises:
        HpoqError: the file is not such a list.
    """
    try:
        entries = [each for each in json.loads(path.read_text()) if _is_request(each)]
        ran = [seconds for each in entries if (seconds := _seconds(each)) is not None]
        first = min((_time(each["accepted_at"]) for each in entries), default=None)
        if first is None:
            raise ValueError("the file contains no requests")
        typical = median(ran) if ran else DEFAULT_SECONDS
        arrivals = [_arrival(each, first, typical) for each in entries]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise HpoqError(
            f"{path}: {error}. Create the file with `hpoq list --all-teams -n 100000 --json`"
        ) from None
    teams: dict[str, dict[str, Any]] = {arrival.team: {} for arrival in arrivals}
    return Workload(name=path.name, arrivals=arrivals, teams=teams)


def _is_request(each: Mapping[str, Any]) -> bool:
    return "request" in each and each["status"] != Status.REJECTED


def _arrival(each: Mapping[str, Any], first: datetime, typical: float) -> Arrival:
    seconds = _seconds(each)
    instances = {r: n for r, n in (each.get("instances") or {}).items() if not is_total(r)}
    instances = instances or {"ml.m5.large": 1}
    resource = max(instances, key=instances.__getitem__)  # the most numerous one
    request = each["request"]
    return Arrival(
        at=(_time(each["accepted_at"]) - first).total_seconds(),
        team=each["team"],
        request_id=each["request_id"],
        seconds=typical if seconds is None else seconds,
        fails=each["status"] == Status.FAILED,
        parallel=instances[resource],
        instance_type=type_of(resource),
        after=(*request.get("after", ()), *request.get("warm_start_from", ())),
        priority=each.get("priority", 0),
    )


def _seconds(each: Mapping[str, Any]) -> float | None:
    if not (each.get("started_at") and each.get("ended_at")):
        return None
    return max(1.0, (_time(each["ended_at"]) - _time(each["started_at"])).total_seconds())


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
