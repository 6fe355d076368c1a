"""The real `cdk bootstrap` and `cdk deploy` into an embedded cloud."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from hpoq.local.errors import DeploymentFailed, LocalCloudError
from hpoq.local.lifecycle import interpreters, synthesis
from hpoq.local.lifecycle.home import Home, RunningCloud

CDK = "aws-cdk@2.1148.1"  # for apps that do not install their own
BOOTSTRAP_VERSION = "/cdk-bootstrap/hnb659fds/version"
PYTHON_VERSION = "python_version"  # a context key of the app
TARGETS = "targets"  # a context key of the app, whose other stacks are in other places
STACK = "aws:cloudformation:stack"  # an artifact of a synthesis
OUTPUT_LINES_SHOWN = 12  # of cdk, when it fails
APP_ERROR = "hpoq: "  # how the app's own lines begin
APP_FAILED = "Subprocess exited with error"  # cdk says so after the output of an app that failed
# jsii prints a banner of eleven lines on releases of Node.js that have reached their end of life.
NO_BANNER = {"JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "18,20"}


@dataclass(frozen=True)
class AccountAccess:
    """The cloud as seen from one account and Region."""

    running: RunningCloud
    environ: Mapping[str, str]  # makes AWS clients use the cloud
    ssm: Any  # boto3 client


class CdkDeployment:
    """The deployment of one CDK app into one cloud.

    Args:
        home: the cloud's folder, which receives logs and outputs.
        own: the account and Region of stacks that name none.
        access: returns those of an account and a Region.
        app: folder that contains ``cdk.json``; None for the nearest parent folder.
        say: receives one line for each step.

    Raises:
        LocalCloudError: if there is no app.
    """

    def __init__(
        self,
        home: Home,
        own: AccountAccess,
        access: Callable[[str, str], AccountAccess],
        *,
        app: Path | None,
        say: Callable[[str], None],
    ) -> None:
        self._home = home
        self._own = own
        self._access = access
        self._app = _app_in(app.resolve()) if app else _nearest_app(Path.cwd())
        self._say = say
        self._log = home.logs / "deploy.log"
        self._folder = home.path / "cdk.out"
        self._outputs = home.path / "outputs.json"

    def run(self, context: Mapping[str, str]) -> dict[str, str]:
        """Bootstrap the cloud if necessary, deploy the app, and return the outputs.

        Those of stacks in other accounts and Regions begin with the name of the stack and a dot.
        """
        cdk = cdk_command(self._app)
        self._log.write_text("")
        settings = {**self._python_version(context), **context}
        if self._has_targets(context):
            self._synthesize(cdk, settings)
            return self._deploy_everywhere(cdk)
        self._bootstrap(cdk, self._own)
        return self._deploy(cdk, settings)

    def _has_targets(self, context: Mapping[str, str]) -> bool:
        """Return whether the settings have targets. cdk reports a damaged cdk.json."""
        try:
            own = json.loads((self._app / "cdk.json").read_text()).get("context", {})
            return bool(context.get(TARGETS) or own.get(TARGETS))
        except (OSError, ValueError, AttributeError):
            return False

    def _bootstrap(self, cdk: Sequence[str], access: AccountAccess) -> None:
        if not _is_bootstrapped(access.ssm):
            place = f"aws://{access.running.account}/{access.running.region}"
            self._say(f"cdk bootstrap{'' if access is self._own else f' {place}'}")
            self._execute(cdk, ["bootstrap", place], self._home.path, access)

    def _deploy(self, cdk: Sequence[str], context: Mapping[str, str]) -> dict[str, str]:
        """Deploy all stacks, and synthesize them if the last synthesis no longer holds."""
        self._say("cdk deploy")
        inputs = synthesis.inputs(self._app, context, self._cdk_environment(self._own))
        last = synthesis.LastSynthesis(self._folder)
        if inputs and last.inputs == inputs:
            return _flat(self._deploy_synthesized(cdk, self._own, ["--all"]))
        last.forget()
        options = ["--output", str(self._folder), *_settings(context)]
        self._execute(cdk, ["deploy", *self._options, "--all", *options], self._app, self._own)
        last.store(inputs)
        return _flat(json.loads(self._outputs.read_text()))

    def _synthesize(self, cdk: Sequence[str], context: Mapping[str, str]) -> None:
        inputs = synthesis.inputs(self._app, context, self._cdk_environment(self._own))
        last = synthesis.LastSynthesis(self._folder)
        if inputs and last.inputs == inputs:
            return
        self._say("cdk synth")
        last.forget()
        options = ["--quiet", "--output", str(self._folder), *_settings(context)]
        self._execute(cdk, ["synth", *options], self._app, self._own)
        last.store(inputs)

    def _deploy_everywhere(self, cdk: Sequence[str]) -> dict[str, str]:
        """Deploy each stack where it belongs, those of other accounts and Regions first.

        So do updates on AWS: requests from home name the scripts of the new version.
        """
        own = self._own.running
        stacks = _stacks(self._folder)
        here = [name for name, place in stacks.items() if place in (None, _place(own))]
        elsewhere = {name: place for name, place in stacks.items() if name not in here and place}
        outputs: dict[str, str] = {}
        profiles: dict[str, RunningCloud] = {}
        for name, place in elsewhere.items():
            access = self._access(*place)
            self._bootstrap(cdk, access)
            self._say(f"cdk deploy {name}")
            found = _flat(self._deploy_synthesized(cdk, access, ["--exclusively", name]))
            outputs |= {f"{name}.{key}": value for key, value in found.items()}
            profiles[name] = access.running
        self._home.store_profiles(profiles)
        self._bootstrap(cdk, self._own)
        self._say("cdk deploy")
        return outputs | _flat(self._deploy_synthesized(cdk, self._own, ["--exclusively", *here]))

    def _deploy_synthesized(
        self, cdk: Sequence[str], access: AccountAccess, stacks: Sequence[str]
    ) -> dict[str, dict[str, str]]:
        app = ["--app", str(self._folder)]
        self._execute(cdk, ["deploy", *self._options, *app, *stacks], self._app, access)
        outputs: dict[str, dict[str, str]] = json.loads(self._outputs.read_text())
        return outputs

    @property
    def _options(self) -> Sequence[str]:
        return ["--require-approval", "never", "--outputs-file", str(self._outputs)]

    def _python_version(self, context: Mapping[str, str]) -> Mapping[str, str]:
        """Return the setting that deploys functions for this Python if theirs is missing."""
        wanted = interpreters.FUNCTION_VERSION
        if PYTHON_VERSION in context or interpreters.find(wanted):
            return {}
        own = interpreters.own_version()
        self._say(f"python{wanted} is not installed: functions are deployed for python{own}")
        return {PYTHON_VERSION: own}

    def _execute(
        self, cdk: Sequence[str], arguments: Sequence[str], folder: Path, access: AccountAccess
    ) -> None:
        command = [*cdk, *arguments]
        with self._log.open("ab") as log:
            log.write(f"\n$ {' '.join(command)}\n".encode())
            log.flush()
            done = subprocess.run(
                command,
                cwd=folder,
                env=self._cdk_environment(access),
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

    def _cdk_environment(self, access: AccountAccess) -> dict[str, str]:
        """Return an environment in which `python3`, as in cdk.json, is this interpreter."""
        here = str(Path(sys.executable).parent)
        path = os.pathsep.join([here, access.environ.get("PATH", os.defpath)])
        return {**access.environ, **NO_BANNER, "PATH": path, "NO_COLOR": "1", "CI": "1"}


def _is_bootstrapped(ssm: Any) -> bool:
    try:
        ssm.get_parameter(Name=BOOTSTRAP_VERSION)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            return False
        raise
    return True


def _settings(context: Mapping[str, str]) -> list[str]:
    return [part for key, value in context.items() for part in ("-c", f"{key}={value}")]


def _flat(outputs: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {name: value for stack in outputs.values() for name, value in stack.items()}


def _place(running: RunningCloud) -> tuple[str, str]:
    return running.account, running.region


def _stacks(synthesized: Path) -> dict[str, tuple[str, str] | None]:
    """Return the account and Region of each stack; None if it names none."""
    artifacts = json.loads((synthesized / "manifest.json").read_text())["artifacts"]
    found: dict[str, tuple[str, str] | None] = {}
    for name, artifact in artifacts.items():
        if artifact["type"] == STACK:
            account, region = artifact["environment"].removeprefix("aws://").split("/")
            found[name] = None if account.startswith("unknown") else (account, region)
    return found


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
