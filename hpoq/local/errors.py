"""The errors of the embedded cloud, each with its fix."""

from __future__ import annotations

from pathlib import Path

from hpo_dispatcher.contract.errors import HpoqError


class LocalCloudError(HpoqError):
    """A problem of the embedded cloud, in one line with its fix."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what} {fix}" if what.endswith("?") else f"{what}. {fix}")
        self.what = what
        self.fix = fix


class NotRunning(LocalCloudError):
    """The embedded cloud is not running."""


class DeploymentFailed(LocalCloudError):
    """`cdk` failed; ``what`` contains the last lines of its output."""


class DamagedFile(LocalCloudError):
    """A file of the cloud's state cannot be read, and there is no earlier one to use instead."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(
            f"{path} is damaged: {problem}",
            "Nothing was changed. Restore this file from a backup, or use another folder "
            "(HPOQ_HOME) for a new account",
        )
        self.path = path
