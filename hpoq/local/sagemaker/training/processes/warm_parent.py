"""The warm parent: imports a package once and forks one child for each training process.

The user's interpreter runs this file, so it uses the standard library only:

    python warm_parent.py torch

Each line of its input is a JSON object that starts a process: {"id", "arguments", "environment",
"folder", "log", "fresh", "command", "isolated", "temporary", "visible", "note"}. A fresh process
gets a new interpreter; the arguments of a command are a whole command line; an isolated process has
no network. "temporary" names the folders that take the place of /tmp and others, in which what is
"visible" stays visible. The note is the first line of the log. The warm parent writes {"id", "pid"}
when a process has started and {"id", "status"} when it has ended: the exit code, or the negative
signal number. It ends, with its children, when its input is closed.

Figures below are CPU times on an AMD EPYC with two cores, Linux 6.18, torch 2.13 (ADR 0027).
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import ctypes
import gc
import importlib
import importlib.machinery
import json
import os
import runpy
import selectors
import signal
import struct
import sys
import tempfile
import threading
import traceback
import types
import weakref
from pathlib import Path
from typing import Any

Order = dict[str, Any]
HUGE_PAGE = 1 << 21  # bytes
MADV_COLLAPSE = 25  # since Linux 6.1
CHILD_SUBREAPER = 36  # from linux/prctl.h
MARK = (
    "HPOQ_TRAINING_PROCESS"  # the id of the training process in the environment of its descendants
)
# Lists of paths, and files, that a process needs also if they are below /tmp.
PATH_LISTS = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "AWS_CA_BUNDLE")
# Run, not imported: a script may have a module of the same name.
isolation: dict[str, Any] = runpy.run_path(str(Path(__file__).with_name("isolation.py")))
CAN_REPLACE_FOLDERS = False


def preload(package: str) -> None:
    """Import a package, if it is installed."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # CUDA does not work in forked processes, so the import must not initialize it.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    with contextlib.suppress(ImportError):
        if package == "torch":
            preload_torch()
        else:
            importlib.import_module(package)


def preload_torch() -> None:
    """Import torch and create its first optimizer, which each child would repeat otherwise.

    The first optimizer alone costs 3 s.
    """
    import torch

    torch.set_num_threads(1)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([weight])
    weight.grad = torch.zeros(1)
    optimizer.step()
    # glibc keeps freed memory up to twice the size of the largest buffer freed before, and returns
    # the rest to the system, which maps it again at the next step. Freeing one large buffer here
    # avoids that: 0.35 instead of 0.47 s for a small network with batches of 4,096 rows.
    torch.empty(8 * HUGE_PAGE, dtype=torch.uint8)


def spare_children() -> None:
    """Keep children from finalizing and from garbage-collecting what the parent imported.

    Both write to the parent's memory, which copies it page by page. A child that does nothing
    takes 9 ms with this function and 38 ms without it.
    """
    weakref.finalize._registry.clear()  # type: ignore[attr-defined]
    report_compilations_only()
    gc.freeze()


def report_compilations_only() -> None:
    """Let torch report at exit how long it compiled only if it compiled anything.

    Otherwise its report, which is about nothing, takes 1.5 ms of each child.
    """
    utils = sys.modules.get("torch._dynamo.utils")
    report = getattr(utils, "dump_compile_times", None)
    compilations = getattr(utils, "compilation_time_metrics", None)
    if report is not None and compilations is not None:
        atexit.unregister(report)
        atexit.register(lambda: report() if compilations else None)


def renew_random_numbers() -> None:
    """Seed numpy and torch again, so that each child begins with other random numbers.

    The parent does it before it forks: in the child, it would take 1.5 ms more.
    """
    if "numpy.random" in sys.modules:  # 128 bits, as without an argument, which takes 60 us
        sys.modules["numpy.random"].seed(struct.unpack("4I", os.urandom(16)))
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.seed()  # others are created in the child


def fill_huge_pages() -> None:
    """Move the parent's memory to huge pages, of which a fork copies fewer.

    A child that does nothing takes 9 ms with this function and 20 ms without it. The function
    itself takes 0.5 s.
    """
    with contextlib.suppress(OSError, AttributeError):  # not Linux, or an older one
        advise = ctypes.CDLL(None).madvise
        for mapping in Path("/proc/self/maps").read_text().splitlines():
            addresses, access, _, _, inode, *_ = mapping.split()
            first, end = (int(address, 16) for address in addresses.split("-"))
            if access == "rw-p" and inode == "0" and end - first >= HUGE_PAGE:
                advise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), MADV_COLLAPSE)


