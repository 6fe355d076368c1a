"""The aws command of this machine, or one that is installed like that of the demo."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

from examples.demo.aws_cli import aws_command


def path_with_aws(path: str) -> str:
    """Return a PATH with the project's own commands, the aws command, and the given folders."""
    return os.pathsep.join([str(Path(sys.executable).parent), _folder(), path])


@cache
def _folder() -> str:
    return str(aws_command().parent)
