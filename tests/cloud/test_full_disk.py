"""The embedded cloud on a full disk: no object is accepted that is not stored, and none is lost."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hpoq.local.lifecycle import installation

ROOT = Path(__file__).parents[2]
OBJECTS = r"""
import asyncio, errno, os, shutil, sys
from collections import namedtuple
from pathlib import Path
from xml.etree import ElementTree
from ministack.services import s3
from hpoq.local.ministack_patches.persistence import store_state_safely

store_state_safely(Path(os.environ["STATE_DIR"]))

def ask(method, path, body=b"", **query):
    parameters = {name: [value] for name, value in query.items()}
    return asyncio.run(s3.handle_request(method, path, {}, body, parameters, internal=True))

def code(answer):
    root = ElementTree.fromstring(answer[2])
    return answer[0], root.findtext("Code"), "No space left" in root.findtext("Message")

def answers(expected, first=b"first"):
    status, _, body = ask("GET", "/things/key")
    assert (status, body) == (200, first), (status, body)
    listed = ElementTree.fromstring(ask("GET", "/things", **{"list-type": "2"})[2])
    sizes = {each.findtext("{*}Key"): each.findtext("{*}Size") for each in listed.iter()
             if each.tag.endswith("Contents")}
    assert sizes == expected, sizes

def upload():
    begun = ElementTree.fromstring(ask("POST", "/things/large", uploads="")[2])
    upload_id = begun.findtext("{*}UploadId")
    _, headers, _ = ask("PUT", "/things/large", b"part", partNumber="1", uploadId=upload_id)
    part = "<Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part>" % headers["ETag"]
    xml = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
    return lambda: ask("POST", "/things/large", xml, uploadId=upload_id)

assert ask("PUT", "/things")[0] == 200
if sys.argv[2] == "versioned":
    enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert ask("PUT", "/things", enabled, versioning="")[0] == 200
assert ask("PUT", "/things/key", b"first")[0] == 200
complete = upload()

def fail(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

works = os.fsync, shutil.disk_usage
if sys.argv[1] == "fsync":
    os.fsync = fail
else:
    shutil.disk_usage = lambda _: namedtuple("usage", "free")(1000)
REFUSED = 500, "InternalError", True
for _ in range(2):
    assert code(ask("PUT", "/things/key", b"second")) == REFUSED
    assert code(ask("PUT", "/things/new", b"new")) == REFUSED
    assert code(complete()) == REFUSED
    answers({"key": "5"})
assert [each.read_bytes() for each in Path(s3.DATA_DIR).rglob("key")] in (
    [b"first"], [b"first"] * 2  # and its copy as an earlier version
)
os.fsync, shutil.disk_usage = works
assert complete()[0] == 200, "the same upload can be completed"
answers({"key": "5", "large": "4"})
assert ask("PUT", "/things/key", b"other")[0] == 200
answers({"key": "5", "large": "4"}, b"other")
"""


@pytest.mark.parametrize("versioning", ["versioned", "plain"])
@pytest.mark.parametrize("full", ["fsync", "disk_usage"])
def test_an_object_that_cannot_be_stored_is_refused_and_the_one_before_is_kept(
    full: str, versioning: str, tmp_path: Path
) -> None:
    packages = os.pathsep.join([str(ROOT), str(ROOT / "lambdas")])
    environment = {
        "PERSIST_STATE": "1", "STATE_DIR": str(tmp_path / "state"), "S3_PERSIST": "1",
        "S3_DATA_DIR": str(tmp_path / "objects"), "PYTHONPATH": packages,
    }  # fmt: skip
    done = subprocess.run(
        [installation.cloud_python(), "-c", OBJECTS, full, versioning],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "could not be written" in line]
    assert len(said) == 1
    assert "No space left on device" in said[0]
