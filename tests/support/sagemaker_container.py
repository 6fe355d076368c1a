"""SageMaker's PyTorch container without Docker: its files, entry point, host name and namespaces.

The entry point of the images is a shell script that runs `train` without exec:
https://github.com/aws/deep-learning-containers, start_with_right_hostname.sh. The shell is process
1 of the container. The kernel drops a signal without a handler for process 1, and bash forwards
none, so that SIGTERM does not reach the training script.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

import psutil

from tests.support.training_scripts import ROOT

RAY = ("ray", "optuna", "hyperopt")
CHANNELS = ("train", "validation", "test")
NEW_NAMESPACES = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--uts"]
# As root of its namespaces, prepares what Docker prepares, then becomes the entry point.
PREPARE = 'mount --bind "$1" /etc/hosts && hostname algo-1 && ip link set lo up && exec "${@:2}"'
ENTRY_POINT = """#!/usr/bin/env bash
if [[ "$1" = "train" ]]; then
     train
else
     eval "$@"
fi
"""


@cache
def can_isolate() -> bool:
    """Return whether this process may create a container's namespaces."""
    try:
        tried = [*NEW_NAMESPACES, "--net", "ip", "link", "set", "lo", "up"]
        return subprocess.run(tried, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class Container:
    """A container that trains one model; it starts as often as SageMaker restarts the job.

    Attributes:
        ml: the folder in place of /opt/ml.
        python: the interpreter of the image.
        network: False isolates the container from every network.
    """

    ml: Path
    python: Path = Path(sys.executable)
    network: bool = True

    def lay_out(self, data: Path, script: str, **hyperparameters: object) -> None:
        """Write the files that SageMaker provides: configuration, channels and source archive.

        SageMaker's SDK passes the code of an isolated job as the channel `code`:
        https://github.com/aws/sagemaker-python-sdk, CONTAINER_CODE_CHANNEL_SOURCEDIR_PATH. For a
        job with a network, the archive's folder is in place of S3.
        """
        for folder in ("input/config", "model", "output", "checkpoints"):
            (self.ml / folder).mkdir(parents=True)
        for channel in CHANNELS:
            shutil.copytree(data / channel, self.channel(channel))
        code = self.ml / "s3" if self.network else self.channel("code")
        code.mkdir(parents=True)
        with tarfile.open(code / "sourcedir.tar.gz", "w:gz") as archive:
            for path in sorted((ROOT / "training").iterdir()):
                if path.name != "__pycache__":
                    archive.add(path, path.name)
        values = {name.replace("_", "-"): str(value) for name, value in hyperparameters.items()}
        self._write_config("hyperparameters", values | {
            "sagemaker_program": script,
            "sagemaker_submit_directory": str(code / "sourcedir.tar.gz"),
            "sagemaker_region": "us-east-1",
            "_tuning_objective_metric": "validation:auc",
        })  # fmt: skip
        self._write_config("resourceconfig", {
            "current_host": "algo-1",
            "hosts": ["algo-1"],
            "network_interface_name": "lo" if not self.network else "eth0",
            "current_instance_type": "ml.m5.large",
        })  # fmt: skip

    def channel(self, name: str) -> Path:
        """Return the folder of a channel."""
        return self.ml / "input" / "data" / name

    @contextmanager
    def start(self) -> Iterator[subprocess.Popen[str]]:
        """Start the container; kill it with all its processes at the end of the block."""
        mode = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}
        channels = sorted(path.name for path in (self.ml / "input" / "data").iterdir())
        config = dict.fromkeys(channels, mode | {"RecordWrapperType": "None"})
        self._write_config("inputdataconfig", config)
        hosts = self.ml / "hosts"
        hosts.write_text("127.0.0.1 localhost algo-1\n")
        entry_point = self.ml / "start_with_right_hostname.sh"
        entry_point.write_text(ENTRY_POINT)
        isolated = [] if self.network else ["--net"]
        command = [*NEW_NAMESPACES, *isolated, "bash", "-c", PREPARE, "prepare", str(hosts)]
        command += ["bash", "-m", str(entry_point), "train"]
        environ = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        environ |= {
            "PATH": os.pathsep.join([str(self.python.parent), os.environ["PATH"]]),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "SAGEMAKER_TRAINING_MODULE": "sagemaker_pytorch_container.training:main",
            "SAGEMAKER_BASE_DIR": str(self.ml),
        }
        pipe, log = subprocess.PIPE, subprocess.STDOUT
        with subprocess.Popen(
            command, cwd=self.ml, env=environ, stdout=pipe, stderr=log, text=True
        ) as started:
            try:
                yield started
            finally:
                started.kill()

    def run(self) -> tuple[int, str]:
        """Run the container to its end and return its exit status and log."""
        with self.start() as started:
            log, _ = started.communicate()
        return started.returncode, log

    def _write_config(self, name: str, content: object) -> None:
        (self.ml / "input" / "config" / f"{name}.json").write_text(json.dumps(content))


def without_ray(folder: Path) -> Path:
    """Make an environment with all packages but those of requirements-ray.txt, as in the images.

    Returns:
        The environment's interpreter.
    """
    make = [sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(folder)]
    subprocess.run(make, check=True)
    (site,) = folder.glob("lib/*/site-packages")
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if not package.name.startswith(RAY):
            (site / package.name).symlink_to(package)
    python = folder / "bin" / "python"
    train = f"#!{python}\nfrom sagemaker_training.cli.train import main\nmain()\n"
    python.with_name("train").write_text(train)
    python.with_name("train").chmod(0o755)
    return python


def pack_wheels(folder: Path) -> None:
    """Write the wheels of requirements-ray.txt, which are installed here, to a folder."""
    folder.mkdir()
    for name in RAY:
        package = distribution(name)
        tags = re.findall(r"^Tag: (\S+)$", package.read_text("WHEEL") or "", re.MULTILINE)
        file = folder / f"{name}-{package.version}-{tags[0]}.whl"
        with zipfile.ZipFile(file, "w") as wheel:
            for path in package.files or ():
                if ".." not in path.parts and path.suffix != ".pyc":
                    wheel.write(path.locate(), path.as_posix())


def read_until(text: str, started: subprocess.Popen[str]) -> str:
    """Read a container's log up to a line that contains the text, and return the log."""
    assert started.stdout is not None
    log = ""
    for line in started.stdout:
        log += line
        if text in line:
            return log
    raise AssertionError(log)


def send(number: signal.Signals, started: subprocess.Popen[str]) -> None:
    """Send a signal to process 1 of the container, as SageMaker does."""
    (process_1,) = psutil.Process(started.pid).children()
    process_1.send_signal(number)


def predictions(model: Path, data: Path, python: Path = Path(sys.executable)) -> list[str]:
    """Return the lines that predict.py prints for the test part."""
    command = [python, ROOT / "training" / "predict.py", "--model", model, "--data", data / "test"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()
