"""What a script finds and what its end means, as in a container of SageMaker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from boto3 import Session

from hpoq.local.lifecycle.processes import wait_until
from hpoq.local.sagemaker import EngineSettings
from tests.support.memory_endpoint import (
    MemoryPorts,
    Start,
    archive,
    client_of,
    ended,
    training_job,
)

TRAIN = Path(sys.executable).with_name("train")  # the command of the toolkit
LOOK = """
import json, os, pathlib, sys
base = pathlib.Path(os.environ["SM_INPUT_CONFIG_DIR"])
files = {each.stem: json.loads(each.read_text()) for each in base.glob("*.json")}
variables = {name: text for name, text in os.environ.items() if name.startswith("SM_")}
print("seen " + json.dumps({"arguments": sys.argv[1:], "variables": variables, "files": files}))
"""
GIVEN = {
    "text": "plain", "json-text": '"quoted"', "number": "3", "float": "1e-05", "flag": "true",
    "none": "null", "list": '[1, "a"]', "map": '{"y": 2, "x": "1"}', "e": "x",
    "with_underscore": "1", "sagemaker_custom": "7", "_tuning_objective_metric": "auc",
}  # fmt: skip
# What differs between a container and a job here: it has no folder /opt/ml of its own and shares
# the processors of this machine, and both find their script in another place.
OWN = {"SM_MODULE_DIR", "SM_NUM_CPUS", "SM_NUM_GPUS", "SM_LOG_LEVEL", "SM_CHECKPOINT_DIR"}


def run(sagemaker: Any, memory: MemoryPorts, name: str, script: str, **given: str) -> Any:
    memory.stored["bucket", "source.tar.gz"] = archive({"train.py": script})
    sagemaker.create_training_job(**training_job(name, **given))
    return ended(sagemaker, name)


def lines(memory: MemoryPorts, name: str) -> list[str]:
    return [
        line for stream, found in memory.lines.items() if stream.startswith(f"{name}/")
        for line in found
    ]  # fmt: skip


def seen(output: list[str]) -> dict[str, Any]:
    (line,) = (each for each in output if each.startswith("seen "))
    found: dict[str, Any] = json.loads(line.removeprefix("seen "))
    return found


def same(variables: dict[str, str], base: str) -> dict[str, Any]:
    """Return variables as the other side would have them; JSON is parsed."""
    found: dict[str, Any] = {}
    replaced = {name: text.replace(base, "/opt/ml") for name, text in variables.items()}
    for name, text in replaced.items():
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
        if name == "SM_TRAINING_ENV":
            for differs in ("module_dir", "num_cpus", "num_gpus", "log_level", "job_name"):
                found[name].pop(differs, None)
    return {name: value for name, value in found.items() if name not in OWN}


@pytest.mark.skipif(not TRAIN.exists(), reason="sagemaker-training is not installed")
def test_a_script_sees_what_the_training_toolkit_shows_it(
    sagemaker: Any, memory: MemoryPorts, tmp_path: Path
) -> None:
    assert run(sagemaker, memory, "look", LOOK, **GIVEN)["TrainingJobStatus"] == "Completed"
    ours = seen(lines(memory, "look"))

    ml, source = tmp_path / "ml", tmp_path / "source"
    for folder in (ml / "input" / "config", ml / "input" / "data" / "train", source):
        folder.mkdir(parents=True)
    (source / "train.py").write_text(LOOK)
    ours["files"]["hyperparameters"]["sagemaker_submit_directory"] = str(source)
    for name, content in ours["files"].items():
        (ml / "input" / "config" / f"{name}.json").write_text(json.dumps(content))
    environ = {"PATH": os.environ["PATH"], "SAGEMAKER_BASE_DIR": str(ml),
               "SM_STUDIO_LOCAL_MODE": "true", "TRAINING_JOB_NAME": "look"}  # fmt: skip
    done = subprocess.run([TRAIN], env=environ, capture_output=True, text=True, check=False)
    theirs = seen(done.stdout.splitlines())

    assert ours["arguments"] == theirs["arguments"]
    base = ours["variables"]["SM_INPUT_DIR"].removesuffix("/input")
    expected, found = same(theirs["variables"], str(ml)), same(ours["variables"], base)
    expected.pop("SM_STUDIO_LOCAL_MODE", None)
    env = expected["SM_TRAINING_ENV"]
    found["SM_TRAINING_ENV"] = {name: found["SM_TRAINING_ENV"].get(name) for name in env}
    assert {name: found.get(name) for name in expected} == expected


# "How Amazon SageMaker AI signals algorithm success and failure" in the developer guide: exit code
# 0 or another one, and the file failure, whose beginning is the FailureReason.
@pytest.mark.parametrize(
    ("script", "status", "reason"),
    [
        ("raise SystemExit(0)", "Completed", None),
        ("import os\nos._exit(0)", "Completed", None),
        ("raise SystemExit(3)", "Failed", "AlgorithmError: the script ended with exit code 3: "),
        (
            "raise SystemExit('why')",
            "Failed",
            "AlgorithmError: the script ended with exit code 1: why",
        ),
        ("1 / 0", "Failed", "ZeroDivisionError: division by zero"),
        ("import os\nos.kill(os.getpid(), 9)", "Failed", "ended with signal 9: it printed nothing"),
        ("import os\nos.abort()", "Failed", "ended with signal 6"),
    ],
)
def test_the_exit_code_decides_how_a_job_ends(
    sagemaker: Any, memory: MemoryPorts, script: str, status: str, reason: str | None
) -> None:
    job = run(sagemaker, memory, "ends", script)
    assert job["TrainingJobStatus"] == status
    assert (reason or "") in job.get("FailureReason", "")
    assert ("FailureReason" in job) is (reason is not None)


FAILURE = "import os, pathlib\nfailure = pathlib.Path(os.environ['SM_OUTPUT_DIR'], 'failure')\n"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("failure.write_text('ClientError: my words')", "ClientError: my words"),
        (
            "failure.write_text('my words')",
            "AlgorithmError: the script ended with exit code 1: my words",
        ),
        ("failure.write_bytes(b'bad \\xff byte')", "bad \ufffd byte"),
        ("failure.write_text('x' * 5000)", "x" * 900),
        ("failure.mkdir()", "exit code 1"),
        ("failure.write_text('')", "exit code 1"),
    ],
)
def test_the_failure_file_is_the_reason(
    sagemaker: Any, memory: MemoryPorts, script: str, reason: str
) -> None:
    job = run(sagemaker, memory, "fails", f"{FAILURE}{script}\nraise SystemExit(1)\n")
    assert job["TrainingJobStatus"] == "Failed"
    assert reason in job["FailureReason"]
    assert len(job["FailureReason"]) <= 1024


def test_the_failure_file_of_a_script_that_succeeds_is_ignored(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    job = run(sagemaker, memory, "succeeds", f"{FAILURE}failure.write_text('a warning')\n")
    assert (job["TrainingJobStatus"], "FailureReason" in job) == ("Completed", False)


@pytest.mark.parametrize(
    "folder",
    ["SM_MODEL_DIR", "SM_OUTPUT_DATA_DIR", "SM_OUTPUT_DIR", "SM_INPUT_DIR", "SAGEMAKER_BASE_DIR"],
)
@pytest.mark.parametrize("compression", ["GZIP", "NONE"])
def test_a_job_may_remove_its_folders(
    sagemaker: Any, memory: MemoryPorts, folder: str, compression: str
) -> None:
    script = f"import os, shutil\nshutil.rmtree(os.environ['{folder}'])\n"
    memory.stored["bucket", "source.tar.gz"] = archive({"train.py": script})
    job = training_job("removes")
    job["OutputDataConfig"]["CompressionType"] = compression
    job["CheckpointConfig"] = {"S3Uri": "s3://bucket/checkpoints"}
    sagemaker.create_training_job(**job)
    done = ended(sagemaker, "removes")
    assert (done["TrainingJobStatus"], done.get("FailureReason")) == ("Completed", None)


# "Stop a training job" of the API reference: 120 seconds from SIGTERM to SIGKILL.
def test_a_stopped_job_has_two_minutes_to_end() -> None:
    settings = EngineSettings(region="r", account="1", interpreter=Path(sys.executable))
    assert settings.stop_grace_seconds == 120


STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("not yet", flush=True))
print("ready", flush=True)
while True:
    time.sleep(1)
"""


