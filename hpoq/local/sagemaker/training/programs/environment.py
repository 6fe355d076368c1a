"""The environment variables and configuration files that SageMaker gives a training script."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpoq.local.sagemaker.training.programs import gpus

Record = Mapping[str, Any]
# The variables that training processes inherit from the cloud's process. HOME is not among them: a
# script finds neither the user's AWS credentials nor what other scripts leave there.
INHERITED = ("PATH", "LANG", "LC_ALL", "TMPDIR", "HPOQ_CLOUD_MARK", "LD_LIBRARY_PATH")
# Hyperparameters that the training toolkit reads itself.
TOOLKIT_PARAMETERS = (
    "sagemaker_program", "sagemaker_submit_directory", "sagemaker_enable_cloudwatch_metrics",
    "sagemaker_region", "sagemaker_container_log_level", "sagemaker_job_name",
    "sagemaker_s3_output",
)  # fmt: skip
# Prefixes of hyperparameters that SageMaker reads itself and does not pass to the script.
RESERVED = ("sagemaker_", "_tuning_")
HOME = "root"  # folder of the container that is empty when the job starts
# Beginnings of variables that Python and its libraries read when they are imported, which has
# happened already in a process that is forked.
READ_AT_START = (
    "PYTHON", "OMP_", "MKL_", "OPENBLAS_", "KMP_", "GOMP_", "NUMEXPR_", "VECLIB_", "MALLOC_", "LD_",
    "TORCH", "PYTORCH", "ATEN_", "DNNL_", "ONEDNN_", "KINETO_", "CUDA_", "NCCL_", "GLOO_",
    "XGBOOST", "NPY_", "NUMPY_", "SCIPY_", "SKLEARN_", "JOBLIB_", "LOKY_", "PANDAS_", "GLIBC_",
    "LC_", "LANG", "TZ",
)  # fmt: skip
# Those that a forked process honors.
HONORED = ("PYTHONPATH", "PYTHONUNBUFFERED")
# Of one encoder: json.dumps makes a new one for each of the twenty variables of a job.
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def needs_new_interpreter(record: Record) -> str:
    """Return a variable of the job's Environment that a forked process would ignore, or ""."""
    for name in record.get("Environment", {}):
        if name.startswith(READ_AT_START) and name not in HONORED:
            return str(name)
    return ""


def inherited() -> dict[str, str]:
    """Return the variables that training processes inherit from the cloud's process."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


@dataclass(frozen=True, kw_only=True)
class Host:
    """One instance of a training job."""

    ml: Path  # stands for /opt/ml
    number: int  # from 0
    count: int  # of all instances
    port: int  # where the hosts of the job connect to each other: MASTER_PORT

    @property
    def name(self) -> str:
        """SageMaker's name of the host."""
        return host_name(self.number)

    @property
    def names(self) -> list[str]:
        """The names of all hosts of the training job."""
        return [host_name(number) for number in range(self.count)]


def host_name(number: int) -> str:
    """Return SageMaker's name of an instance, counted from 0."""
    return f"algo-{number + 1}"


def environment(
    record: Record, host: Host, arguments: Mapping[str, Any], channels: Mapping[str, Path]
) -> dict[str, str]:
    """Return the SM_* variables of SageMaker's training toolkit and the job's Environment."""
    ml = host.ml
    instance = instance_type(record)
    values = {
        "HOME": ml.parents[1] / HOME,
        "AWS_EC2_METADATA_DISABLED": "true",
        "SM_MODEL_DIR": ml / "model",
        "SM_OUTPUT_DIR": ml / "output",
        "SM_OUTPUT_DATA_DIR": ml / "output" / "data",
        "SM_OUTPUT_INTERMEDIATE_DIR": ml / "output" / "intermediate",
        "SM_INPUT_DIR": ml / "input",
        "SM_INPUT_CONFIG_DIR": ml / "input" / "config",
        "SM_CHANNELS": compact_json(sorted(channels)),
        "SM_HPS": compact_json(dict(arguments)),
        "SM_HOSTS": compact_json(host.names),
        "SM_CURRENT_HOST": host.name,
        "SM_NETWORK_INTERFACE_NAME": "lo",
        "SM_RESOURCE_CONFIG": compact_json(resource_config(record, host)),
        "SM_INPUT_DATA_CONFIG": compact_json(input_data_config(record)),
        gpus.VARIABLE: gpus.count_for(instance),
        "SM_NUM_CPUS": 1,
        "SM_LOG_LEVEL": 20,
        "SM_CURRENT_INSTANCE_TYPE": instance,
        "TRAINING_JOB_NAME": record["TrainingJobName"],
        "TRAINING_JOB_ARN": record["TrainingJobArn"],
        "SAGEMAKER_BASE_DIR": ml,
        "SM_CHECKPOINT_DIR": checkpoint_folder(record, ml),
        # For torch.distributed. SageMaker's image has algo-1 here, which no DNS server knows.
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": host.port,
    }
    values |= {f"SM_CHANNEL_{name.upper()}": path for name, path in channels.items()}
    for name, value in arguments.items():
        text = as_variable(value)
        values[f"SM_HP_{name.upper()}"] = values[f"SM_HP_{name.upper().replace('-', '_')}"] = text
    own: dict[str, str] = record.get("Environment", {})
    return {name: str(value) for name, value in values.items()} | own


