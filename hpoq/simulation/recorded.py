"""A recorded ledger as a workload: what ``hpoq list --all-teams --json`` printed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.errors import HpoqError
from hpoq.simulation.workload import Arrival, Workload

UNKNOWN = 30 * 60.0  # seconds of a tuning job, where not one of the ledger has ended


def recorded(path: Path) -> Workload:
    """The requests of a ledger, when they came and how long their tuning jobs ran.

    What has not run yet is taken to run as long as the median of the others; what was never a
    request, or was rejected, is left out.

    Raises:
        HpoqError: the file is no such list.
    """
    try:
        entries = [each for each in json.loads(path.read_text()) if _is_request(each)]
        ran = [seconds for each in entries if (seconds := _seconds(each)) is not None]
        first = min((_time(each["accepted_at"]) for each in entries), default=None)
        if first is None:
            raise ValueError("no request in it")
        typical = median(ran) if ran else UNKNOWN
        arrivals = [_arrival(each, first, typical) for each in entries]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise HpoqError(
            f"{path}: {error}. Write it with `hpoq list --all-teams -n 100000 --json`"
        ) from None
    teams: dict[str, dict[str, Any]] = {arrival.team: {} for arrival in arrivals}
    return Workload(name=path.name, arrivals=arrivals, teams=teams)


def _is_request(each: Mapping[str, Any]) -> bool:
    return "request" in each and each["status"] != Status.REJECTED


def _arrival(each: Mapping[str, Any], first: datetime, typical: float) -> Arrival:
    seconds = _seconds(each)
    instances = each.get("instances") or {"ml.m5.large": 1}
    instance_type = max(instances, key=instances.__getitem__)  # of several, the one it has most of
    request = each["request"]
    return Arrival(
        at=(_time(each["accepted_at"]) - first).total_seconds(),
        team=each["team"],
        request_id=each["request_id"],
        seconds=typical if seconds is None else seconds,
        fails=each["status"] == Status.FAILED,
        parallel=instances[instance_type],
        instance_type=instance_type,
        after=(*request.get("after", ()), *request.get("warm_start_from", ())),
        priority=each.get("priority", 0),
    )


def _seconds(each: Mapping[str, Any]) -> float | None:
    if not (each.get("started_at") and each.get("ended_at")):
        return None
    return max(1.0, (_time(each["ended_at"]) - _time(each["started_at"])).total_seconds())


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
