#!/usr/bin/env python3
"""Build the SageMaker SDK layer without Docker.

Standalone: python layers/sagemaker_sdk/build.py OUT [--archive] [--arch x86_64] [--python 3.13]
With CDK:   infra/sdk_layer.py calls ``build`` during synthesis.

Installs the pinned wheels for Lambda's platform, removes files that never run there, and
compiles the rest: /opt is read-only in Lambda, so without .pyc files each cold start would
compile again (2.5 s). Two builds from the same lock file are identical, byte for byte.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOCK = HERE / "requirements.lock"
LIMIT_BYTES = 250 * 1024 * 1024  # Lambda's limit on function and layers together, unzipped
CACHE = HERE / ".cache"
EARLIEST = (1980, 1, 1, 0, 0, 0)  # that a zip file can store
PRUNED_SUFFIXES = {".pyi", ".pxd", ".pyx", ".h", ".c", ".a"}
PRUNED_NAMES = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", ".lock"}
PRUNED_FOLDERS = {("bin",), ("share",), ("numpy", "_core", "include"), ("numpy", "f2py")}
# Remove the tests of these packages. Keep botocore's data: the SDK loads some of it on import.
PRUNED_TESTS_OF = {"pandas", "numpy", "botocore"}


class BuildError(SystemExit):
    """A failure to build the layer: one line, exit status 1."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"layer: {problem}")


def fingerprint(arch: str, python: str) -> str:
    """Return a digest of everything that the layer depends on."""
    digest = hashlib.sha256(f"{arch}\0{python}\0".encode())
    for file in (LOCK, Path(__file__)):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def build(out: Path | str, arch: str = "x86_64", python: str = "3.13") -> int:
    """Build the layer in the folder ``out``.

    Args:
        out: the folder to fill; it gets a folder ``python``, as Lambda expects.
        arch: x86_64 or aarch64.
        python: the minor version of the runtime, such as 3.13.

    Returns:
        The unzipped size in bytes.

    Raises:
        BuildError: the interpreter or a wheel is missing, or the layer is too large.
    """
    with zipfile.ZipFile(_cached(arch, python)) as layer:
        layer.extractall(out)
    return _size(Path(out))


def build_archive(out: Path | str, arch: str = "x86_64", python: str = "3.13") -> Path:
    """Build the layer as the only file of the folder ``out``, ``layer.zip``.

    cdk publishes such a file as it is. It would compress a folder again for each deployment, which
    takes 5 s.

    Args:
        out: the folder to fill.
        arch: x86_64 or aarch64.
        python: the minor version of the runtime, such as 3.13.

    Returns:
        The file.

    Raises:
        BuildError: as ``build``.
    """
    cached, archive = _cached(arch, python), Path(out, "layer.zip")
    try:
        os.link(cached, archive)
    except OSError:  # another file system, or one without links
        shutil.copyfile(cached, archive)
    return archive


def _cached(arch: str, python: str) -> Path:
    """Return the archive of the layer in the cache, built if it is not there yet."""
    cached = CACHE / f"{fingerprint(arch, python)[:20]}-{python}-{arch}.zip"
    if not cached.exists():
        CACHE.mkdir(exist_ok=True)
        # Build outside the cache, so that the cache only ever contains complete layers.
        with tempfile.TemporaryDirectory(prefix=f"{CACHE.name}.", dir=CACHE.parent) as scratch:
            layer, archive = Path(scratch, "layer"), Path(scratch, "layer.zip")
            size = _build(layer, arch, python)
            _archive(layer, archive)
            archive.replace(cached)
        print(f"layer: {size / 1e6:.0f} MB of {LIMIT_BYTES / 1e6:.0f} MB", file=sys.stderr)
    return cached


def _archive(layer: Path, archive: Path) -> None:
    """Write the files of a folder in a fixed order, with a fixed time and mode."""
    with zipfile.ZipFile(archive, "w") as written:
        for path in sorted(path for path in layer.rglob("*") if path.is_file()):
            member = zipfile.ZipInfo(path.relative_to(layer).as_posix(), EARLIEST)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = (0o755 if os.access(path, os.X_OK) else 0o644) << 16
            written.writestr(member, path.read_bytes())


