"""Tests of files that were cut off, or are of another kind than their name says."""

from __future__ import annotations

import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from credit_default.checkpoint import Checkpoint, Damaged, pack, unpack
from credit_default.model import Classifier

PACKED = pack({"step": 1, "network": torch.zeros(1000)})
DAMAGED = {
    "empty": b"",
    "text": b"not a checkpoint\n",
    "cut": PACKED[: len(PACKED) // 2],
    "cut at its end": PACKED[:-1],
    "an image": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "an archive": b"PK\x03\x04" + bytes(100),
    "a list": pack([1, 2, 3]),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_one_line_that_names_it(content: bytes, tmp_path: Path) -> None:
    for name in ("checkpoint.pt", "model.pt"):
        (tmp_path / name).write_bytes(content)
    for read in (Checkpoint(tmp_path).load, lambda: Classifier.load(tmp_path)):
        with pytest.raises(Damaged) as raised:
            read()
        assert len(str(raised.value).splitlines()) == 1
        assert str(tmp_path) in str(raised.value)


def test_a_checkpoint_in_the_place_of_a_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(PACKED)
    with pytest.raises(Damaged, match="not a model: it has no about"):
        Classifier.load(tmp_path)


def test_a_file_that_was_packed_is_read_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "any.pt").write_bytes(PACKED)
    assert unpack(tmp_path / "any.pt")["step"] == 1


class Code:
    """An object that runs a command when pickle reads it."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.made,))


@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_a_file_with_code_is_refused_and_the_code_does_not_run(kind: str, tmp_path: Path) -> None:
    ran, file = tmp_path / "ran", tmp_path / "model.pt"
    content = {"about": Code(ran)}
    file.write_bytes(pack(content) if kind == "torch" else pickle.dumps(content))
    for read in (lambda: unpack(file), lambda: Classifier.load(tmp_path)):
        with pytest.raises(Damaged) as raised:
            read()
        assert len(str(raised.value).splitlines()) == 1
    assert not ran.exists()
    with suppress(RuntimeError):  # the archive of torch.save is no plain pickle
        torch.load(file, weights_only=False)
    assert ran.exists(), "it would have run"
