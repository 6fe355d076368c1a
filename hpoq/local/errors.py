"""What can keep the embedded cloud from starting, and the fix."""

from __future__ import annotations

from hpo_dispatcher.contract.errors import HpoqError


class LocalCloudError(HpoqError):
    """One line: what went wrong, where, and what to do about it."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}. {fix}")
        self.what = what
        self.fix = fix


class NotRunning(LocalCloudError):
    """There is no embedded cloud to talk to."""


class DeploymentFailed(LocalCloudError):
    """`cdk` ended with an error; its last lines are in ``what``."""