def as_variable(value: Any) -> str:
    """Return a value as the training toolkit writes it to a variable."""
    if value is None:
        return ""
    return value if isinstance(value, str) else compact_json(value)


def as_argument(value: Any) -> str:
    """Return a hyperparameter's value as the training toolkit passes it to a script."""
    if isinstance(value, dict):
        return ",".join(f"{key}={each}" for key, each in sorted(value.items()))
    return "" if value is None else str(value)


def toolkit_variables(
    record: Record,
    host: Host,
    decoded: Mapping[str, Any],
    channels: Mapping[str, Path],
    variables: Mapping[str, str],
) -> dict[str, str]:
    """Return the variables of the training toolkit that describe all others.

    Args:
        record: the training job as described.
        host: the instance of the training job.
        decoded: all hyperparameters.
        channels: the folder of each channel.
        variables: that the script has besides.
    """
    own = {name: value for name, value in decoded.items() if not name.startswith(RESERVED)}
    framework = {
        name: value
        for name, value in decoded.items()
        if name.startswith("sagemaker_") and name not in TOOLKIT_PARAMETERS
    }
    group = resource_config(record, host)["instance_groups"][0]
    training_env = {
        "additional_framework_parameters": framework,
        "channel_input_dirs": {name: str(path) for name, path in channels.items()},
        "current_host": host.name,
        "current_instance_group": group["instance_group_name"],
        "current_instance_group_hosts": host.names,
        "current_instance_type": instance_type(record),
        "distribution_hosts": [],
        "distribution_instance_groups": [],
        "framework_module": None,
        "hosts": host.names,
        "hyperparameters": own,
        "input_config_dir": str(host.ml / "input" / "config"),
        "input_data_config": input_data_config(record),
        "input_dir": str(host.ml / "input"),
        "instance_groups": [group["instance_group_name"]],
        "instance_groups_dict": {group["instance_group_name"]: group},
        "is_hetero": False,
        "is_master": host.number == 0,
        "is_smddpmprun_installed": False,
        "is_smddprun_installed": False,
        "job_name": record["TrainingJobName"],
        "log_level": 20,
        "master_hostname": host_name(0),
        "model_dir": str(host.ml / "model"),
        "module_dir": variables.get("SM_MODULE_DIR", ""),
        "module_name": variables.get("SM_MODULE_NAME", ""),
        "network_interface_name": "lo",
        "num_cpus": 1,
        "num_gpus": gpus.count_in(variables),
        "num_neurons": 0,
        "output_data_dir": str(host.ml / "output" / "data"),
        "output_dir": str(host.ml / "output"),
        "output_intermediate_dir": str(host.ml / "output" / "intermediate"),
        "resource_config": resource_config(record, host),
        "topology": [],
        "user_entry_point": variables.get("SM_USER_ENTRY_POINT", ""),
    }
    return {
        "SM_TRAINING_ENV": compact_json(training_env),
        "SM_FRAMEWORK_PARAMS": compact_json(framework),
        "SM_FRAMEWORK_MODULE": "",
        "SM_NUM_NEURONS": "0",
        "SM_IS_HETERO": "false",
        "SM_CURRENT_INSTANCE_GROUP": group["instance_group_name"],
        "SM_CURRENT_INSTANCE_GROUP_HOSTS": compact_json(host.names),
        "SM_INSTANCE_GROUPS": compact_json([group["instance_group_name"]]),
        "SM_INSTANCE_GROUPS_DICT": compact_json({group["instance_group_name"]: group}),
        "SM_DISTRIBUTION_INSTANCE_GROUPS": "[]",
    }


def instance_type(record: Record) -> str:
    """Return a training job's instance type, or that of its first instance group."""
    resources = record["ResourceConfig"]
    groups = resources.get("InstanceGroups") or [{}]
    return str(resources.get("InstanceType") or groups[0].get("InstanceType") or "ml.m5.large")


def resource_config(record: Record, host: Host) -> dict[str, Any]:
    """Return the content of resourceconfig.json."""
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
    """Return the content of inputdataconfig.json."""
    mode = record["AlgorithmSpecification"].get("TrainingInputMode", "File")
    config = {}
    for channel in record.get("InputDataConfig", ()):
        source = channel["DataSource"].get("S3DataSource", {})
        entry = {
            "TrainingInputMode": channel.get("InputMode", mode),
            "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
        }
        if "ContentType" in channel:
            entry["ContentType"] = channel["ContentType"]
        config[channel["ChannelName"]] = entry
    return config


def checkpoint_folder(record: Record, ml: Path) -> Path:
    """Return the folder that stands for ``CheckpointConfig.LocalPath``."""
    local = record.get("CheckpointConfig", {}).get("LocalPath") or "/opt/ml/checkpoints"
    return ml.parents[1] / local.lstrip("/")


def compact_json(value: Any) -> str:
    """Return JSON as the training toolkit writes it to variables."""
    return _encode(value)
