"""Build the wheel of the package that users install: `make dist`.

    python -m tools.wheel [FOLDER]

Two builds of one commit are equal byte for byte, on any machine with the pinned setuptools: the
wheel is built from a copy of the versioned files with fixed modes, and its times are those of the
commit ($SOURCE_DATE_EPOCH replaces them: reproducible-builds.org/specs/source-date-epoch).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGED = ("hpoq", "lambdas/hpo_dispatcher", "pyproject.toml", "README.md", "LICENSE")
EPOCH = "SOURCE_DATE_EPOCH"
UMASK = 0o022  # files in a wheel have modes
FILE_MODE = 0o644


def build(out: Path, root: Path = ROOT) -> Path:
    """Build the wheel in a folder and return its path.

    Raises:
        SystemExit: git or the build failed.
    """
    with tempfile.TemporaryDirectory(prefix="hpoq-wheel-") as scratch:
        copy_versioned(root, Path(scratch, "source"))
        command = [
            sys.executable, "-m", "uv", "build", "--wheel", "--quiet", "--no-build-isolation",
            "--python", sys.executable, "--out-dir", f"{scratch}/dist", f"{scratch}/source",
        ]  # fmt: skip
        environment = os.environ | {EPOCH: os.environ.get(EPOCH) or _commit_time(root)}
        if subprocess.run(command, env=environment, umask=UMASK, check=False).returncode:
            raise SystemExit("wheel: the build failed, see the errors above")
        (built,) = Path(scratch, "dist").glob("*.whl")
        out.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copyfile(built, out / built.name))


def copy_versioned(root: Path, folder: Path) -> None:
    """Copy the files of the package that git knows, with fixed modes."""
    for name in _git(root, "ls-files", "-z", *PACKAGED).split("\0"):
        source, target = root / name, folder / name
        if name and source.exists():  # a deleted file may still be in git's index
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            target.chmod(FILE_MODE)


def _commit_time(root: Path) -> str:
    return _git(root, "log", "-1", "--format=%ct").strip()


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise SystemExit(f"wheel: {answer.stderr.strip()}. Build from a clone of the repository")
    return answer.stdout


def main() -> None:
    """Build the wheel, and print its path and digest."""
    wheel = build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    sys.stdout.write(f"{wheel}\nsha256 {digest}\n")


if __name__ == "__main__":
    main()
