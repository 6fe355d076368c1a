"""Software bills of materials in CycloneDX's JSON form: ``make sbom``.

Writes one for the Python environment of hpoq and one for the Lambda layer, from their lock files.
The same lock files give the same documents.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOL = "cyclonedx-bom==7.5.0"  # not in audit.in: checkov pins another version of its library
LOCKS = {
    "hpoq": ROOT / "requirements.txt",
    "layer": ROOT / "layers" / "sagemaker_sdk" / "requirements.lock",
}


def write(folder: Path) -> list[Path]:
    """Write the documents into a folder, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, lock in LOCKS.items():
        path = folder / f"{name}.cdx.json"
        command = ["uvx", "--quiet", "--from", TOOL, "cyclonedx-py", "requirements"]
        command += ["--output-reproducible", "--output-file", str(path)]
        command += ["--pyproject", str(ROOT / "pyproject.toml")] if name == "hpoq" else []
        subprocess.run([*command, str(lock)], check=True, stderr=subprocess.DEVNULL)
        written.append(path)
    return written


if __name__ == "__main__":
    for made in write(ROOT / "dist"):
        sys.stdout.write(f"{made.relative_to(ROOT)}\n")
