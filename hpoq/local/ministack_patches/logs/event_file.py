"""The events of one log stream in a file to which they are appended.

The file has one JSON array for each event: timestamp, ingestion time and message, in the order of
the timestamps. Memory holds the position of every 256th event only. A snapshot of the state holds
how far the file has been read, so that a start reads only what was appended after the snapshot. The
positions are read when they are needed.
"""

from __future__ import annotations

import json
import threading
import uuid
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from pathlib import Path
from typing import Any, overload

Event = dict[str, Any]  # timestamp, ingestionTime, message, eventId
BLOCK = 256  # events
MARK = "__event_file__"
_sizes_only: ContextVar[bool] = ContextVar("sizes_only", default=False)
_CACHED_BLOCKS = 64
_quoted = json.JSONEncoder().encode  # faster than json.dumps of a list


class EventFile(Sequence[Event]):
    """A sequence of events that ``copy.deepcopy`` replaces by a reference to its file.

    Args:
        folder: of the files.
        stored: what a snapshot holds of the file, whose events it has; None for a new file.
    """

    def __init__(self, folder: Path, stored: Mapping[str, Any] | None = None) -> None:
        self.name = stored[MARK] if stored else uuid.uuid4().hex
        self._path = folder / self.name
        self._starts = array("Q")  # byte position of every block
        self._has_starts = True
        self._count = 0
        self._size = 0  # bytes
        self._text_size = 0  # characters of all messages
        self._lock = threading.Lock()
        self.first: int | None = None  # timestamp
        self.last: int | None = None
        if stored:
            self._restore(stored)

    def __deepcopy__(self, _: object) -> dict[str, Any]:
        with self._lock:
            return {
                MARK: self.name, "count": self._count, "size": self._size,
                "text_size": self._text_size, "first": self.first, "last": self.last,
            }  # fmt: skip

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Event]:
        if _sizes_only.get():
            yield {"message": _Sized(self._text_size)}
            return
        for first in range(0, self._count, BLOCK):
            yield from self._block(first // BLOCK)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._count))]
        number = index + self._count if index < 0 else index
        if not 0 <= number < self._count:
            raise IndexError(index)
        return self._block(number // BLOCK)[number % BLOCK]

    def extend(self, events: Iterable[Event]) -> None:
        """Append events, which are not older than those there are."""
        added = list(events)
        lines = [_line(each) for each in added]
        if not lines:
            return
        with self._lock:
            with self._path.open("ab") as file:
                file.write(b"".join(lines))
            for event, line in zip(added, lines, strict=True):
                self._add(len(line), event["timestamp"], len(event["message"]))

    def _restore(self, stored: Mapping[str, Any]) -> None:
        """Continue where a snapshot ends, or at the beginning if the file is not the same."""
        if not self._path.exists():
            return
        size = stored.get("size", 0)
        if 0 < size <= self._path.stat().st_size:
            self._count, self._size = stored["count"], size
            self._text_size = stored["text_size"]
            self.first, self.last = stored["first"], stored["last"]
            self._has_starts = False
        self._scan()

    def _scan(self) -> None:
        """Read the rest of the file; drop an incomplete last line, which a killed cloud left."""
        with self._path.open("r+b") as file:
            file.seek(self._size)
            for line in file:
                if not line.endswith(b"\n"):
                    file.truncate(self._size)
                    break
                # The message is the last element; escapes count as several characters here.
                timestamp, _, message = line[1:-2].split(b",", 2)
                self._add(len(line), int(timestamp), len(message) - 2)

    def _add(self, size: int, timestamp: int, text_size: int) -> None:
        if self._has_starts and self._count % BLOCK == 0:
            self._starts.append(self._size)
        self._count += 1
        self._size += size
        self.first = timestamp if self.first is None else self.first
        self.last = timestamp
        self._text_size += text_size

    def _read_starts(self) -> None:
        """Read the positions of the blocks, which a snapshot does not hold."""
        self._starts, position = array("Q"), 0
        with self._path.open("rb") as file:
            for number, line in enumerate(islice(file, self._count)):
                if number % BLOCK == 0:
                    self._starts.append(position)
                position += len(line)
        self._has_starts = True

    def _block(self, number: int) -> list[Event]:
        """Return the events of a block, of which the last blocks that were read are kept."""
        with self._lock:
            if not self._has_starts:
                self._read_starts()
            count = min(BLOCK, self._count - number * BLOCK)
            is_last = number + 1 == len(self._starts)
            start = self._starts[number]
            end = self._size if is_last else self._starts[number + 1]
        return _blocks.get((self._path, number, count), start, end)


class _Blocks:
    """The events of the blocks that were read last, of all files."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Path, int, int], list[Event]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[Path, int, int], start: int, end: int) -> list[Event]:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        path, number, _ = key
        with path.open("rb") as file:
            file.seek(start)
            lines = file.read(end - start).splitlines()
        events = [_event(path.name, number * BLOCK + n, line) for n, line in enumerate(lines)]
        with self._lock:
            self._kept[key] = events
            if len(self._kept) > _CACHED_BLOCKS:
                self._kept.popitem(last=False)
        return events


_blocks = _Blocks()


class _Sized:
    """Stands for a text of which only the length is asked for."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length


@contextmanager
def sizes_only() -> Iterator[None]:
    """Let iterations over event files yield one event that is as long as all of them."""
    token = _sizes_only.set(True)
    try:
        yield
    finally:
        _sizes_only.reset(token)


def event_id(file: str, number: int) -> str:
    """Return the id of an event, which stays the same."""
    return f"{int(file, 16) % 10**38:038}{number:018}"


def _line(event: Event) -> bytes:
    text = _quoted(event["message"])
    return f"[{event['timestamp']},{event['ingestionTime']},{text}]\n".encode()


def _event(file: str, number: int, line: bytes) -> Event:
    timestamp, ingested, message = json.loads(line)
    return {
        "timestamp": timestamp,
        "message": message,
        "ingestionTime": ingested,
        "eventId": event_id(file, number),
    }
