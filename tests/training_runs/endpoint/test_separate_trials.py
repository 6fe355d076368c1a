"""Training jobs that run at once share nothing that one of them can change."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hpoq.local.sagemaker.training.processes import isolation
from tests.support.memory_endpoint import MemoryPorts, archive, ended, training_job

# Each job writes what the others would see, and waits until all have written.
SCRIPT = """
import argparse, json, os, pathlib, tempfile, time
parser = argparse.ArgumentParser()
parser.add_argument("--me")
parser.add_argument("--lr")
me = parser.parse_known_args()[0].me
rows = pathlib.Path(os.environ["SM_CHANNEL_TRAIN"], "rows.csv")
before = rows.read_text()
rows.write_text(me)
places = [pathlib.Path(tempfile.gettempdir()), pathlib.Path("~").expanduser()]
if os.access("/proc/self/ns/mnt", os.F_OK):
    places += [pathlib.Path("/tmp"), pathlib.Path("/var/tmp"), pathlib.Path("/dev/shm")]
for place in places:
    (place / f"of-{me}").write_text(me)
print("written", flush=True)
time.sleep(0.5)
others = sorted({each.name for place in places for each in place.glob("of-*")} - {f"of-{me}"})
print(json.dumps({"before": before, "after": rows.read_text(), "others": others}))
"""


def lines_of(memory: MemoryPorts, name: str) -> list[str]:
    return [
        line for stream, lines in memory.lines.items() if stream.startswith(f"{name}/")
        for line in lines
    ]  # fmt: skip


# On AWS, each training job has instances of its own.
@pytest.mark.parametrize("fresh", [False, True])
def test_jobs_that_run_at_once_see_neither_files_nor_changes_of_each_other(
    sagemaker: Any, memory: MemoryPorts, *, fresh: bool
) -> None:
    if not isolation.can_replace_folders():
        pytest.skip("this machine allows no namespaces: /tmp is shared, TMPDIR is not")
    memory.stored["bucket", "source.tar.gz"] = archive({"train.py": SCRIPT})
    environment = {"PYTHONHASHSEED": "1"} if fresh else {}
    for name in ("one", "two"):
        job = training_job(name, me=name) | {"Environment": environment}
        sagemaker.create_training_job(**job)
    for name in ("one", "two"):
        assert ended(sagemaker, name)["TrainingJobStatus"] == "Completed"
        found = json.loads(lines_of(memory, name)[-1])
        assert found == {"before": "1,2,3\n", "after": name, "others": []}
    assert not list(Path("/tmp").glob("of-*"))


# docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
def test_the_hosts_of_a_job_find_each_other_by_name(sagemaker: Any, memory: MemoryPorts) -> None:
    if not isolation.can_replace_folders():
        pytest.skip("this machine allows no namespaces: /etc/hosts is shared")
    script = "import socket\nprint(*map(socket.gethostbyname, ('algo-1', 'algo-2', 'localhost')))\n"
    memory.stored["bucket", "source.tar.gz"] = archive({"train.py": script})
    job = training_job("pair")
    job["ResourceConfig"]["InstanceCount"] = 2
    sagemaker.create_training_job(**job)
    assert ended(sagemaker, "pair")["TrainingJobStatus"] == "Completed"
    first, second = lines_of(memory, "pair")
    assert first == second, "both know the same addresses"
    one, two, local = first.split()
    assert one != two
    assert local == "127.0.0.1"


# docs.python.org/3/library/tempfile.html: TMPDIR comes first.
def test_a_temporary_folder_in_the_environment_of_a_job_is_used(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    script = "import os, tempfile\nprint(tempfile.gettempdir(), os.environ.get('TMPDIR'))\n"
    memory.stored["bucket", "source.tar.gz"] = archive({"train.py": script})
    job = training_job("own") | {"Environment": {"TMPDIR": "/opt"}}
    sagemaker.create_training_job(**job)
    assert ended(sagemaker, "own")["TrainingJobStatus"] == "Completed"
    assert lines_of(memory, "own")[-1] == "/opt /opt"


LOOK = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import isolation
private, kept = sys.argv[2:]
print(isolation.can_replace_folders(), isolation.replace_folders({"/tmp": private}, [kept]))
open("/tmp/hpoq-mine", "w").write("mine")
print(os.getuid(), sorted(os.listdir("/tmp")), open(os.path.join(kept, "kept")).read())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("user", [0, 65534])
def test_folders_are_replaced_as_root_and_as_a_user(user: int) -> None:
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    folder = Path("/tmp") / f"hpoq-test-{os.getpid()}-{user}"
    own, kept = folder / "own", folder / "kept"
    try:
        for each in (own, kept):
            each.mkdir(parents=True)
            os.chown(each, user, user)
        (kept / "kept").write_text("kept")
        shutil.copy(isolation.__file__, folder / "isolation.py")
        command = [python or sys.executable, "-c", LOOK, str(folder), str(own), str(kept)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, user=user, group=user,
            extra_groups=[], cwd="/",
        )  # fmt: skip
        if done.stdout.startswith("False"):
            pytest.skip("this machine allows no namespaces")
        assert done.stdout.splitlines() == [
            "True True", f"{user} ['hpoq-mine', '{folder.name}'] kept"
        ], done.stderr  # fmt: skip
        assert not Path("/tmp/hpoq-mine").exists()
        assert (own / "hpoq-mine").read_text() == "mine"
    finally:
        shutil.rmtree(folder)
