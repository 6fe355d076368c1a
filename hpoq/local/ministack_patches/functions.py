"""How deployed functions run: ministack's workers, closer to AWS in four ways.

- Each runs in an empty environment of the interpreter its runtime names.
- ``ReservedConcurrentExecutions`` of a template counts; asynchronous events wait for their
  turn, as in Lambda's own queue, instead of being thrown away after three attempts.
- A layer is unpacked once for all of a function's processes, not once for each.
- An invocation that runs while its function is updated or deleted runs to its end.
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
EVENTS_WAIT = 6 * 3600.0  # seconds, as AWS keeps an event


def run_with(interpreters: Mapping[str, Path], unpacked: Path) -> None:
    """Change how ministack, of the version we pin, runs functions.

    Args:
        interpreters: Lambda runtime, such as ``python3.13``, to an interpreter.
        unpacked: folder for layers; lives as long as the cloud's process.
    """
    _use_interpreters(interpreters)
    _use_reserved_concurrency()
    _Turns().take_over()
    _unpack_layers_once(unpacked)
    _let_invocations_end()


def _use_interpreters(interpreters: Mapping[str, Path]) -> None:
    original = lambda_runtime._detect_runtime_binary

    def detect(runtime: str) -> tuple[str, str]:
        if not runtime.startswith("python"):
            binary, script = original(runtime)
            return str(binary), str(script)
        if runtime not in interpreters:
            known = ", ".join(sorted(interpreters))
            raise RuntimeError(f"{runtime} is not on this machine; functions may use {known}")
        return str(interpreters[runtime]), lambda_runtime._PYTHON_WORKER_SCRIPT

    lambda_runtime._detect_runtime_binary = detect


def _use_reserved_concurrency() -> None:
    handlers = provisioners._RESOURCE_HANDLERS[FUNCTION]
    create, update = handlers["create"], handlers["update"]

    def creating(logical_id: str, properties: Record, stack: str) -> Any:
        made = create(logical_id, properties, stack)
        _reserve(made[0], properties)
        return made

    def updating(name: str, old: Record, new: Record, stack: str, logical_id: str = "") -> Any:
        made = update(name, old, new, stack, logical_id)
        _reserve(made[0], new)
        return made

    handlers |= {"create": creating, "update": updating}


def _reserve(name: str, properties: Record) -> None:
    function = lambda_svc._functions.get(name)
    if function is not None:
        function["concurrency"] = properties.get(RESERVED)


class _Turns:
    """Asynchronous invocations of a function that is busy wait here."""

    def __init__(self) -> None:
        self._freed = threading.Condition()
        self._may_wait = contextvars.ContextVar("may_wait", default=False)
        self._acquire: Callable[..., Any] = lambda_svc._acquire_execution_slot
        self._release: Callable[..., Any] = lambda_svc._release_execution_slot
        self._invoke: Callable[..., Any] = lambda_svc.invoke_async_with_retry

    def take_over(self) -> None:
        """Stand between ministack's invocations and its count of them."""
        lambda_svc._acquire_execution_slot = self.acquire
        lambda_svc._release_execution_slot = self.release
        lambda_svc.invoke_async_with_retry = self.invoke
        eventbridge._dispatch_to_lambda = self.invoke_by_rule

    def invoke_by_rule(self, arn: str, payload: str) -> None:
        """A rule's target; ministack would drop the event if the function is busy or fails."""
        function, config, name = lambda_svc._get_func_record_for_ref(arn)
        if not function or not config:
            logger.warning("a rule names the function %s, which does not exist", name)
            return
        record = lambda_svc._execution_record_for_config(function, config)
        self.invoke(record, _as_event(payload))

    def invoke(self, function: Record, event: Any) -> None:
        """Its thread inherits the context, and with it the permission to wait."""
        token = self._may_wait.set(True)
        try:
            self._invoke(function, event)
        finally:
            self._may_wait.reset(token)

    def acquire(self, function: Record, config: Record) -> Any:
        """A place among the function's executions, or what stands in the way."""
        with self._freed:
            answer = self._acquire(function, config)
            while answer[0] is None and self._may_wait.get():
                self._freed.wait(EVENTS_WAIT)
                answer = self._acquire(function, config)
        return answer

    def release(self, slot: str) -> None:
        """Let the next one in."""
        with self._freed:
            self._release(slot)
            self._freed.notify_all()  # the one in turn may wait for another function


def _as_event(payload: str) -> Any:
    """What the handler gets: JSON, or text in a ``body``."""
    try:
        return json.loads(payload)
    except (ValueError, TypeError):
        return {"body": payload}


def _let_invocations_end() -> None:
    """What replaces or deletes a function ends its idle workers at once, busy ones afterwards."""
    invalidate, release = lambda_runtime.invalidate_worker, lambda_runtime.release_worker

    def invalidating(name: str, *scope: Any, **scopes: Any) -> None:
        with lambda_runtime._lock:
            for pool in lambda_runtime._workers.values():
                # Locked while it is at work: one that failed is not, and is ended with the idle.
                pool[:] = [w for w in pool if w.func_name != name or not w._lock.locked()]
        invalidate(name, *scope, **scopes)

    def releasing(worker: Any) -> None:
        release(worker)
        with lambda_runtime._lock:
            kept = any(worker is each for pool in lambda_runtime._workers.values() for each in pool)
        if worker is not None and not kept:
            lambda_runtime.kill_workers([worker])

    for module in (lambda_runtime, lambda_svc):
        module.invalidate_worker, module.release_worker = invalidating, releasing


def _unpack_layers_once(unpacked: Path) -> None:
    class Archive(zipfile.ZipFile):
        def extractall(self, path: Any = None, *arguments: Any, **options: Any) -> None:
            if not Path(path).name.startswith("layer_"):
                super().extractall(path, *arguments, **options)
                return
            shared = unpacked / _content(self)
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
        ZipFile=Archive, BadZipFile=zipfile.BadZipFile, LargeFileError=zipfile.LargeZipFile
    )


def _content(archive: zipfile.ZipFile) -> str:
    """A digest of names and checksums, which an archive lists at its end."""
    listed = ((entry.filename, entry.CRC, entry.file_size) for entry in archive.infolist())
    return hashlib.sha256(repr(sorted(listed)).encode()).hexdigest()[:16]
