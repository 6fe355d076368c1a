"""A process that has imported what trials need, and forks one child per trial.

Run by the user's interpreter, standard library only:  python warm_parent.py torch
Reads one JSON object a line: {"id", "arguments", "environment", "folder", "log", "fresh",
"command"} starts a trial; a fresh one gets an interpreter of its own instead of what was imported
here, and a command is whatever its arguments name. Writes
{"id", "pid"} when it has, and {"id", "status"} when it has ended: exit code, or minus the signal.
Ends, with its children, when its input is closed.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import sys
import threading
import traceback
import weakref
from pathlib import Path
from typing import Any

Trial = dict[str, Any]
HUGE = 1 << 21  # bytes of a huge page
COLLAPSE = 25  # MADV_COLLAPSE, Linux 6.1


def preload(package: str) -> None:
    """Import what trials of this parent need."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # CUDA does not survive a fork: whatever may look for it here shall not wake it up.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    with contextlib.suppress(ImportError):
        if package == "torch":
            preload_torch()
        else:
            importlib.import_module(package)


def preload_torch() -> None:
    """Import torch and make its first optimizer: 3 s that each trial then saves."""
    import torch

    torch.set_num_threads(1)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([weight])
    weight.grad = torch.zeros(1)
    optimizer.step()
    # Memory that tensors free goes back to the system, to be taken anew at the next step, where it
    # is more than twice glibc's largest freed buffer so far: a fifth of a small network's time.
    torch.empty(8 * HUGE, dtype=torch.uint8)


def spare_children() -> None:
    """What was imported stays as it is in every child: none takes it down, none walks it.

    Finalizers of torch's libraries alone cost each trial 35 ms at its end; the collector would
    copy every page that it looks at.
    """
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]
        finalizer.atexit = False
    gc.freeze()


def fill_huge_pages() -> None:
    """Memory of few large pages is forked and dropped in 3 ms; of small ones it takes 11."""
    with contextlib.suppress(OSError, AttributeError):  # no Linux, or an old one
        advise = ctypes.CDLL(None).madvise
        for mapping in Path("/proc/self/maps").read_text().splitlines():
            addresses, access, _, _, inode, *_ = mapping.split()
            first, end = (int(address, 16) for address in addresses.split("-"))
            if access == "rw-p" and inode == "0" and end - first >= HUGE:
                advise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), COLLAPSE)


def run(trial: Trial) -> None:
    """In the child: become the trial."""
    log = os.open(trial["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, target)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    os.environ.clear()
    os.environ.update(trial["environment"])
    os.chdir(trial["folder"])
    if trial.get("fresh"):
        command = [sys.executable, *trial["arguments"]]
        os.execve(sys.executable, command, trial["environment"])  # noqa: S606
    if trial.get("command"):
        os.execvpe(trial["arguments"][0], trial["arguments"], trial["environment"])  # noqa: S606
    script, *arguments = trial["arguments"]
    sys.argv = [script, *arguments]
    # As a new interpreter would: the script's own folder, then PYTHONPATH.
    more = trial["environment"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [str(Path(script).parent), *filter(None, more)]
    reseed()
    runpy.run_path(script, run_name="__main__")


def reseed() -> None:
    """In the child: draw as a fresh process would, not as every other child of this parent.

    ``random`` does so by itself at a fork; numpy and torch do not.
    """
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.seed()  # the others begin in the child


def leave(code: int) -> None:
    """In the child: end as an interpreter does, but for taking down what the parent imported."""
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code & 0xFF)


def status_of(trial: Trial) -> int:
    """In the child: the trial's exit code; an exception is 1, its traceback in the log."""
    try:
        run(trial)
    except SystemExit as error:
        if isinstance(error.code, str):
            sys.stderr.write(error.code + "\n")
            return 1
        return int(error.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def say(**message: object) -> None:
    """One line to whoever asked."""
    os.write(1, (json.dumps(message) + "\n").encode())


def start(trial: Trial, running: dict[int, str]) -> None:
    """Fork a trial."""
    pid = os.fork()
    # A group of its own, so that whatever it starts can be ended with it; set on both sides,
    # as either may be first.
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid or os.getpid())
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        leave(status_of(trial))
    running[pid] = trial["id"]
    say(id=trial["id"], pid=pid)


def reap(running: dict[int, str]) -> None:
    """Report every trial that has ended."""
    while running:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid in running:
            with contextlib.suppress(OSError):  # whatever it left running
                os.killpg(pid, signal.SIGKILL)
            say(id=running.pop(pid), status=os.waitstatus_to_exitcode(status))


def main() -> None:
    """Fork on request until the input ends."""
    gc.disable()  # nothing that is imported is garbage: a fifth of the time
    preload(*sys.argv[1:])
    spare_children()
    fill_huge_pages()
    gc.enable()
    running: dict[int, str] = {}
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.set_blocking(reading, False)
    signal.set_wakeup_fd(writing)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    selector.register(reading, selectors.EVENT_READ)
    say(id="", pid=os.getpid())
    pending = b""
    while True:
        for key, _ in selector.select():
            if key.fd == reading:
                with contextlib.suppress(BlockingIOError):
                    os.read(reading, 4096)
                continue
            chunk = os.read(0, 1 << 16)
            if not chunk:
                for pid in running:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(pid, signal.SIGKILL)
                return
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                start(json.loads(line), running)
        reap(running)


if __name__ == "__main__":
    main()
