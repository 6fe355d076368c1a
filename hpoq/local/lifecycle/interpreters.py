"""The Python interpreters of this machine, for the deployed functions."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

FUNCTION_VERSION = "3.13"  # the runtime of the template
_VERSION = re.compile(r"\d+\.\d+")


def own_version() -> str:
    """Return the major and minor version of this interpreter."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def for_functions() -> Mapping[str, Path]:
    """Return an interpreter for each Lambda runtime of this machine, such as ``python3.13``."""
    found = {f"python{own_version()}": Path(sys.executable)}
    template = find(FUNCTION_VERSION)
    return {**found, f"python{FUNCTION_VERSION}": template} if template else found


@cache
def find(version: str) -> Path | None:
    """Return an interpreter of a version from the usual folders, or None."""
    if version == own_version():
        return Path(sys.executable)
    return next((path for path in _candidates(version) if _is(version, path)), None)


def _candidates(version: str) -> Iterator[Path]:
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield Path(on_path)
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / "versions"
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", home / ".local" / "share" / "uv" / "python"))
    for folder in (pyenv, uv):
        for installed in sorted(folder.glob(f"*{version}*"), reverse=True):
            yield installed / "bin" / f"python{version}"
    for folder in (Path("/opt/homebrew/bin"), Path("/usr/local/bin"), Path("/usr/bin")):
        yield folder / f"python{version}"


def _is(version: str, path: Path) -> bool:
    """Return whether a program is an interpreter of a version, which a shim may not be."""
    if not path.exists():
        return False
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    answer = subprocess.run(
        [path, "-I", "-c", question], capture_output=True, text=True, check=False, timeout=30
    )
    reported = _VERSION.match(answer.stdout)
    return answer.returncode == 0 and reported is not None and reported[0] == version
