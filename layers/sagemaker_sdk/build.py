#!/usr/bin/env python3
"""Build the SageMaker SDK layer, without Docker.

Alone:      python layers/sagemaker_sdk/build.py OUT [--arch x86_64] [--python 3.13]
Under CDK:  infra/sdk_layer.py calls ``build`` while it synthesises.

Installs the hash-pinned lock as Lambda's wheels, prunes what never runs there, and compiles:
/opt is read-only in Lambda, so without .pyc every cold start would compile again (2.5 s).
Two builds of the same lock are identical, byte for byte.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOCK = HERE / "requirements.lock"
LIMIT_BYTES = 250 * 1024 * 1024  # Lambda: function and layers together, unzipped
CACHE = HERE / ".cache"
# Zip cannot tell earlier than 1980.
MTIME = 315_532_800
PRUNED_SUFFIXES = {".pyi", ".pxd", ".pyx", ".h", ".c", ".a"}
PRUNED_NAMES = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", ".lock"}
PRUNED_FOLDERS = {("bin",), ("share",), ("numpy", "_core", "include"), ("numpy", "f2py")}
# Their own tests; botocore's data stays, the SDK loads some of it at import.
PRUNED_TESTS_OF = {"pandas", "numpy", "botocore"}


class BuildError(SystemExit):
    """The layer cannot be built; one line, exit status 1."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"layer: {problem}")


def fingerprint(arch: str, python: str) -> str:
    """Digest of everything the built layer depends on."""
    digest = hashlib.sha256(f"{arch}\0{python}\0".encode())
    for file in (LOCK, Path(__file__)):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def build(out: Path | str, arch: str = "x86_64", python: str = "3.13") -> int:
    """Fill ``out`` with the layer.

    Args:
        out: folder to fill; gets ``python/`` as Lambda expects it.
        arch: x86_64 or aarch64.
        python: minor version of the runtime.

    Returns:
        Unzipped size in bytes.

    Raises:
        BuildError: no such interpreter, a wheel is missing, or the layer is too big.
    """
    cached = CACHE / f"{fingerprint(arch, python)[:20]}-{python}-{arch}"
    if not cached.exists():
        CACHE.mkdir(exist_ok=True)
        # Beside the cache, which at any time holds whole layers only.
        with tempfile.TemporaryDirectory(prefix=f"{CACHE.name}.", dir=CACHE.parent) as scratch:
            fresh = Path(scratch, "layer")
            _build(fresh, arch, python)
            _keep(fresh, cached)
    shutil.copytree(cached, out, dirs_exist_ok=True)
    size = _size(Path(out))
    print(f"layer: {size / 1e6:.0f} MB of {LIMIT_BYTES / 1e6:.0f} MB", file=sys.stderr)
    return size


def _keep(fresh: Path, cached: Path) -> None:
    """Unless another build was quicker: it made the same."""
    try:
        fresh.rename(cached)
    except OSError:
        if not cached.exists():
            raise


def _build(out: Path, arch: str, python: str) -> None:
    interpreter = find_interpreter(python)
    site = out / "python"
    _install(site, arch, python)
    _prune(site)
    _compile(site, interpreter)
    size = _size(out)
    if size > LIMIT_BYTES:
        shutil.rmtree(out)
        raise BuildError(f"{size} bytes, Lambda takes {LIMIT_BYTES}; exclude more (excludes.txt)")
    for path in (out, *out.rglob("*")):
        os.utime(path, (MTIME, MTIME), follow_symlinks=False)


def find_interpreter(python: str) -> str:
    """An interpreter of exactly this minor version, to compile with.

    Raises:
        BuildError: there is none; the .pyc of another version would be ignored.
    """
    for candidate in _candidates(python):
        asked = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        try:
            answer = subprocess.run(asked, capture_output=True, text=True, check=False)
        except OSError:
            continue
        if answer.stdout.strip() == python:
            return candidate
    raise BuildError(
        f"no python{python} here to compile with. Install it, name it in HPOQ_LAYER_PYTHON, or "
        "deploy to the embedded cloud with -c python_version=X.Y"
    )


def _candidates(python: str) -> Iterator[str]:
    yield os.environ.get("HPOQ_LAYER_PYTHON", "")
    yield sys.executable
    yield shutil.which(f"python{python}") or ""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in sorted(pyenv.glob(f"{python}.*"), reverse=True):
        yield str(version / "bin" / "python3")  # pyenv's shim answers for the active version only


def _install(site: Path, arch: str, python: str) -> None:
    command = [
        sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps",
        "--no-compile-bytecode", "--only-binary", ":all:", "--require-hashes",
        "--link-mode", "copy", "--python-version", python,
        "--python-platform", f"{arch}-manylinux_2_28",
        "--requirements", str(LOCK), "--target", str(site),
    ]  # fmt: skip
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        raise BuildError(f"the wheels of {LOCK.name} could not be installed, see above")


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
    """Unchecked: nothing in /opt changes, and a check would compare times."""
    command = [
        interpreter, "-W", "ignore", "-m", "compileall", "-q",
        "--invalidation-mode", "unchecked-hash", "-s", str(site), "-p", "/opt/python", str(site),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Build the SageMaker SDK layer.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--arch", default="x86_64", choices=["x86_64", "aarch64"])
    parser.add_argument("--python", default="3.13")
    chosen = parser.parse_args()
    build(chosen.out, chosen.arch, chosen.python)


if __name__ == "__main__":
    main()
