"""The real `cdk bootstrap` and `cdk deploy` into an embedded cloud."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from hpoq.local.errors import DeploymentFailed, LocalCloudError
from hpoq.local.lifecycle import interpreters, synthesis
from hpoq.local.lifecycle.home import Home, RunningCloud

CDK = "aws-cdk@2.1148.1"  # for apps that do not install their own
BOOTSTRAP_VERSION = "/cdk-bootstrap/hnb659fds/version"
PYTHON_VERSION = "python_version"  # the app's context key
OUTPUT_LINES_SHOWN = 12  # of cdk, when it fails
APP_ERROR = "hpoq: "  # how the app's own lines begin
APP_FAILED = "Subprocess exited with error"  # cdk says so after the output of an app that failed
# jsii prints a banner of eleven lines on releases of Node.js that have reached their end of life.
NO_BANNER = {"JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "18,20"}


class CdkDeployment:
    """The deployment of one CDK app into one cloud.

    Args:
        home: the cloud's folder, which receives logs and outputs.
        running: the account and Region to bootstrap.
        environ: environment that makes AWS clients use the cloud.
        ssm: boto3 client of the cloud's SSM.
        app: folder that contains ``cdk.json``; None for the nearest parent folder.
        say: receives one line for each step.

    Raises:
        LocalCloudError: if there is no app.
    """

    def __init__(
        self,
        home: Home,
        running: RunningCloud,
        *,
        environ: Mapping[str, str],
        ssm: Any,
        app: Path | None,
        say: Callable[[str], None],
    ) -> None:
        self._home = home
        self._running = running
        self._environ = environ
        self._ssm = ssm
        self._app = _app_in(app.resolve()) if app else _nearest_app(Path.cwd())
        self._say = say
        self._log = home.logs / "deploy.log"

    def run(self, context: Mapping[str, str]) -> dict[str, str]:
        """Bootstrap the cloud if necessary, deploy the app, and return the stack's outputs."""
        cdk = cdk_command(self._app)
        self._log.write_text("")
        if not self._is_bootstrapped():
            self._say("cdk bootstrap")
            target = f"aws://{self._running.account}/{self._running.region}"
            self._execute(cdk, ["bootstrap", target], self._home.path)
        self._say("cdk deploy")
        return self._deploy(cdk, {**self._python_version(context), **context})

    def _deploy(self, cdk: Sequence[str], context: Mapping[str, str]) -> dict[str, str]:
        outputs = self._home.path / "outputs.json"
        folder = self._home.path / "cdk.out"
        options = ["--require-approval", "never", "--all", "--outputs-file", str(outputs)]
        settings = [part for key, value in context.items() for part in ("-c", f"{key}={value}")]
        inputs = synthesis.inputs(self._app, context, self._cdk_environment())
        last = synthesis.LastSynthesis(folder)
        if inputs and last.inputs == inputs:
            self._execute(cdk, ["deploy", *options, "--app", str(folder)], self._app)
        else:
            last.forget()
            self._execute(cdk, ["deploy", *options, "--output", str(folder), *settings], self._app)
            last.store(inputs)
        stacks: dict[str, dict[str, str]] = json.loads(outputs.read_text())
        return {name: value for stack in stacks.values() for name, value in stack.items()}

    def _is_bootstrapped(self) -> bool:
        try:
            self._ssm.get_parameter(Name=BOOTSTRAP_VERSION)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ParameterNotFound":
                return False
            raise
        return True

    def _python_version(self, context: Mapping[str, str]) -> Mapping[str, str]:
        """Return the setting that deploys functions for this Python if theirs is missing."""
        wanted = interpreters.FUNCTION_VERSION
        if PYTHON_VERSION in context or interpreters.find(wanted):
            return {}
        own = interpreters.own_version()
        self._say(f"python{wanted} is not installed: functions are deployed for python{own}")
        return {PYTHON_VERSION: own}

    def _execute(self, cdk: Sequence[str], arguments: Sequence[str], folder: Path) -> None:
        command = [*cdk, *arguments]
        with self._log.open("ab") as log:
            log.write(f"\n$ {' '.join(command)}\n".encode())
            log.flush()
            done = subprocess.run(
                command,
                cwd=folder,
                env=self._cdk_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            output = self._log.read_text(errors="replace").rpartition("\n$ ")[2].splitlines()[1:]
            raise DeploymentFailed(
                f"`cdk {arguments[0]}` failed: " + "\n".join(_cause(output)),
                f"Its whole output is in {self._log}",
            )

    def _cdk_environment(self) -> dict[str, str]:
        """Return an environment in which `python3`, as in cdk.json, is this interpreter."""
        here = str(Path(sys.executable).parent)
        path = os.pathsep.join([here, self._environ.get("PATH", os.defpath)])
        return {**self._environ, **NO_BANNER, "PATH": path, "NO_COLOR": "1", "CI": "1"}


def _cause(output: Sequence[str]) -> Sequence[str]:
    """Return the errors that the app itself printed, or the last lines of cdk.

    If the app has not failed, cdk's lines about a stack may begin like those of the app.
    """
    if not any(APP_FAILED in line for line in output):
        return output[-OUTPUT_LINES_SHOWN:]
    own = [line.removeprefix(APP_ERROR) for line in output if line.startswith(APP_ERROR)]
    return [each for each in own if not each.startswith("note: ")] or output[-OUTPUT_LINES_SHOWN:]


def cdk_command(app: Path) -> list[str]:
    """Return the command of the app's own cdk, or of a pinned one.

    Raises:
        LocalCloudError: if Node.js is missing.
    """
    if shutil.which("node") is None:
        raise LocalCloudError(
            "Node.js is not on the PATH, and `cdk deploy` needs it",
            "Install Node.js 22 or 24",
        )
    own = app / "node_modules" / ".bin" / "cdk"
    return [str(own)] if own.exists() else ["npx", "--yes", CDK]


def _app_in(folder: Path) -> Path:
    if not (folder / "cdk.json").exists():
        raise LocalCloudError(f"There is no cdk.json in {folder}", "Name the project's folder")
    return folder


def _nearest_app(folder: Path) -> Path:
    for candidate in (folder, *folder.parents):
        if (candidate / "cdk.json").exists():
            return candidate
    raise LocalCloudError(
        f"There is no cdk.json in {folder} or its parent folders",
        "Change to the project's folder, or specify it with --app",
    )
