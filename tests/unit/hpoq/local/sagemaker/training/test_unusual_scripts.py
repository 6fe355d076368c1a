"""Scripts and archives that other engines of training jobs have stumbled over."""

from __future__ import annotations

import json
import venv
from pathlib import Path
from typing import Any

import pytest
from boto3 import Session

from hpoq.local.lifecycle.processes import wait_until
from tests.support.memory_endpoint import (
    MemoryPorts,
    Start,
    archive,
    client_of,
    ended,
    training_job,
    tuning_job,
)
from tests.support.sdk_drivers import model_trainer_job

LOOK = """
import json, os, sys
print(json.dumps({"arguments": sys.argv[1:], "environment": dict(os.environ)}))
"""


def runs(memory: MemoryPorts, script: str) -> None:
    memory.stored["bucket", "source.tar.gz"] = archive({"train.py": script})


def lines(memory: MemoryPorts) -> list[str]:
    return [line for each in memory.lines.values() for line in each]


def with_metric(job: dict[str, Any], regex: str) -> dict[str, Any]:
    algorithm = job.get("TrainingJobDefinition", job)["AlgorithmSpecification"]
    algorithm["MetricDefinitions"] = [{"Name": "auc", "Regex": regex}]
    return job


def values(memory: MemoryPorts) -> list[float]:
    return [datum.value for datum in memory.data if datum.name == "auc"]


