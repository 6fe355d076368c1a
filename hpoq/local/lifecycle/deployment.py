"""The real `cdk bootstrap` and `cdk deploy` into an embedded cloud."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from hpoq.local.errors import DeploymentFailed, LocalCloudError
from hpoq.local.lifecycle import interpreters

if TYPE_CHECKING:
    from hpoq.local.cloud import Cloud

CDK = "aws-cdk@2.1148.1"  # where the app does not bring its own
BOOTSTRAPPED = "/cdk-bootstrap/hnb659fds/version"
PYTHON_VERSION = "python_version"  # the app's context key
LAST_WORDS = 12  # lines of cdk's output shown when it fails


class Deployment:
    """One app's way into one cloud."""

    def __init__(self, cloud: Cloud, app: Path | None, say: Callable[[str], None]) -> None:
        self._cloud = cloud
        self._app = app.resolve() if app else _nearest_app(Path.cwd())
        self._say = say
        self._log = cloud.home.logs / "deploy.log"

    def run(self, context: Mapping[str, str]) -> dict[str, str]:
        """See ``Cloud.deploy``."""
        cdk = self._cdk()
        self._log.write_text("")
        if not self._is_bootstrapped():
            self._say("cdk bootstrap")
            running = self._cloud.running
            target = f"aws://{running.account}/{running.region}"
            self._do([*cdk, "bootstrap", target], self._cloud.home.path)
        self._say("cdk deploy")
        return self._deploy(cdk, {**self._machine(context), **context})

    def _deploy(self, cdk: Sequence[str], context: Mapping[str, str]) -> dict[str, str]:
        outputs = self._cloud.home.path / "outputs.json"
        folder = self._cloud.home.path / "cdk.out"
        settings = [part for key, value in context.items() for part in ("-c", f"{key}={value}")]
        options = ["--require-approval", "never", "--all", "--output", str(folder)]
        self._do([*cdk, "deploy", *options, "--outputs-file", str(outputs), *settings], self._app)
        stacks: dict[str, dict[str, str]] = json.loads(outputs.read_text())
        return {name: value for stack in stacks.values() for name, value in stack.items()}

    def _cdk(self) -> list[str]:
        if shutil.which("node") is None:
            raise LocalCloudError(
                "Node.js is not on the PATH, and `cdk deploy` needs it",
                "Install Node.js 20 or newer",
            )
        own = self._app / "node_modules" / ".bin" / "cdk"
        return [str(own)] if own.exists() else ["npx", "--yes", CDK]

    def _is_bootstrapped(self) -> bool:
        try:
            self._cloud.session().client("ssm").get_parameter(Name=BOOTSTRAPPED)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ParameterNotFound":
                return False
            raise
        return True

    def _machine(self, context: Mapping[str, str]) -> Mapping[str, str]:
        """The same template for the interpreter at hand, where the wanted one is missing."""
        wanted = interpreters.FUNCTION_VERSION
        if PYTHON_VERSION in context or interpreters.find(wanted):
            return {}
        own = interpreters.own_version()
        self._say(f"no python{wanted} on this machine: functions are deployed for python{own}")
        return {PYTHON_VERSION: own}

    def _do(self, command: Sequence[str], folder: Path) -> None:
        with self._log.open("ab") as log:
            log.write(f"\n$ {' '.join(command)}\n".encode())
            log.flush()
            done = subprocess.run(
                command,
                cwd=folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            said = self._log.read_text(errors="replace").rpartition("\n$ ")[2].splitlines()[1:]
            raise DeploymentFailed(
                f"`cdk {command[len(self._cdk())]}` failed: " + "\n".join(said[-LAST_WORDS:]),
                f"All it said is in {self._log}",
            )

    def _environment(self) -> dict[str, str]:
        """cdk.json says `python3`: that is the Python which runs us."""
        environ = self._cloud.environ()
        here = str(Path(sys.executable).parent)
        path = os.pathsep.join([here, environ.get("PATH", os.defpath)])
        return environ | {"PATH": path, "NO_COLOR": "1", "CI": "1"}


def _nearest_app(folder: Path) -> Path:
    for candidate in (folder, *folder.parents):
        if (candidate / "cdk.json").exists():
            return candidate
    raise LocalCloudError(
        f"There is no cdk.json in {folder} or above",
        "Change to the project's folder, or name it with --app",
    )
