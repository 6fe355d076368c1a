"""The cloud's environment as a POSIX shell reads it."""

from __future__ import annotations

import shlex

from hpoq.local.cloud import MISLEADING, Cloud


def exports(cloud: Cloud) -> str:
    """Lines for `eval`."""
    lines = [f"unset {' '.join(MISLEADING)}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in cloud.env.items()]
    return "\n".join(lines)
