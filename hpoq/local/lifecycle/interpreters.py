"""Which Python runs what: the cloud itself, the deployed functions, the training jobs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

FUNCTION_VERSION = "3.13"  # what the template asks for
_VERSION = re.compile(r"\d+\.\d+")


def own_version() -> str:
    """Major and minor version of the interpreter that runs this."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def for_functions() -> Mapping[str, Path]:
    """An interpreter for each Lambda runtime this machine can run, such as ``python3.13``."""
    found = {f"python{own_version()}": Path(sys.executable)}
    template = find(FUNCTION_VERSION)
    return {**found, f"python{FUNCTION_VERSION}": template} if template else found


@cache
def find(version: str) -> Path | None:
    """An interpreter of that version, wherever it usually lies, or None."""
    if version == own_version():
        return Path(sys.executable)
    return next((path for path in _candidates(version) if _is(version, path)), None)


def _candidates(version: str) -> Iterator[Path]:
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield Path(on_path)
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / "versions"
    uv = home / ".local" / "share" / "uv" / "python"
    for folder in (pyenv, uv):
        for installed in sorted(folder.glob(f"*{version}*"), reverse=True):
            yield installed / "bin" / f"python{version}"
    for folder in (Path("/opt/homebrew/bin"), Path("/usr/local/bin"), Path("/usr/bin")):
        yield folder / f"python{version}"


def _is(version: str, path: Path) -> bool:
    """Ask it: a shim of that name may stand for nothing."""
    if not path.exists():
        return False
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    answer = subprocess.run(
        [path, "-I", "-c", question], capture_output=True, text=True, check=False, timeout=30
    )
    said = _VERSION.match(answer.stdout)
    return answer.returncode == 0 and said is not None and said[0] == version
