"""The release of Node.js that runs the CDK, and jsii's notices about it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import MutableMapping

SUPPORTED = (22, 24)
# jsii prints a banner of eleven lines on any other release. The variables that silence it are in
# @jsii/check-node: the first takes a list of releases, the others any value.
SILENCE_END_OF_LIFE = "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION"
SILENCE_OTHERS = (
    "JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION",
    "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION",
    "JSII_SILENCE_WARNING_KNOWN_BROKEN_NODE_VERSION",
)


def replace_notices(environ: MutableMapping[str, str]) -> str | None:
    """Silence jsii's notices about the installed Node.js; return one line instead if needed."""
    release = installed_release()
    if release is None:
        return None  # jsii says that there is no Node.js
    environ[SILENCE_END_OF_LIFE] = str(release)
    for name in SILENCE_OTHERS:
        environ.setdefault(name, "1")
    return notice(release)


def installed_release() -> int | None:
    """Return the major version of `node`, or None if `node` does not run."""
    try:
        answer = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    found = re.match(r"v(\d+)\.", answer.stdout)
    return int(found[1]) if found else None


def notice(release: int) -> str | None:
    """Return one line about a release that hpoq does not support; None if it does."""
    if release in SUPPORTED:
        return None
    supported = " or ".join(str(each) for each in SUPPORTED)
    what = "has reached its end of life" if release < min(SUPPORTED) else "is not tested"
    return f"Node.js {release} {what}. Install Node.js {supported}"
