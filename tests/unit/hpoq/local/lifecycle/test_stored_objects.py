"""S3 objects of a home that a power cut has torn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hpoq.local.lifecycle.home import Home
from hpoq.local.lifecycle.stored_objects import set_torn_aside

BUCKET = "000000000001/bucket"
WHOLE = b"all of it"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / ".hpoq")
    home.create()
    return home


def store(home: Home, key: str, content: bytes | None = WHOLE, **description: Any) -> Path:
    """Write an object as ministack does: a file, and its description beside it."""
    file = home.objects / BUCKET / key
    file.parent.mkdir(parents=True, exist_ok=True)
    if content is not None:
        file.write_bytes(content)
    described = {"size": len(WHOLE), "etag": "...", "key": key} | description
    file.with_name(f"{file.name}.meta.json").write_text(json.dumps(described))
    return file


@pytest.mark.parametrize("torn", [b"", WHOLE[:-1], WHOLE + b"\0"])
def test_a_torn_object_is_set_aside_with_its_description(home: Home, torn: bytes) -> None:
    file, whole = store(home, "a/torn.txt", torn), store(home, "a/whole.txt")

    moved = set_torn_aside(home)

    aside = home.damaged_objects / BUCKET / "a/torn.txt"
    assert moved == [aside, aside.with_name("torn.txt.meta.json")]
    assert aside.read_bytes() == torn
    assert sorted(file.parent.iterdir()) == [whole, whole.with_name("whole.txt.meta.json")]
    assert home.damaged() == {*moved}


@pytest.mark.parametrize("description", ["", '{"size": 9', "[]", "\0\0"])
def test_an_object_without_a_readable_description_is_set_aside(
    home: Home, description: str
) -> None:
    file = store(home, "key")
    file.with_name("key.meta.json").write_text(description)
    assert len(set_torn_aside(home)) == 2
    assert not file.exists()


def test_what_was_set_aside_before_is_kept(home: Home) -> None:
    for content in (b"first", b"later"):
        store(home, "key", content)
        set_torn_aside(home)
    kept = home.damaged_objects / BUCKET
    assert (kept / "key").read_bytes() == b"first"
    assert (kept / "key.2").read_bytes() == b"later"


@pytest.mark.parametrize(
    ("content", "description"),
    [
        (WHOLE, {}),
        (b"", {"size": 0}),  # an empty object
        (b"older", {"is_delete_marker": True}),  # the file belongs to the version before
        (None, {"is_delete_marker": True}),
        (b"written by an earlier version", {"size": None}),
    ],
)
def test_whole_objects_stay_where_they_are(
    home: Home, content: bytes | None, description: dict[str, Any]
) -> None:
    store(home, "key", content, **description)
    assert set_torn_aside(home) == []
    assert home.damaged() == set()


def test_earlier_versions_of_objects_are_no_accounts(home: Home) -> None:
    file = home.objects / ".versions" / BUCKET / "v1.meta.json"
    file.parent.mkdir(parents=True)
    file.write_text("")
    assert set_torn_aside(home) == []