def _build(out: Path, arch: str, python: str) -> int:
    interpreter = find_interpreter(python)
    site = out / "python"
    install_wheels(site, arch, python)
    _prune(site)
    _compile(site, interpreter)
    size = _size(out)
    if size > LIMIT_BYTES:
        shutil.rmtree(out)
        raise BuildError(
            f"{size} bytes, Lambda allows {LIMIT_BYTES}. Exclude more packages in excludes.txt"
        )
    return size


def find_interpreter(python: str) -> str:
    """Find an interpreter of exactly this minor version to compile with, or fetch one.

    Raises:
        BuildError: there is none, and the .pyc files of another version would be ignored.
    """
    for candidate in _candidates(python):
        asked = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        try:
            answer = subprocess.run(asked, capture_output=True, text=True, check=False)
        except OSError:
            continue
        if answer.stdout.strip() == python:
            return candidate
    return _fetch(python)


def _fetch(python: str) -> str:
    """Fetch an interpreter with uv, which has one for macOS and Linux, x86-64 and arm64.

    uv keeps it in its own folder (~/.local/share/uv/python, or $UV_PYTHON_INSTALL_DIR), so the
    next build finds it there.
    """
    print(f"layer: python{python} not found; fetching it with uv, once", file=sys.stderr)
    answer = _uv("python", "install", "--no-bin", "--no-progress", python)
    fetched = _kept_by_uv(python)
    if answer.returncode == 0 and fetched:
        print(f"layer: fetched {fetched}", file=sys.stderr)
        return fetched
    lines = [line.strip() for line in answer.stderr.splitlines() if line.strip()]
    reason = "; ".join(dict.fromkeys([*lines[:1], *lines[-1:]]))
    raise BuildError(
        f"python{python} not found, which is needed to compile, and uv could not fetch it "
        f"({reason}). Install it, set HPOQ_LAYER_PYTHON to its path, or deploy to the embedded "
        "cloud with -c python_version=X.Y"
    )


def _kept_by_uv(python: str) -> str:
    """Return the path of an interpreter that uv has fetched before, or an empty text."""
    options = ("--managed-python", "--no-python-downloads", "--no-project")
    return _uv("python", "find", *options, python).stdout.strip()


def _uv(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "uv", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _candidates(python: str) -> Iterator[str]:
    yield os.environ.get("HPOQ_LAYER_PYTHON", "")
    yield sys.executable
    yield shutil.which(f"python{python}") or ""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in sorted(pyenv.glob(f"{python}.*"), reverse=True):
        yield str(version / "bin" / "python3")  # pyenv's shim only runs the active version
    yield _kept_by_uv(python)


def install_wheels(site: Path, arch: str, python: str) -> None:
    """Install the pinned wheels for Lambda's platform."""
    command = [
        sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps",
        "--no-compile-bytecode", "--only-binary", ":all:", "--require-hashes",
        "--link-mode", "copy", "--python-version", python,
        "--python-platform", f"{arch}-manylinux_2_28",
        "--requirements", str(LOCK), "--target", str(site),
    ]  # fmt: skip
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        raise BuildError(f"could not install the wheels of {LOCK.name}, see the errors above")


def _prune(site: Path) -> None:
    for path in sorted(site.rglob("*"), reverse=True):
        parts = path.relative_to(site).parts
        if path.is_dir():
            tests = path.name in ("tests", "test") and parts[0] in PRUNED_TESTS_OF
            if tests or parts in PRUNED_FOLDERS or path.name == "__pycache__":
                shutil.rmtree(path)
        elif path.suffix in PRUNED_SUFFIXES or path.name in PRUNED_NAMES:
            path.unlink()


def _compile(site: Path, interpreter: str) -> None:
    """Compile without later checks, because nothing in /opt changes."""
    command = [
        interpreter, "-W", "ignore", "-m", "compileall", "-q",
        "--invalidation-mode", "unchecked-hash", "-s", str(site), "-p", "/opt/python", str(site),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Build the SageMaker SDK layer.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--arch", default="x86_64", choices=["x86_64", "aarch64"])
    parser.add_argument("--python", default="3.13")
    parser.add_argument("--archive", action="store_true", help="write layer.zip, not its content")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    (build_archive if chosen.archive else build)(chosen.out, chosen.arch, chosen.python)


if __name__ == "__main__":
    main()
