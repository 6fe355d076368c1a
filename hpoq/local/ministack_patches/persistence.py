"""State on disk that survives a power cut and a full disk.

ministack takes a state file that it cannot read for one that does not exist: it starts empty, and
writes over the file. Its own files are renamed without being synced, those of S3 objects included.
It answers 200 to a PUT whose object it could not store, and which is gone after a restart.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import ministack.app
from ministack.core import persistence
from ministack.services import s3

from hpoq.local.errors import DamagedFile
from hpoq.local.lifecycle import state_files

logger = logging.getLogger(__name__)

FORMAT = "__ministack_format__"
# Bytes that an object leaves free on the disk, so that its description can be stored as well.
SPARE = 1 << 20

Handler = Callable[..., Awaitable[tuple[int, dict[str, str], bytes]]]
# The errors of the request in hand whose files could not be written.
_unwritten: ContextVar[list[OSError] | None] = ContextVar("unwritten", default=None)


def store_state_safely(folder: Path) -> None:
    """Read all state files now, and replace the functions that read and write them.

    Args:
        folder: of the state files.

    Raises:
        DamagedFile: a file cannot be read, and the one before it cannot either.
    """
    stored = {name: _read(folder, name) for name in ministack.app._state_map}
    failing: set[str] = set()
    # The hash of the text, which most snapshots do not change, and how often it was written.
    written: dict[str, tuple[int, int]] = {}

    def restore() -> None:
        for name, module in ministack.app._state_map.items():
            content = stored.pop(name)
            if content:
                _restore(folder, name, module, content)

    def save(name: str, content: object) -> None:
        text = _text(name, content)
        before, times = written.get(name, (None, 0))
        times = times if before == hash(text) else 0
        if times == 2:  # so that the file before this one has the same content
            return
        try:
            state_files.write(_file(folder, name), text)
            written[name] = (hash(text), times + 1)
            failing.discard(name)
        except OSError as error:
            if name not in failing:  # one line, not one a second
                logger.error("%s", state_files.cannot_write(_file(folder, name), error))
            failing.add(name)

    ministack.app._load_persisted_state = restore
    persistence.save_state = save
    s3._atomic_write = _write_object
    s3.handle_request = _refusing_unstored(s3.handle_request)


def _write_object(path: str, data: Any, *, text: bool = False) -> None:
    """Write a file of an object aside, sync it and rename it.

    After an error, the other files of the same request are not written either.
    """
    unwritten = _unwritten.get()
    if unwritten:
        raise unwritten[0]
    new = f"{path}.tmp"  # ministack does not take files with this ending for objects
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data.encode() if text else data)
            file.flush()
            os.fsync(file.fileno())
        if not text and shutil.disk_usage(Path(new).parent).free < SPARE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.replace(new, path)  # noqa: PTH105 - a key may be what Path would change
    except OSError as error:
        Path(new).unlink(missing_ok=True)
        if unwritten is not None:
            unwritten.append(error)
        raise


def _refusing_unstored(handle: Handler) -> Handler:
    """Answer a request with S3's InternalError if its object could not be stored.

    The object before it is served as before. "InternalError ... 500" is in the list of error codes
    of the S3 API reference; the SDKs retry it.
    """
    failing = False

    async def store_or_refuse(
        method: str, path: str, headers: dict[str, str], body: bytes, query: Any, **more: Any
    ) -> tuple[int, dict[str, str], bytes]:
        nonlocal failing
        if method in ("GET", "HEAD"):
            return await handle(method, path, headers, body, query, **more)
        unwritten: list[OSError] = []
        token = _unwritten.set(unwritten)
        bucket, key = s3._parse_bucket_key(path, headers)
        restore = _as_before(bucket, key, s3._qp(query, "uploadId"))
        try:
            answer = await handle(method, path, headers, body, query, **more)
        finally:
            _unwritten.reset(token)
        if unwritten:
            restore()
            problem = state_files.cannot_write(Path(s3.DATA_DIR), unwritten[0])
            if not failing:  # one line, not one for each object
                logger.error("%s", problem)
            answer = s3._error("InternalError", str(problem), 500, path)
        failing = bool(unwritten)
        return answer

    return store_or_refuse


def _as_before(bucket: str, key: str, upload_id: str) -> Callable[[], None]:
    """Return a function that restores what ministack knows of an object and of its upload."""
    objects = (s3._buckets.get(bucket) or {}).get("objects", {})
    records: list[tuple[Any, Any, Any]] = [
        (store, name, store.get(name))
        for store, name in (
            (objects, key),
            (s3._multipart_uploads, upload_id),
            (s3._completed_multipart_uploads, upload_id),
        )
    ]
    versions = [dict(each) for each in s3._object_versions.get((bucket, key)) or ()]
    records.append((s3._object_versions, (bucket, key), versions or None))

    def restore() -> None:
        for store, name, record in records:
            if record is not None:
                store[name] = record
            else:
                store.pop(name, None)

    return restore


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _read(folder: Path, name: str) -> Any:
    """Return the stored state of one service; None if it has none."""
    path = _file(folder, name)
    content = state_files.read(path, _parse)
    if not isinstance(content, Mapping) or FORMAT not in content:
        return content  # of a version before the format had a number
    written, known = content[FORMAT], persistence._state_format_version(name)
    if written > known:
        raise DamagedFile(path, f"its format is {written}, and this version reads up to {known}")
    return content["payload"]


def _parse(text: str) -> Any:
    return json.loads(text, object_hook=persistence._json_object_hook)


def _restore(folder: Path, name: str, module: str, content: Any) -> None:
    """Hand a state to its service. If the service refuses it, end before anything is stored.

    The server logs other exceptions of the start, and continues without the state.
    """
    try:
        ministack.app._get_module(module).load_persisted_state(content)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        raise SystemExit(str(DamagedFile(_file(folder, name), problem))) from error


def _text(name: str, content: object) -> str:
    wrapped = {FORMAT: persistence._state_format_version(name), "payload": content}
    return json.dumps(wrapped, default=persistence._json_default)
