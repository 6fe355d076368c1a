"""One run of a training script as a process of its own, in folders of its own."""

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_LAST_LINES = 20  # of its output, which the reason of a failure is taken from
_STOP_SECONDS = 10.0  # from SIGTERM to SIGKILL
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG, prctl(2)


def flags_of(hyperparameters: Mapping[str, str]) -> list[str]:
    """Return hyperparameters as SageMaker's toolkit passes them to a script."""
    return [
        part
        for name, value in sorted(hyperparameters.items())
        for part in (f"--{name}" if len(name) > 1 else f"-{name}", value)
    ]


def command(script: Path, hyperparameters: Mapping[str, str]) -> list[str]:
    """Return the command line of a script."""
    flags = flags_of(hyperparameters)
    if script.suffix == ".py":
        return [sys.executable, str(script), *flags]
    return ["/bin/sh", str(script), *flags]


def environment(
    environ: Mapping[str, str], folder: Path, script: Path, hyperparameters: Mapping[str, str],
    *, cpus: float, gpus: float,
) -> dict[str, str]:  # fmt: skip
    """Return the variables of one trial: those of the training job, with its own folders and hosts.

    Args:
        environ: the variables of the training job on this host.
        folder: the trial's folder, which stands for /opt/ml where a script reads the variables.
        script: the script, whose folder its imports are found in.
        hyperparameters: all that the script gets.
        cpus: CPUs of the trial.
        gpus: GPUs of the trial.
    """
    kept = {name: value for name, value in environ.items() if not name.startswith("SM_HP")}
    threads = str(max(1, int(cpus)))
    own = {
        "SAGEMAKER_BASE_DIR": folder,
        "SM_MODEL_DIR": folder / "model",
        "SM_OUTPUT_DIR": folder / "output",
        "SM_OUTPUT_DATA_DIR": folder / "output" / "data",
        "SM_CHECKPOINT_DIR": folder / "checkpoints",
        "SM_HPS": json.dumps(dict(hyperparameters)),
        "SM_HOSTS": '["algo-1"]',
        "SM_CURRENT_HOST": "algo-1",
        "SM_NUM_CPUS": threads,
        "SM_NUM_GPUS": str(int(gpus) if gpus >= 1 else int(gpus > 0)),
        "SM_USER_ENTRY_POINT": script.name,
        "SM_MODULE_DIR": script.parent,
        "OMP_NUM_THREADS": threads,
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(script.parent), environ.get("PYTHONPATH", "")])
        ),
    }
    own |= {f"SM_HP_{n.upper().replace('-', '_')}": text for n, text in hyperparameters.items()}
    return kept | {name: str(value) for name, value in own.items()}


def make_folders(folder: Path) -> None:
    """Create the folders that the variables of a trial name."""
    for name in ("model", "output/data", "checkpoints"):
        (folder / name).mkdir(parents=True, exist_ok=True)


class ScriptProcess:
    """A running script, whose output is read line by line.

    Args:
        arguments: its command line.
        environ: its environment variables.
        folder: the trial's folder.
        directory: the working directory.
    """

    def __init__(
        self, arguments: Sequence[str], environ: Mapping[str, str], folder: Path, directory: Path
    ) -> None:
        make_folders(folder)
        self._failure = folder / "output" / "failure"
        self._tail: list[str] = []
        self._process = subprocess.Popen(
            arguments,
            env=dict(environ),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            errors="replace",
            start_new_session=True,  # so that all processes of the script end with it
            preexec_fn=_end_with_parent,  # noqa: PLW1509  one system call, which takes no lock
        )

    def lines(self) -> Iterator[str]:
        """Yield what the script prints, until its end."""
        assert self._process.stdout is not None  # noqa: S101  it is a pipe
        for line in self._process.stdout:
            text = line.rstrip("\r\n")
            self._tail = [*self._tail[1 - _LAST_LINES :], text] if text.strip() else self._tail
            yield text

    def stop(self) -> None:
        """End the script early."""
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Kill the script if it still runs, and wait for its end."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def failure(self) -> str:
        """Wait for the end and return why the script failed; empty if it succeeded."""
        status = self._process.wait()
        if status == 0:
            return ""
        if self._failure.is_file() and (text := self._failure.read_text(errors="replace").strip()):
            return text.splitlines()[0][:1024]
        last = self._tail[-1][:1024] if self._tail else "no output"
        ended = f"killed by {_signal_name(-status)}" if status < 0 else f"exit status {status}"
        return f"{ended}: {last}"


@contextmanager
def running(process: ScriptProcess) -> Iterator[ScriptProcess]:
    """Leave no process behind."""
    try:
        yield process
    finally:
        process.close()


def _end_with_parent() -> None:
    """Have the kernel kill this process when the worker that started it is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
