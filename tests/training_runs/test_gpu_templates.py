"""The job templates for GPUs: SageMaker's service model accepts them, and their scripts do.

No machine of this project's checks has a GPU. The scripts refuse one line before they would use it,
which shows that they accept all hyperparameters of the template; test_training.py and
test_ray_search.py run the same code on CPU.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.templates import read_templates
from tests.support.tuning_requests import job

ROOT = Path(__file__).parents[2]
PAIRS = {
    "credit-default-gpu": "credit-default-cpu",
    "credit-default-ray-gpu": "credit-default-ray",
}
NOT_HYPERPARAMETERS = ("sagemaker_program", "sagemaker_submit_directory", "sagemaker_region")
pytestmark = pytest.mark.slow


def definition_of(name: str) -> dict[str, Any]:
    """Return the training job definition of a request, checked against the service model."""
    found: dict[str, Any] = job(template=read_templates()[name])["TrainingJobDefinition"]
    return found


@pytest.mark.parametrize(("gpu", "cpu"), PAIRS.items())
def test_a_gpu_template_differs_from_the_one_for_cpus_in_instance_and_script(
    gpu: str, cpu: str
) -> None:
    one, other = definition_of(gpu), definition_of(cpu)
    assert aws_limits.has_gpu(one["ResourceConfig"]["InstanceType"])
    assert not aws_limits.has_gpu(other["ResourceConfig"]["InstanceType"])
    for field in ("AlgorithmSpecification", "InputDataConfig", "OutputDataConfig"):
        assert one[field] == other[field]
    assert (ROOT / "training" / one["StaticHyperParameters"]["sagemaker_program"]).is_file()


@pytest.mark.parametrize("name", PAIRS)
def test_the_script_accepts_the_template_s_hyperparameters_and_needs_a_gpu(
    name: str, tmp_path: Path
) -> None:
    definition = definition_of(name)
    static = definition["StaticHyperParameters"]
    flags = [
        part
        for key, value in static.items()
        if key not in NOT_HYPERPARAMETERS
        for part in (f"--{key}", value)
    ]
    script = ROOT / "training" / static["sagemaker_program"]
    command = [sys.executable, str(script), "--data-dir", str(tmp_path), *flags]
    environ = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "SM_NUM_GPUS": "0"}
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    (line,) = ended.stderr.strip().splitlines()
    assert line.startswith("error: there is no GPU here; train_")
