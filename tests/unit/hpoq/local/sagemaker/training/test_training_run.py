"""What a training job gets when it starts, and what remains when it has ended."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from boto3 import Session

from hpoq.local.lifecycle.processes import wait_until
from hpoq.local.sagemaker.training.channels import Inputs
from hpoq.local.sagemaker.training.container import Container, prepare
from hpoq.local.sagemaker.training.programs.environment import Host
from hpoq.local.sagemaker.training.programs.requirements import TrainingPython
from hpoq.local.sagemaker.training.role_objects import RoleObjects
from tests.support.memory_endpoint import (
    MemoryPorts,
    Start,
    archive,
    channel,
    client_of,
    ended,
    training_job,
    tuning_job,
)

LOOK = """
import json, os, pathlib, sys
found = {"arguments": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd()}
for name in json.loads(os.environ.get("SM_CHANNELS", "[]")):
    channel = pathlib.Path(os.environ["SM_INPUT_DIR"], "data", name)
    found[name] = {
        str(p.relative_to(channel)): p.read_text() for p in channel.rglob("*") if p.is_file()
    }
config = pathlib.Path(os.environ["SM_INPUT_CONFIG_DIR"])
found["config"] = {p.name: json.loads(p.read_text()) for p in config.iterdir()}
print(json.dumps(found))
"""


def runs(memory: MemoryPorts, script: str, **files: str) -> None:
    memory.stored["bucket", "source.tar.gz"] = archive({"train.py": script, **files})


def looked(memory: MemoryPorts, name: str) -> dict[str, Any]:
    """Return what the script LOOK saw on the first instance."""
    (lines,) = (
        each for stream, each in memory.lines.items() if stream.startswith(f"{name}/algo-1")
    )
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def unpacked(memory: MemoryPorts, key: str) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(memory.stored["bucket", key])) as packed:
        return {
            member.name: packed.extractfile(member).read().decode()  # type: ignore[union-attr]
            for member in packed
            if member.isfile()
        }


def test_inputs_and_results_may_be_at_urls_of_s3(sagemaker: Any, memory: MemoryPorts) -> None:
    """As in samples/xgboost-mnist-hpo.yaml of aws/amazon-sagemaker-operator-for-k8s."""
    runs(memory, LOOK)
    memory.stored["bucket", "given/a #1.csv"] = b"1"
    job = training_job("urls")
    job["InputDataConfig"] = [channel("train", "https://s3-us-west-2.amazonaws.com/bucket/given/")]
    job["OutputDataConfig"]["S3OutputPath"] = "https://bucket.s3.us-west-2.amazonaws.com/out"
    sagemaker.create_training_job(**job)
    found = ended(sagemaker, "urls")
    assert found["TrainingJobStatus"] == "Completed", found
    assert looked(memory, "urls")["train"] == {"a #1.csv": "1"}
    place = found["ModelArtifacts"]["S3ModelArtifacts"]
    assert place == "s3://bucket/out/urls/output/model.tar.gz"
    assert ("bucket", "out/urls/output/model.tar.gz") in memory.stored


def test_a_manifest_names_the_files_of_a_channel(sagemaker: Any, memory: MemoryPorts) -> None:
    runs(memory, LOOK)
    memory.stored["bucket", "data/a/1.csv"] = b"one"
    memory.stored["bucket", "data/a/1.csv.old"] = b"not named"
    memory.stored["bucket", "data/b.csv"] = b"two"
    names = [{"prefix": "s3://bucket/data/"}, "a/1.csv", "b.csv"]
    memory.stored["bucket", "list.manifest"] = json.dumps(names).encode()
    job = training_job("by-manifest")
    job["InputDataConfig"] = [
        channel("train", "s3://bucket/list.manifest", S3DataType="ManifestFile")
    ]
    sagemaker.create_training_job(**job)

    assert ended(sagemaker, "by-manifest")["TrainingJobStatus"] == "Completed"
    assert looked(memory, "by-manifest")["train"] == {"a/1.csv": "one", "b.csv": "two"}


@pytest.mark.parametrize(
    ("source", "mode", "reason"),
    [
        ({"S3Uri": "s3://bucket/list", "S3DataType": "ManifestFile"}, "File", "no S3 object"),
        (
            {"S3Uri": "s3://bucket/wrong", "S3DataType": "ManifestFile"},
            "File",
            "is not a valid manifest",
        ),
        (
            {"S3Uri": "s3://bucket/data", "S3DataType": "AugmentedManifestFile"},
            "Pipe",
            "use FastFile",
        ),
        ({"S3Uri": "s3://bucket/data"}, "Pipe", "use FastFile"),
        ({"S3Uri": "s3://bucket/marker/"}, "File", "no S3 objects found"),
        (
            {"S3Uri": "s3://bucket/up", "S3DataType": "ManifestFile"},
            "File",
            "is outside of channel",
        ),
    ],
)
def test_an_unavailable_input_is_the_failure_reason(
    sagemaker: Any, memory: MemoryPorts, source: dict[str, str], mode: str, reason: str
) -> None:
    memory.stored["bucket", "list"] = b'[{"prefix": "s3://bucket/data/"}, "gone.csv"]'
    memory.stored["bucket", "up"] = b'[{"prefix": "s3://bucket/"}, "../../etc"]'
    memory.stored["bucket", "../../etc"] = b""
    memory.stored["bucket", "wrong"] = b"a,b"
    memory.stored["bucket", "marker/"] = b""
    job = training_job("unlucky")
    job["InputDataConfig"] = [channel("train", "", **source) | {"InputMode": mode}]
    sagemaker.create_training_job(**job)

    found = ended(sagemaker, "unlucky")
    assert found["TrainingJobStatus"] == "Failed"
    assert found["FailureReason"].startswith("ClientError:")
    assert reason in found["FailureReason"]


def test_fast_file_channels_are_plain_files(sagemaker: Any, memory: MemoryPorts) -> None:
    runs(memory, LOOK)
    job = training_job("fast")
    job["AlgorithmSpecification"]["TrainingInputMode"] = "FastFile"
    sagemaker.create_training_job(**job)

    assert ended(sagemaker, "fast")["TrainingJobStatus"] == "Completed"
    found = looked(memory, "fast")
    assert found["train"] == {"rows.csv": "1,2,3\n"}
    assert found["config"]["inputdataconfig.json"]["train"]["TrainingInputMode"] == "FastFile"


def test_a_script_that_changes_its_input_does_not_affect_other_training_jobs(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    runs(
        memory,
        "import os, pathlib\n"
        "file = pathlib.Path(os.environ['SM_CHANNEL_TRAIN'], 'rows.csv')\n"
        "print('auc=1' if file.read_text() == '1,2,3\\n' else 'spoilt')\n"
        "file.chmod(0o644)\n"
        "file.write_text('spoilt')\n",
    )
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("job-1", jobs=3, parallel=1))

    assert memory.await_status("job-1", "Completed", "Failed") == "Completed"
    assert [line for lines in memory.lines.values() for line in lines] == ["auc=1"] * 3


def test_each_instance_is_a_process_that_knows_the_others(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    script = LOOK + (
        "host = os.environ['SM_CURRENT_HOST']\n"
        "pathlib.Path(os.environ['SM_MODEL_DIR'], host).write_text(host)\n"
        "pathlib.Path(os.environ['SM_MODEL_DIR'], 'same').write_text(host)\n"
    )
    runs(memory, script)
    for name in "abc":
        memory.stored["bucket", f"shards/{name}"] = name.encode()
    job = training_job("both")
    job["ResourceConfig"]["InstanceCount"] = 2
    job["InputDataConfig"] = [
        channel("all", "s3://bucket/shards/"),
        channel("part", "s3://bucket/shards/", S3DataDistributionType="ShardedByS3Key"),
    ]
    sagemaker.create_training_job(**job)

    done = ended(sagemaker, "both")
    assert done["TrainingJobStatus"] == "Completed", done
    seen = [json.loads(lines[-1]) for _, lines in sorted(memory.lines.items())]
    assert [s["environment"]["SM_CURRENT_HOST"] for s in seen] == ["algo-1", "algo-2"]
    assert {s["environment"]["SM_HOSTS"] for s in seen} == {'["algo-1","algo-2"]'}
    assert len({s["environment"]["MASTER_PORT"] for s in seen}) == 1
    assert len({s["folder"] for s in seen}) == 2
    assert [sorted(s["all"]) for s in seen] == [["a", "b", "c"], ["a", "b", "c"]]
    assert [sorted(s["part"]) for s in seen] == [["a", "c"], ["b"]]
    assert [stream.split("-")[1] for stream in sorted(memory.lines)] == ["1", "2"]
    model = unpacked(memory, "output/both/output/model.tar.gz")
    assert model == {"algo-1": "algo-1", "algo-2": "algo-2", "same": "algo-1"}


def test_a_failing_instance_stops_the_others(sagemaker: Any, memory: MemoryPorts) -> None:
    runs(
        memory,
        "import os, sys, time\n"
        "sys.exit('not enough memory') if os.environ['SM_CURRENT_HOST'] == 'algo-2' else None\n"
        "time.sleep(60)\n",
    )
    job = training_job("one-fails")
    job["ResourceConfig"]["InstanceCount"] = 2
    sagemaker.create_training_job(**job)

    done = ended(sagemaker, "one-fails")
    assert done["TrainingJobStatus"] == "Failed"
    assert "not enough memory" in done["FailureReason"]


COUNTING = """
import os, pathlib, time
kept = pathlib.Path(os.environ["SM_CHECKPOINT_DIR"], "steps")
done = int(kept.read_text()) if kept.exists() else 0
print(f"begins at {done}", flush=True)
for step in range(done, 12):
    time.sleep(0.1)
    written = kept.with_suffix(".sagemaker-uploading")
    written.write_text(str(step + 1))
    written.replace(kept)  # atomically: it may be killed or uploaded at any time