def test_a_script_that_ignores_sigterm_is_killed_after_the_grace_period(
    start: Start, session: Session, memory: MemoryPorts
) -> None:
    sagemaker = client_of(start(behavior={"stop_grace_seconds": 0.3}), session)
    memory.stored["bucket", "source.tar.gz"] = archive({"train.py": STUBBORN})
    sagemaker.create_training_job(**training_job("stubborn"))
    assert wait_until(lambda: "ready" in lines(memory, "stubborn"), 30)
    sagemaker.stop_training_job(TrainingJobName="stubborn")
    assert ended(sagemaker, "stubborn")["TrainingJobStatus"] == "Stopped"
    assert lines(memory, "stubborn")[-1] == "not yet"


DISTRIBUTED = """
import os
import torch.distributed as dist
dist.init_process_group("gloo")
import torch
total = torch.tensor([float(dist.get_rank() + 1)])
dist.all_reduce(total)
print(f"rank {dist.get_rank()} of {dist.get_world_size()}: {total.item():g} auc=0.5")
dist.destroy_process_group()
"""


# training toolkit, torch_distributed.py: torchrun with --nnodes, --node_rank and the first host.
@pytest.mark.timeout(180)
def test_torchrun_connects_the_processes_of_all_instances(
    start: Start, session: Session, memory: MemoryPorts
) -> None:
    sagemaker = client_of(start(interpreter=Path(sys.executable)), session)
    memory.stored["bucket", "source.tar.gz"] = archive({"train.py": DISTRIBUTED})
    job = training_job("distributed", sagemaker_torch_distributed_enabled="true")
    job["ResourceConfig"]["InstanceCount"] = 2
    job["StoppingCondition"]["MaxRuntimeInSeconds"] = 150
    sagemaker.create_training_job(**job)
    done = ended(sagemaker, "distributed")
    assert done["TrainingJobStatus"] == "Completed", done
    printed = sorted(each for each in lines(memory, "distributed") if each.startswith("rank"))
    assert printed == ["rank 0 of 2: 3 auc=0.5", "rank 1 of 2: 3 auc=0.5"]