def run(order: Order) -> None:
    """Replace the child's files, environment and folder, and run its program."""
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, target)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    if order.get("note"):
        sys.stdout.write(f"{order['note']}\n")
    if order.get("isolated"):
        peers = len(json.loads(order["environment"].get("SM_HOSTS", "[]"))) > 1
        isolation["isolate"](peers=peers)
    if order.get("temporary"):
        use_own_folders(order)
    order["environment"][MARK] = order["id"]
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    if order.get("fresh"):
        command = [sys.executable, *order["arguments"]]
        os.execve(sys.executable, command, order["environment"])  # noqa: S606
    if order.get("command"):
        os.execvpe(order["arguments"][0], order["arguments"], order["environment"])  # noqa: S606
    script, *arguments = order["arguments"]
    sys.argv = [script, *arguments]
    # The order of a new interpreter: the folder of the script, then PYTHONPATH.
    more = order["environment"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [str(Path(script).parent), *filter(None, more)]
    tempfile.tempdir = None  # looked up again: TMPDIR may differ
    run_script(script)


def run_script(script: str) -> None:
    """Run a script, or the folder of a program, as ``python script`` does.

    ``runpy.run_path`` also looks for archives, which takes longer than most imports.
    """
    if Path(script).is_dir():
        runpy.run_path(script, run_name="__main__")
        return
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main.__loader__ = importlib.machinery.SourceFileLoader("__main__", script)
    main.__dict__.update(
        __file__=script, __cached__=None, __builtins__=builtins, __annotations__={}
    )
    code = compile(Path(script).read_bytes(), script, "exec", dont_inherit=True)
    exec(code, main.__dict__)  # noqa: S102


def use_own_folders(order: Order) -> None:
    """Give the process folders of its own instead of /tmp and others that processes share.

    Where that is impossible, TMPDIR names the folder that stands for /tmp.
    """
    folders, environment = order["temporary"], order["environment"]
    if not (CAN_REPLACE_FOLDERS and isolation["replace_folders"](folders, order["hidden"])):
        environment.setdefault("TMPDIR", next(iter(folders.values())))


def hidden_paths(order: Order) -> list[str]:
    """Return the paths that a process needs although its own folders would hide them."""
    environment, program = order["environment"], Path(order["arguments"][0])
    # Without the module site, sys.prefix is not that of a virtual environment.
    own = str(Path(sys.executable).parent.parent)
    interpreter = [own, sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path]
    lists = os.pathsep.join(environment.get(name, "") for name in PATH_LISTS).split(os.pathsep)
    # A command of an environment needs all of the environment, not just its bin folder.
    environments = [str(Path(each).parent) for each in lists if Path(each).name == "bin"]
    visible = [*order["visible"], *interpreter, str(program.parent.parent), *lists, *environments]
    found: list[str] = isolation["hidden"](visible, order["temporary"])
    return found


def leave(code: int) -> None:
    """End the child like an interpreter, without finalizing what the parent imported."""
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are not daemons
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    main = getattr(sys.modules.get("__main__"), "__dict__", {})
    if main is not globals():
        with contextlib.suppress(BaseException):
            main.clear()  # which closes the script's files
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code & 0xFF)


def exit_code(order: Order) -> int:
    """Run the child's program and return its exit code; write a traceback to the log."""
    try:
        run(order)
    except SystemExit as error:
        if isinstance(error.code, str):
            sys.stderr.write(error.code + "\n")
            return 1
        return int(error.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def report(**message: object) -> None:
    """Write one line to the process pool."""
    os.write(1, (json.dumps(message) + "\n").encode())


def start(order: Order, running: dict[int, str]) -> None:
    """Fork a child that runs a program."""
    # What the parent does here, each child would do in more time, on pages that it has to copy.
    renew_random_numbers()  # those of ``random`` are renewed by each fork
    order["hidden"] = hidden_paths(order)
    pid = os.fork()
    # The child's own process group makes it possible to end its descendants with it. Parent and
    # child both set it, because either may run first.
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid or os.getpid())
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        leave(exit_code(order))
    running[pid] = order["id"]
    report(id=order["id"], pid=pid)


def reap(running: dict[int, str]) -> None:
    """Report every child that has ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid in running:
            with contextlib.suppress(OSError):  # its descendants
                os.killpg(pid, signal.SIGKILL)
            report(id=running.pop(pid), status=os.waitstatus_to_exitcode(status))
        end_adopted(running)


def adopt_descendants() -> None:
    """Become the parent of what a training process leaves behind, also in sessions of its own."""
    with contextlib.suppress(OSError, AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(CHILD_SUBREAPER, 1, 0, 0, 0)


def end_adopted(running: dict[int, str]) -> None:
    """Kill adopted processes whose training process has ended."""
    ids = {f"{MARK}={each}".encode() for each in running.values()}
    with contextlib.suppress(OSError):  # not Linux
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        for pid in set(map(int, children)) - running.keys():
            with contextlib.suppress(OSError):  # it has ended
                marks = [
                    each
                    for each in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                    if each.startswith(f"{MARK}=".encode())
                ]
                if marks and not ids.intersection(marks):
                    os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Fork a child for each line of the input until the input ends."""
    global CAN_REPLACE_FOLDERS  # noqa: PLW0603  before the imports, with which a fork takes longer
    CAN_REPLACE_FOLDERS = isolation["can_replace_folders"]()
    preload(*sys.argv[1:])
    adopt_descendants()
    spare_children()
    fill_huge_pages()
    running: dict[int, str] = {}
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.set_blocking(reading, False)
    signal.set_wakeup_fd(writing)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    selector.register(reading, selectors.EVENT_READ)
    report(id="", pid=os.getpid())
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
