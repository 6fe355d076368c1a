"""Tests of the digests that a run's state belongs to."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from credit_default.dataset.parts import load
from credit_default.identity import code_digest, digest_of


@pytest.mark.parametrize("memory_rows", [10**9, 1])
def test_the_digest_of_a_part_follows_its_rows_and_not_its_place(
    small: Path, tmp_path: Path, memory_rows: int
) -> None:
    copy = shutil.copytree(small / "train", tmp_path / "elsewhere")
    digest = load(small / "train", memory_rows).digest
    assert load(copy, memory_rows).digest == digest
    (file,) = copy.glob("*.npz")
    columns = dict(np.load(file))
    columns["AGE"][0] += 1
    np.savez_compressed(file, **columns)
    assert load(copy, memory_rows).digest != digest


def test_the_digest_of_code_follows_the_content_and_the_names_of_modules(tmp_path: Path) -> None:
    for name in ("one", "two", "renamed", "edited"):
        (tmp_path / name).mkdir()
        module = "other.py" if name == "renamed" else "module.py"
        (tmp_path / name / module).write_text("A = 2\n" if name == "edited" else "A = 1\n")
        (tmp_path / name / "notes.txt").write_text(name)
    digests = [code_digest(tmp_path / name) for name in ("one", "two", "renamed", "edited")]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_texts_divided_otherwise_have_another_digest() -> None:
    assert digest_of([b"ab", b"c"]) != digest_of([b"a", b"bc"])
