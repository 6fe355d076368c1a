"""Tests of the bills of materials, against the lock files as another parser reads them."""

from __future__ import annotations

import json
from pathlib import Path

from packaging.requirements import Requirement

from tools.sbom import LOCKS, write


def names_in(lock: Path) -> set[str]:
    """Return the packages of a lock file, without markers of other platforms and hashes."""
    lines = (line.split(" --hash", 1)[0].rstrip("\\ ") for line in lock.read_text().splitlines())
    return {Requirement(line).name for line in lines if line and line[0] not in "# "}


def test_a_bill_names_every_package_of_its_lock_file(tmp_path: Path) -> None:
    paths = write(tmp_path)
    for path, lock in zip(paths, LOCKS.values(), strict=True):
        bill = json.loads(path.read_text())
        assert bill["bomFormat"] == "CycloneDX"
        assert {each["name"] for each in bill["components"]} == names_in(lock)
        assert all(each["purl"].endswith(each["version"]) for each in bill["components"])
    root = json.loads(paths[0].read_text())["metadata"]["component"]
    assert (root["name"], root["version"]) == ("hpoq", "0.1.0")
