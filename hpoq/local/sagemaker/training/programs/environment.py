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
# The variables that training processes inherit from the cloud's process.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "HPOQ_CLOUD_MARK", "LD_LIBRARY_PATH")


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
        text = value if isinstance(value, str) else compact_json(value)
        values[f"SM_HP_{name.upper()}"] = values[f"SM_HP_{name.upper().replace('-', '_')}"] = text
    own: dict[str, str] = record.get("Environment", {})
    return {name: str(value) for name, value in values.items()} | own


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
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
