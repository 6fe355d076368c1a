"""What a training job runs: a script, a command of its own, or a built-in algorithm."""

from __future__ import annotations

import json
import os
import re
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpoq.local.sagemaker.training import gpus
from hpoq.local.sagemaker.training.channels import ContainerError, Inputs

Record = Mapping[str, Any]
OUR_PARAMETERS = ("sagemaker_", "_tuning_")
XGBOOST_IMAGE = re.compile(r"(^|/)(sagemaker-)?xgboost([:@]|$)")
XGBOOST = Path(__file__).with_name("xgboost_algorithm.py")
# Its channel holds the SDK's own scripts, which know a container's folders by heart.
DRIVERS = "sm_drivers"
# SageMaker lists these of XGBoost's; https://docs.aws.amazon.com/sagemaker/latest/dg/xgboost-tuning.html
XGBOOST_METRICS = (
    "accuracy", "auc", "aucpr", "balanced_accuracy", "error", "f1", "logloss", "mae", "map",
    "mape", "merror", "mlogloss", "mphe", "mse", "ndcg", "precision", "r2", "recall", "rmse",
    "rmsle",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Host:
    """One of the instances of a training job, and its place on this machine."""

    ml: Path  # stands for /opt/ml
    number: int  # from 0
    count: int
    port: int  # where the hosts meet: MASTER_PORT

    @property
    def name(self) -> str:
        """SageMaker's."""
        return host_name(self.number)

    @property
    def names(self) -> list[str]:
        """All of them."""
        return [host_name(number) for number in range(self.count)]


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to start on one host.

    Args:
        arguments: a Python script and its arguments, or a whole command.
        environment: besides what every process may know of this machine.
        folder: to work in.
        warm: what the warm parent has imported; empty for an interpreter of its own.
        is_command: the arguments are not Python's.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    warm: str
    is_command: bool = False


def host_name(number: int) -> str:
    """Of an instance, counted from 0."""
    return f"algo-{number + 1}"


def is_built_in(definition: Record, parameters: Record) -> bool:
    """Whether a training job runs XGBoost as SageMaker has it, no script of the user's."""
    algorithm = definition["AlgorithmSpecification"]
    image = str(algorithm.get("TrainingImage", ""))
    script = "sagemaker_program" in parameters or algorithm.get("ContainerEntrypoint")
    return bool(XGBOOST_IMAGE.search(image)) and not script


def built_in_metrics() -> list[dict[str, str]]:
    """MetricDefinitions of XGBoost's, for what it says of its training and validation data."""
    return [
        {"Name": f"{data}:{name}", "Regex": rf".*\[[0-9]+\].*#011{data}-{name}:([-+\w.]+)"}
        for data in ("validation", "train")
        for name in XGBOOST_METRICS
    ]


def program_of(
    record: Record, host: Host, channels: Mapping[str, Path], inputs: Inputs, python: Path
) -> Program:
    """What a training job runs on a host whose channels are filled.

    Raises:
        ContainerError: it names nothing that can be run here.
    """
    parameters = record["HyperParameters"]
    decoded = {name: _decoded(text) for name, text in parameters.items()}
    arguments = {k: v for k, v in decoded.items() if not k.startswith(OUR_PARAMETERS)}
    environ = environment(record, host, arguments, channels)
    needs_gpu = gpus.named_in(environ) > 0  # CUDA does not survive a fork
    if record["AlgorithmSpecification"].get("ContainerEntrypoint"):
        return _command(record, host, environ, channels, python)
    if is_built_in(record, parameters):
        return Program(
            arguments=[str(XGBOOST)],
            environment=environ,
            folder=host.ml / "code",
            warm="" if needs_gpu else "xgboost",
        )
    script, source = decoded.get("sagemaker_program"), decoded.get("sagemaker_submit_directory")
    if not script or not source:
        raise ContainerError(
            "ClientError: this endpoint pulls no images; set sagemaker_program and "
            "sagemaker_submit_directory, or a ContainerEntrypoint, or use XGBoost's image"
        )
    code = host.ml / "code"
    _unpack(inputs.cached(str(source), "source"), code)
    if not (code / str(script)).is_file():
        raise ContainerError(f"ClientError: no {script} in {source}")
    flags = [part for k, v in sorted(arguments.items()) for part in (_flag(k), str(v))]
    module = str(script).removesuffix(".py")
    named = {
        "SM_MODULE_DIR": str(source),
        "SM_MODULE_NAME": module,
        "SM_USER_ENTRY_POINT": str(script),
        "SM_USER_ARGS": _json(flags),
        "PYTHONPATH": str(code),
    }
    is_shell = not str(script).endswith(".py")
    if is_shell:
        (code / str(script)).chmod(0o755)
        named["PATH"] = _with_python(python)
    return Program(
        arguments=["/bin/sh", "-c", f'./{script} "$@"', str(script), *flags]
        if is_shell
        else [str(code / str(script)), *flags],
        environment=named | environ,
        folder=code,
        warm="" if needs_gpu else "torch",
        is_command=is_shell,
    )


def _command(
    record: Record,
    host: Host,
    environ: Mapping[str, str],
    channels: Mapping[str, Path],
    python: Path,
) -> Program:
    """The job's own entrypoint, such as the one that the SDK's ModelTrainer sends."""
    algorithm = record["AlgorithmSpecification"]
    words = [*algorithm["ContainerEntrypoint"], *algorithm.get("ContainerArguments", ())]
    if DRIVERS in channels:
        _lead(channels[DRIVERS], host)
    return Program(
        arguments=[word.replace("/opt/ml", str(host.ml)) for word in words],
        environment={"PATH": _with_python(python), **environ},
        folder=host.ml / "code",
        warm="",
        is_command=True,
    )


def _lead(drivers: Path, host: Host) -> None:
    """Lead the SDK's own scripts to this host's folders, and its hosts to each other."""
    for file in drivers.rglob("*"):
        if file.suffix in (".py", ".sh"):
            text = file.read_text().replace("/opt/ml", str(host.ml))
            text = text.replace('SM_MASTER_ADDR = "algo-1"', 'SM_MASTER_ADDR = "127.0.0.1"')
            text = text.replace("SM_MASTER_PORT = 7777", f"SM_MASTER_PORT = {host.port}")
            file.unlink()  # it is a link into the cache
            file.write_text(text)


def _with_python(python: Path) -> str:
    return f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def environment(
    record: Record, host: Host, arguments: Mapping[str, Any], channels: Mapping[str, Path]
) -> dict[str, str]:
    """SM_* as SageMaker's training toolkit sets them, and the job's own Environment."""
    ml = host.ml
    instance = instance_type(record)
    values = {
        "SM_MODEL_DIR": ml / "model",
        "SM_OUTPUT_DIR": ml / "output",
        "SM_OUTPUT_DATA_DIR": ml / "output" / "data",
        "SM_OUTPUT_INTERMEDIATE_DIR": ml / "output" / "intermediate",
        "SM_INPUT_DIR": ml / "input",
        "SM_INPUT_CONFIG_DIR": ml / "input" / "config",
        "SM_CHANNELS": _json(sorted(channels)),
        "SM_HPS": _json(dict(arguments)),
        "SM_HOSTS": _json(host.names),
        "SM_CURRENT_HOST": host.name,
        "SM_NETWORK_INTERFACE_NAME": "lo",
        "SM_RESOURCE_CONFIG": _json(resource_config(record, host)),
        "SM_INPUT_DATA_CONFIG": _json(input_data_config(record)),
        gpus.VARIABLE: gpus.of(instance),
        "SM_NUM_CPUS": 1,
        "SM_LOG_LEVEL": 20,
        "SM_CURRENT_INSTANCE_TYPE": instance,
        "TRAINING_JOB_NAME": record["TrainingJobName"],
        "TRAINING_JOB_ARN": record["TrainingJobArn"],
        "SAGEMAKER_BASE_DIR": ml,
        "SM_CHECKPOINT_DIR": checkpoint_folder(record, ml),
        # torch.distributed's, as SageMaker's PyTorch image has them; no name server knows algo-1.
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": host.port,
    }
    values |= {f"SM_CHANNEL_{name.upper()}": path for name, path in channels.items()}
    for name, value in arguments.items():
        text = value if isinstance(value, str) else _json(value)
        values[f"SM_HP_{name.upper()}"] = values[f"SM_HP_{name.upper().replace('-', '_')}"] = text
    own: dict[str, str] = record.get("Environment", {})
    return {name: str(value) for name, value in values.items()} | own


def instance_type(record: Record) -> str:
    """Of the first group, where there are several."""
    resources = record["ResourceConfig"]
    groups = resources.get("InstanceGroups") or [{}]
    return str(resources.get("InstanceType") or groups[0].get("InstanceType") or "ml.m5.large")


def resource_config(record: Record, host: Host) -> dict[str, Any]:
    """resourceconfig.json."""
    group = {
        "instance_group_name": "homogeneousCluster",
        "instance_type": instance_type(record),
        "hosts": host.names,
    }
    return {
        "current_host": host.name,
        "current_instance_type": instance_type(record),
        "current_group_name": group["instance_group_name"],
        "hosts": host.names,
        "instance_groups": [group],
        "network_interface_name": "lo",
    }


def input_data_config(record: Record) -> dict[str, Any]:
    """inputdataconfig.json."""
    mode = record["AlgorithmSpecification"].get("TrainingInputMode", "File")
    config = {}
    for channel in record.get("InputDataConfig", ()):
        source = channel["DataSource"].get("S3DataSource", {})
        found = {
            "TrainingInputMode": channel.get("InputMode", mode),
            "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
        }
        if "ContentType" in channel:
            found["ContentType"] = channel["ContentType"]
        config[channel["ChannelName"]] = found
    return config


def checkpoint_folder(record: Record, ml: Path) -> Path:
    """``LocalPath`` on this machine."""
    local = record.get("CheckpointConfig", {}).get("LocalPath") or "/opt/ml/checkpoints"
    return ml.parents[1] / local.lstrip("/")


def _unpack(archive: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise ContainerError(f"ClientError: the source is no tar archive: {error}") from None


def _decoded(text: str) -> Any:
    """As the training toolkit reads hyperparameters: JSON where it is, else the text.

    SDK v2 writes strings as JSON, v3 as they are.
    """
    try:
        return json.loads(text)
    except ValueError:
        return text


def _flag(name: str) -> str:
    return f"--{name}" if len(name) > 1 else f"-{name}"


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