"""


def test_each_training_job_of_a_tuning_job_has_its_own_checkpoints(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    runs(memory, COUNTING.replace("time.sleep(0.1)", "print('auc=1')"))
    job = tuning_job("job-1", jobs=2, parallel=1)
    where = {"S3Uri": "s3://bucket/checkpoints", "LocalPath": "/opt/ml/elsewhere"}
    job["TrainingJobDefinition"]["CheckpointConfig"] = where
    sagemaker.create_hyper_parameter_tuning_job(**job)

    assert memory.await_status("job-1", "Completed", "Failed") == "Completed"
    kept = [key for _, key in memory.stored if key.startswith("checkpoints/")]
    assert sorted(key.split("/")[1][:9] for key in kept) == ["job-1-001", "job-1-002"]


def test_an_on_demand_job_is_never_interrupted(sagemaker: Any, memory: MemoryPorts) -> None:
    job = training_job("on-demand") | {"Environment": {"HPOQ_INTERRUPT_AFTER_SECONDS": "0"}}
    sagemaker.create_training_job(**job)
    done = ended(sagemaker, "on-demand")
    assert "Interrupted" not in [each["Status"] for each in done["SecondaryStatusTransitions"]]


def test_exceeding_the_memory_limit_fails_the_job_including_its_child_processes(
    start: Start, session: Session, memory: MemoryPorts
) -> None:
    sagemaker = client_of(start(memory_mib=200), session)
    runs(
        memory,
        "import subprocess, sys, time\n"
        "subprocess.run([sys.executable, '-S', '-c', 'import time; a = b\"x\" * (300 << 20); "
        "time.sleep(60)'])\n",
    )
    sagemaker.create_training_job(**training_job("greedy"))

    done = ended(sagemaker, "greedy")
    assert done["TrainingJobStatus"] == "Failed"
    assert "use an instance type with more memory" in done["FailureReason"]
    assert "200 MiB" in done["FailureReason"]


def test_output_data_is_uploaded_beside_the_model(sagemaker: Any, memory: MemoryPorts) -> None:
    runs(
        memory,
        "import os, pathlib\n"
        "pathlib.Path(os.environ['SM_MODEL_DIR'], 'deep').mkdir()\n"
        "pathlib.Path(os.environ['SM_MODEL_DIR'], 'deep', 'model').write_text('m')\n"
        "pathlib.Path(os.environ['SM_OUTPUT_DATA_DIR'], 'curve').write_text('c')\n",
    )
    sagemaker.create_training_job(**training_job("packed"))
    plain = training_job("plain")
    plain["OutputDataConfig"]["CompressionType"] = "NONE"
    sagemaker.create_training_job(**plain)

    assert ended(sagemaker, "packed")["TrainingJobStatus"] == "Completed"
    assert unpacked(memory, "output/packed/output/model.tar.gz") == {"deep/model": "m"}
    assert unpacked(memory, "output/packed/output/output.tar.gz") == {"curve": "c"}
    uri = ended(sagemaker, "plain")["ModelArtifacts"]["S3ModelArtifacts"]
    assert uri == "s3://bucket/output/plain/output/model/"
    assert memory.stored["bucket", "output/plain/output/model/deep/model"] == b"m"
    assert memory.stored["bucket", "output/plain/output/output/curve"] == b"c"


def test_the_description_of_a_running_job_is_up_to_date(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    sagemaker.create_training_job(**training_job("watched", sleep="60"))

    def status() -> str:
        found = sagemaker.describe_training_job(TrainingJobName="watched")
        return f"{found['TrainingJobStatus']} {found['SecondaryStatus']}"

    assert wait_until(lambda: status() == "InProgress Training", 30)
    sagemaker.stop_training_job(TrainingJobName="watched")
    assert status() in ("Stopping Stopping", "Stopped Stopped")
    assert wait_until(lambda: status() == "Stopped Stopped", 30)


def test_shell_scripts_and_modules_beside_a_script_work(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    runs(memory, "", **{"run.sh": '#!/bin/sh\necho "auc=0.25 $1 $2 $SM_HP_LR"\n'})
    shell = training_job("shell")
    shell["HyperParameters"] |= {"sagemaker_program": "run.sh"}
    sagemaker.create_training_job(**shell)
    assert ended(sagemaker, "shell")["FinalMetricDataList"][0]["Value"] == 0.25
    assert [*memory.lines.values()] == [["auc=0.25 --lr 0.5 0.5"]]

    runs(memory, "", **{"deep/train.py": "import beside", "beside.py": "print('auc=0.75')"})
    module = training_job("module")
    module["HyperParameters"] |= {"sagemaker_program": "deep/train.py"}
    sagemaker.create_training_job(**module)
    assert ended(sagemaker, "module")["FinalMetricDataList"][0]["Value"] == 0.75


def test_a_script_gets_the_environment_of_the_training_toolkit(
    tmp_path: Path, memory: MemoryPorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compare with the environment that SageMaker's toolkit creates for the same folder."""
    record = training_job("same") | {
        "TrainingJobArn": "arn:aws:sagemaker:eu-central-1:123456789012:training-job/same",
        "HyperParameters": {
            "lr": "0.10", "batch-size": "64", "nesterov": "true", "loss": '"focal"',
            "optimizer": "adam", "b": "[1, 2]", "sagemaker_program": "train.py",
            "sagemaker_submit_directory": "s3://bucket/source.tar.gz",
        },
    }  # fmt: skip
    container = Container(tmp_path)
    host = Host(ml=container.ml, number=0, count=1, port=7777)
    objects = RoleObjects(store=memory, roles=memory, role="role")
    inputs = Inputs(objects, tmp_path / "cache")
    python = TrainingPython(interpreter=Path(sys.executable), environments=tmp_path / "cache")
    program = prepare(container, record, host, inputs, python)

    for name in [name for name in sys.modules if name.startswith("sagemaker_training")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(container.ml))
    from sagemaker_training import environment

    theirs = environment.Environment()
    wanted = theirs.to_env_vars()
    machine = {"SM_NUM_CPUS", "SM_NUM_GPUS", "SM_NUM_NEURONS"}
    # The toolkit adds its own hyperparameters to these variables; the endpoint does not.
    whole = {"SM_TRAINING_ENV", "SM_FRAMEWORK_PARAMS", "SM_FRAMEWORK_MODULE"}
    clusters = {name for name in wanted if "INSTANCE_GROUP" in name} | {"SM_IS_HETERO"}
    for name in wanted.keys() - machine - whole - clusters:
        assert program.environment[name] == wanted[name], name
    assert list(program.arguments[1:]) == theirs.to_cmd_args()
    for name in [name for name in sys.modules if name.startswith("sagemaker_training")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(
    "uri", ["data/train", "data/train/", "data/train/rows", "data/train/rows.csv"]
)
def test_a_channel_contains_the_objects_under_its_prefix(
    sagemaker: Any, memory: MemoryPorts, uri: str
) -> None:
    request = tuning_job("prefixed", jobs=1)
    channel = request["TrainingJobDefinition"]["InputDataConfig"][0]
    channel["DataSource"]["S3DataSource"]["S3Uri"] = f"s3://bucket/{uri}"
    sagemaker.create_hyper_parameter_tuning_job(**request)
    assert memory.await_status("prefixed", "Completed", "Failed") == "Completed"


def test_code_in_a_channel_runs_as_in_a_job_with_network_isolation(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    runs(memory, "print('auc=0.5')")
    job = training_job("isolated")
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/source.tar.gz"}
    job["InputDataConfig"].append({"ChannelName": "code", "DataSource": {"S3DataSource": source}})
    archive = "/opt/ml/input/data/code/source.tar.gz"
    job["HyperParameters"] |= {"sagemaker_submit_directory": archive}
    sagemaker.create_training_job(**job)
    assert ended(sagemaker, "isolated")["FinalMetricDataList"][0]["Value"] == 0.5

    lost = training_job("lost")
    lost["HyperParameters"] |= {"sagemaker_submit_directory": archive}
    sagemaker.create_training_job(**lost)
    assert ended(sagemaker, "lost")["FailureReason"] == f"ClientError: no source at {archive}"
