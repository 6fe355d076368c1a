"""Deployed functions, which run as on AWS in four respects.

- Each function runs in an empty environment of the interpreter that its runtime names. Without
  this patch, it would run in the environment of ministack, whose packages it could import.
- ``ReservedConcurrentExecutions`` of a template is enforced, and asynchronous events wait until
  the function is free, as in Lambda's queue. Without this patch, ministack ignores the limit and
  discards events after three attempts.
- A layer is unpacked once for all processes of a function. Without this patch, each process
  unpacks it: at least 1.2 s of CPU time for a layer of 176 MB.
- An invocation that runs while its function is updated or deleted runs to its end. Without this
  patch, ministack kills it.
"""

from __future__ import annotations

import contextvars
import hashlib
import json
import logging
import threading
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import eventbridge, lambda_svc
from ministack.services.cloudformation import provisioners

Record = dict[str, Any]
logger = logging.getLogger(__name__)
FUNCTION = "AWS::Lambda::Function"
RESERVED = "ReservedConcurrentExecutions"
EVENT_AGE = 6 * 3600.0  # seconds for which AWS keeps an event


def patch_functions(interpreters: Mapping[str, Path], unpacked: Path) -> None:
    """Change how ministack runs functions.

    Args:
        interpreters: interpreter of each Lambda runtime, such as ``python3.13``.
        unpacked: folder for unpacked layers; it must exist as long as the cloud's process.
    """
    _use_interpreters(interpreters)
    _use_reserved_concurrency()
    _AsynchronousEvents().patch()
    _unpack_layers_once(unpacked)
    _finish_running_invocations()


def _use_interpreters(interpreters: Mapping[str, Path]) -> None:
    original = lambda_runtime._detect_runtime_binary

    def detect(runtime: str) -> tuple[str, str]:
        if not runtime.startswith("python"):
            binary, script = original(runtime)
            return str(binary), str(script)
        if runtime not in interpreters:
            known = ", ".join(sorted(interpreters))
            raise RuntimeError(
                f"{runtime} is not installed on this machine; functions may use {known}"
            )
        return str(interpreters[runtime]), lambda_runtime._PYTHON_WORKER_SCRIPT

    lambda_runtime._detect_runtime_binary = detect


def _use_reserved_concurrency() -> None:
    handlers = provisioners._RESOURCE_HANDLERS[FUNCTION]
    create, update = handlers["create"], handlers["update"]

    def create_and_reserve(logical_id: str, properties: Record, stack: str) -> Any:
        made = create(logical_id, properties, stack)
        _reserve(made[0], properties)
        return made

    def update_and_reserve(
        name: str, old: Record, new: Record, stack: str, logical_id: str = ""
    ) -> Any:
        made = update(name, old, new, stack, logical_id)
        _reserve(made[0], new)
        return made

    handlers |= {"create": create_and_reserve, "update": update_and_reserve}


def _reserve(name: str, properties: Record) -> None:
    function = lambda_svc._functions.get(name)
    if function is not None:
        function["concurrency"] = properties.get(RESERVED)


class _AsynchronousEvents:
    """The asynchronous invocations that wait for a busy function."""

    def __init__(self) -> None:
        self._freed = threading.Condition()
        self._may_wait = contextvars.ContextVar("may_wait", default=False)
        self._acquire: Callable[..., Any] = lambda_svc._acquire_execution_slot
        self._release: Callable[..., Any] = lambda_svc._release_execution_slot
        self._invoke: Callable[..., Any] = lambda_svc.invoke_async_with_retry

    def patch(self) -> None:
        """Replace the functions with which ministack counts and starts invocations."""
        lambda_svc._acquire_execution_slot = self.acquire
        lambda_svc._release_execution_slot = self.release
        lambda_svc.invoke_async_with_retry = self.invoke
        eventbridge._dispatch_to_lambda = self.invoke_by_rule

    def invoke_by_rule(self, arn: str, payload: str) -> None:
        """Invoke the target of a rule; ministack drops events of a busy or failing function."""
        function, config, name = lambda_svc._get_func_record_for_ref(arn)
        if not function or not config:
            logger.warning("a rule invokes the function %s, which does not exist", name)
            return
        record = lambda_svc._execution_record_for_config(function, config)
        self.invoke(record, _as_event(payload))

    def invoke(self, function: Record, event: Any) -> None:
        """Invoke a function; the invocation's thread inherits the context and so may wait."""
        token = self._may_wait.set(True)
        try:
            self._invoke(function, event)
        finally:
            self._may_wait.reset(token)

    def acquire(self, function: Record, config: Record) -> Any:
        """Return a slot of the function, or the reason why it has none."""
        with self._freed:
            answer = self._acquire(function, config)
            while answer[0] is None and self._may_wait.get():
                self._freed.wait(EVENT_AGE)
                answer = self._acquire(function, config)
        return answer

    def release(self, slot: str) -> None:
        """Release a slot and wake the waiting invocations."""
        with self._freed:
            self._release(slot)
            self._freed.notify_all()  # all: they may wait for different functions


def _as_event(payload: str) -> Any:
    """Return the event of the handler: JSON, or text in a ``body``."""
    try:
        return json.loads(payload)
    except (ValueError, TypeError):
        return {"body": payload}


def _finish_running_invocations() -> None:
    """End idle workers of a replaced or deleted function at once, and busy ones afterward."""
    invalidate, release = lambda_runtime.invalidate_worker, lambda_runtime.release_worker

    def invalidate_idle(name: str, *scope: Any, **scopes: Any) -> None:
        with lambda_runtime._lock:
            for pool in lambda_runtime._workers.values():
                # A busy worker is locked; one that failed is not, and ends with the idle ones.
                pool[:] = [w for w in pool if w.func_name != name or not w._lock.locked()]
        invalidate(name, *scope, **scopes)

    def release_or_end(worker: Any) -> None:
        release(worker)
        with lambda_runtime._lock:
            kept = any(worker is each for pool in lambda_runtime._workers.values() for each in pool)
        if worker is not None and not kept:
            lambda_runtime.kill_workers([worker])

    for module in (lambda_runtime, lambda_svc):
        module.invalidate_worker, module.release_worker = invalidate_idle, release_or_end


def _unpack_layers_once(unpacked: Path) -> None:
    class LayerArchive(zipfile.ZipFile):
        def extractall(self, path: Any = None, *arguments: Any, **options: Any) -> None:
            if not Path(path).name.startswith("layer_"):
                super().extractall(path, *arguments, **options)
                return
            shared = unpacked / _content_digest(self)
            with lock:
                if not shared.exists():
                    new = shared.with_suffix(".new")
                    super().extractall(new)
                    new.rename(shared)
            Path(path).rmdir()
            Path(path).symlink_to(shared)

    lock = threading.Lock()
    unpacked.mkdir(parents=True, exist_ok=True)
    lambda_runtime.zipfile = SimpleNamespace(
        ZipFile=LayerArchive, BadZipFile=zipfile.BadZipFile, LargeFileError=zipfile.LargeZipFile
    )


def _content_digest(archive: zipfile.ZipFile) -> str:
    """Return a digest of the names and checksums in an archive's directory."""
    listed = ((entry.filename, entry.CRC, entry.file_size) for entry in archive.infolist())
    return hashlib.sha256(repr(sorted(listed)).encode()).hexdigest()[:16]
