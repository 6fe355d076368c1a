"""Training jobs as ModelTrainer of version 3 of the SageMaker SDK creates them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sagemaker.core.utils import install_requirements
from sagemaker.train import container_drivers
from sagemaker.train.templates import (
    EXECUTE_BASIC_SCRIPT_DRIVER,
    INSTALL_REQUIREMENTS,
    TRAIN_SCRIPT_TEMPLATE,
)

from tests.support.memory_endpoint import MemoryPorts, channel, training_job

RUN = "/opt/ml/input/data/sm_drivers/sm_train.sh"


def model_trainer_job(
    memory: MemoryPorts, name: str, script: str, requirements: dict[str, str] | None = None
) -> dict[str, Any]:
    """Store a script with the SDK's own scripts and return the request of a training job.

    Args:
        memory: the ports of the endpoint, whose bucket receives the files.
        name: the name of the training job.
        script: the training script.
        requirements: the name and content of its requirements file, if it has one.
    """
    drivers = Path(container_drivers.__file__).parent
    files = {f"sm_drivers/{each.relative_to(drivers)}": each for each in drivers.rglob("*.py")}
    files["sm_drivers/scripts/install_requirements.py"] = Path(install_requirements.__file__)
    install = "".join(
        INSTALL_REQUIREMENTS.format(requirements_file=file) for file in requirements or ()
    )
    run = TRAIN_SCRIPT_TEMPLATE.format(
        working_dir="cd /opt/ml/input/data/code",
        install_requirements=install,
        execute_driver=EXECUTE_BASIC_SCRIPT_DRIVER,
    )
    texts = {
        "sm_drivers/sm_train.sh": run,
        "sm_drivers/sourcecode.json": json.dumps(
            {"source_dir": "code", "entry_script": "train.py"}
        ),
        "sm_drivers/distributed.json": "{}",
        "code/train.py": script,
        **{f"code/{file}": text for file, text in (requirements or {}).items()},
    }
    stored = {key: file.read_bytes() for key, file in files.items()}
    stored |= {key: text.encode() for key, text in texts.items()}
    memory.stored.update({("bucket", f"job/{key}"): content for key, content in stored.items()})
    job = training_job(name)
    job["HyperParameters"] = {"lr": "0.5"}
    job["AlgorithmSpecification"] |= {
        "ContainerEntrypoint": ["/bin/bash"],
        "ContainerArguments": ["-c", f"chmod +x {RUN} && {RUN}"],
    }
    job["InputDataConfig"] = [
        channel("code", "s3://bucket/job/code/"),
        channel("sm_drivers", "s3://bucket/job/sm_drivers/"),
    ]
    return job
