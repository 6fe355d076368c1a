"""Log events in files instead of ministack's memory and its snapshots.

ministack keeps each event twice in memory and writes all of them in each snapshot, so a training
job that prints a million lines takes gigabytes, and delays everything else by seconds. Here, each
stream has a file to which its events are appended at once, and a snapshot only names it.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hpoq.local.lifecycle.home import LOG_EVENTS
from hpoq.local.ministack_patches.logs.event_file import MARK, EventFile, sizes_only
from hpoq.local.ministack_patches.speed import copied

Json = dict[str, Any]


def append_events_to_files() -> None:
    """Install the replacements in ministack's module."""
    from ministack.core import persistence
    from ministack.services import cloudwatch_logs

    folder = Path(persistence.STATE_DIR) / LOG_EVENTS
    folder.mkdir(parents=True, exist_ok=True)
    cloudwatch_logs.copy = SimpleNamespace(deepcopy=copied)
    cloudwatch_logs._append_log_events = _appender(folder)
    cloudwatch_logs._put_log_events = _put_log_events
    for name in ("_describe_log_groups", "_describe_log_streams"):
        setattr(cloudwatch_logs, name, _by_sizes(getattr(cloudwatch_logs, name)))
    cloudwatch_logs.load_persisted_state = _loader(folder)


def _appender(folder: Path) -> Callable[[Json, list[Json]], None]:
    from ministack.services import cloudwatch_logs

    def append(stream: Json, events: list[Json]) -> None:
        if not events:
            return
        ordered = sorted(events, key=cloudwatch_logs._event_timestamp)
        with cloudwatch_logs._log_events_lock:
            history = _in_file(folder, stream)
            if history.last is not None and history.last > ordered[0]["timestamp"]:
                merged = EventFile(folder)
                key = cloudwatch_logs._event_timestamp
                merged.extend(heapq.merge(history, ordered, key=key))
                stream["events"] = merged
            else:
                history.extend(ordered)
            _set_times(stream)
            stream["lastIngestionTime"] = events[-1]["ingestionTime"]

    return append


def _in_file(folder: Path, stream: Json) -> EventFile:
    """Return the stream's events as a file, which they become with the first event."""
    history = stream["events"]
    if not isinstance(history, EventFile):
        file = EventFile(folder)
        file.extend(history)
        history = stream["events"] = file
    return history


def _set_times(stream: Json) -> None:
    events = stream["events"]
    if len(events):
        earliest = stream.get("firstEventTimestamp")
        stream["firstEventTimestamp"] = min(
            each for each in (earliest, events.first) if each is not None
        )
        stream["lastEventTimestamp"] = events.last


def _put_log_events(data: Json) -> Any:
    from ministack.core.responses import error_response_json, json_response
    from ministack.services import cloudwatch_logs

    group, name, events = data.get("logGroupName"), data.get("logStreamName"), data["logEvents"]
    for kind, value, known in (
        ("group", group, cloudwatch_logs._log_groups),
        ("stream", name, cloudwatch_logs._log_groups.get(group, {}).get("streams", {})),
    ):
        if value not in known:
            text = f"The specified log {kind} does not exist: {value}"
            return error_response_json("ResourceNotFoundException", text, 400)
    stream = cloudwatch_logs._log_groups[group]["streams"][name]
    now = int(time.time() * 1000)
    stored = [
        {
            "timestamp": each.get("timestamp", now),
            "message": each.get("message", ""),
            "ingestionTime": now,
        }
        for each in events
    ]
    cloudwatch_logs._append_log_events(stream, stored)
    token = stream["uploadSequenceToken"] = str(int(stream["uploadSequenceToken"]) + 1)
    cloudwatch_logs._fanout_to_subscription_filters(group, name, events)
    cloudwatch_logs._fanout_to_live_tail_sessions(group, name, stored)
    return json_response({"nextSequenceToken": token})


def _by_sizes(describe: Callable[[Json], Any]) -> Callable[[Json], Any]:
    """Return an operation that knows the size of each stream without reading its events."""

    def described(data: Json) -> Any:
        with sizes_only():
            return describe(data)

    return described


def _loader(folder: Path) -> Callable[[Json], None]:
    from ministack.services import cloudwatch_logs

    restore = cloudwatch_logs._restore_state

    def load(data: Json) -> None:
        stored = {}
        for key, stream in _streams(data):
            events = stream["events"]
            stored[key] = events if isinstance(events, dict) and MARK in events else None
            if stored[key]:
                stream["events"] = []
        data = {**data, "log_records": {}}  # an earlier version stored each event a second time
        restore(data)
        for key, stream in _streams(data):
            if stored[key]:
                stream["events"] = EventFile(folder, stored[key])
            else:
                _in_file(folder, stream)
            _set_times(stream)
        used = {stream["events"].name for _, stream in _streams(data)}
        for file in folder.iterdir():
            if file.name not in used:  # of a stream that was deleted, or created too late
                file.unlink()

    return load


def _streams(data: Json) -> Iterator[tuple[tuple[Any, str], Json]]:
    """Yield the key and the content of each stream of a snapshot."""
    groups = data.get("log_groups")
    for place, group in groups.all_items() if groups else ():
        for name, stream in group.get("streams", {}).items():
            yield (place, name), stream