# Java's Matcher.group(n) is null for a group that took no part.
def test_a_group_that_takes_no_part_in_a_match_gives_no_value(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    runs(memory, "print('b: 2')\nprint('a: 3')\n")
    job = with_metric(tuning_job("job-1", jobs=1, parallel=1), r"a: (\d+)|b: (\d+)")
    sagemaker.create_hyper_parameter_tuning_job(**job)
    assert memory.await_status("job-1", "Completed", "Failed") == "Completed"
    assert values(memory) == [3.0]


# CloudWatch refuses NaN and infinity: API_MetricDatum.html of the CloudWatch API reference.
def test_values_that_are_not_finite_are_no_values(sagemaker: Any, memory: MemoryPorts) -> None:
    runs(memory, "print('auc=1')\nprint('auc=nan')\nprint('auc=inf')\nprint('auc=3')\n")
    sagemaker.create_training_job(**with_metric(training_job("alone"), r"auc=(\w+)"))
    assert ended(sagemaker, "alone")["FinalMetricDataList"][0]["Value"] == 3
    assert values(memory) == [1.0, 3.0]


# aws/sagemaker-xgboost-container issue 121.
def test_control_characters_are_escaped_in_the_log_and_for_metrics(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    runs(memory, r"print('[0]\ttrain-auc:0.5\r')" "\n")
    job = with_metric(training_job("alone"), r".*\[[0-9]+\].*#011train-auc:([-+\w.]+)")
    sagemaker.create_training_job(**job)
    assert ended(sagemaker, "alone")["FinalMetricDataList"][0]["Value"] == 0.5
    assert lines(memory) == ["[0]#011train-auc:0.5#015"]


def test_an_objective_of_1e308_does_not_end_early_stopping(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    runs(memory, "for _ in range(3):\n    print('auc=' + '9' * 308)\n")
    job = tuning_job("job-1", jobs=5, parallel=1, TrainingJobEarlyStoppingType="Auto")
    sagemaker.create_hyper_parameter_tuning_job(**job)
    assert memory.await_status("job-1", "Completed", "Failed") == "Completed"


@pytest.mark.parametrize("size", [0, 10, 40])
def test_a_truncated_archive_is_the_failure_reason(
    sagemaker: Any, memory: MemoryPorts, size: int
) -> None:
    whole = archive({"train.py": "x" * 5000})
    memory.stored["bucket", "source.tar.gz"] = whole[:size]
    sagemaker.create_training_job(**training_job("cut"))
    job = ended(sagemaker, "cut")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: the source cannot be unpacked")


# sagemaker-training-toolkit: mapping.to_cmd_args and mapping.to_env_vars.
def test_hyperparameters_reach_the_script_as_the_training_toolkit_passes_them(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    runs(memory, LOOK)
    given = {
        "a": "null", "list": "[1, 2]", "map": '{"y": 2, "x": "1"}', "flag": "true",
        "sagemaker_job_name": '"mine"', "sagemaker_custom": "1",
    }  # fmt: skip
    sagemaker.create_training_job(**training_job("look", **given))
    assert ended(sagemaker, "look")["TrainingJobStatus"] == "Completed"
    found = json.loads(lines(memory)[-1])
    arguments = found["arguments"]
    assert arguments == [
        "-a", "", "--flag", "True", "--list", "[1, 2]", "--lr", "0.5", "--map", "x=1,y=2",
    ]  # fmt: skip
    variables = found["environment"]
    assert (variables["SM_HP_A"], variables["SM_HP_MAP"]) == ("", '{"x":"1","y":2}')
    assert json.loads(variables["SM_FRAMEWORK_PARAMS"]) == {"sagemaker_custom": 1}
    training_env = json.loads(variables["SM_TRAINING_ENV"])
    assert training_env["hyperparameters"]["map"] == {"x": "1", "y": 2}
    assert training_env["channel_input_dirs"].keys() == {"train"}
    assert training_env["hosts"] == ["algo-1"]


# aws/sagemaker-python-sdk issue 403: a script must not reach the credentials of another identity.
def test_a_script_finds_no_profile_of_the_user(
    start: Start, session: Session, memory: MemoryPorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(memory, LOOK + "print(os.listdir(os.path.expanduser('~')))\n")
    sagemaker = client_of(start(), session)
    monkeypatch.setenv("HOME", "/home/of-the-user")
    monkeypatch.setenv("AWS_PROFILE", "of-the-user")
    sagemaker.create_training_job(**training_job("look"))
    assert ended(sagemaker, "look")["TrainingJobStatus"] == "Completed"
    *_, seen, files = lines(memory)
    variables = json.loads(seen)["environment"]
    assert files == "[]"
    assert "of-the-user" not in json.dumps(variables)
    assert variables["AWS_EC2_METADATA_DISABLED"] == "true"


# The hyperparameters of `distribution`: sagemaker/fw_utils.py and estimator.py of SDK 2.
@pytest.mark.parametrize(
    "name",
    [
        "sagemaker_mpi_enabled",
        "sagemaker_pytorch_ddp_enabled",
        "sagemaker_distributed_dataparallel_enabled",
        "sagemaker_parameter_server_enabled",
        "sagemaker_multi_worker_mirrored_strategy_enabled",
        "sagemaker_pytorch_xla_multi_worker_enabled",
    ],
)
def test_a_launcher_that_is_missing_here_is_named(
    sagemaker: Any, memory: MemoryPorts, name: str
) -> None:
    sagemaker.create_training_job(**training_job("distributed", **{name: "true"}))
    reason = ended(sagemaker, "distributed")["FailureReason"]
    assert reason.startswith(f"ClientError: this endpoint has no launcher for {name}")


# sagemaker/train/distributed.py of SDK 3: class MPI names this driver.
def test_the_mpi_launcher_of_model_trainer_is_named(sagemaker: Any, memory: MemoryPorts) -> None:
    job = model_trainer_job(memory, "mpi", "print('never')\n")
    key = ("bucket", "job/sm_drivers/sm_train.sh")
    basic = memory.stored[key]
    memory.stored[key] = basic.replace(b"basic_script_driver.py", b"mpi_driver.py")
    assert memory.stored[key] != basic
    sagemaker.create_training_job(**job)
    reason = ended(sagemaker, "mpi")["FailureReason"]
    assert reason.startswith("ClientError: this endpoint has no launcher for MPI")


# PYTHONHASHSEED is read when an interpreter starts: "Environment variables" in Python's manual.
def test_a_variable_that_an_interpreter_reads_at_its_start_is_honored(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    runs(memory, "print(hash('a'))\n")
    for name in ("one", "two"):
        job = training_job(name) | {"Environment": {"PYTHONHASHSEED": "1"}}
        sagemaker.create_training_job(**job)
        assert ended(sagemaker, name)["TrainingJobStatus"] == "Completed"
    note = (
        "hpoq: PYTHONHASHSEED is read when Python or a library starts, so this job runs in a new "
        "interpreter"
    )
    one, two = memory.lines.values()
    assert one == two
    assert one[0] == note
    assert len(one) == 2


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs Linux")
def test_a_child_in_a_session_of_its_own_ends_with_its_training_job(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    runs(
        memory,
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '300'], start_new_session=True)\n"
        "print(child.pid)\n",
    )
    sagemaker.create_training_job(**training_job("parent"))
    assert ended(sagemaker, "parent")["TrainingJobStatus"] == "Completed"
    pid = int(lines(memory)[0])
    assert wait_until(lambda: not Path(f"/proc/{pid}").exists(), 10)


def test_a_script_may_start_the_interpreter_of_an_environment_in_the_temporary_folder(
    start: Start, memory: MemoryPorts, session: Session, tmp_path: Path
) -> None:
    venv.create(tmp_path / "environment", symlinks=True, with_pip=False)
    wrapper = tmp_path / "python"  # -S: the interpreter does not look for its environment
    wrapper.write_text(f'#!/bin/sh\nexec "{tmp_path}/environment/bin/python" -S "$@"\n')
    wrapper.chmod(0o755)
    sagemaker: Any = client_of(start(interpreter=wrapper), session)
    runs(
        memory,
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-S', '-c', 'print(1)'], check=True)\n",
    )
    sagemaker.create_training_job(**training_job("nested"))
    found = ended(sagemaker, "nested")
    assert found["TrainingJobStatus"] == "Completed", found.get("FailureReason")
