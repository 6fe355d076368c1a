"""Training jobs that the endpoint stops early, and what it publishes while they run."""

from __future__ import annotations

from typing import Any

import pytest

from hpoq.local.lifecycle.processes import wait_until
from tests.support.memory_endpoint import MemoryPorts, archive, tuning_job

STEPS = """
import argparse, pathlib, time
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
known = parser.parse_args()
for step in range(40):
    print(f"auc={known.lr * (1 + step / 100):.4f}")
    time.sleep(0.05)
"""


@pytest.mark.parametrize(
    ("strategy", "config"),
    [
        ("Random", {"TrainingJobEarlyStoppingType": "Auto"}),
        (
            "Hyperband",
            {"StrategyConfig": {"HyperbandStrategyConfig": {"MinResource": 2, "MaxResource": 30}}},
        ),
    ],
)
def test_stopped_processes_keep_their_last_value(
    sagemaker: Any, memory: MemoryPorts, strategy: str, config: dict[str, Any]
) -> None:
    memory.stored["bucket", "source.tar.gz"] = archive({"train.py": STEPS})
    job = tuning_job("job-1", Strategy=strategy, jobs=8, parallel=4, RandomSeed=1, **config)
    sagemaker.create_hyper_parameter_tuning_job(**job)
    assert memory.await_status("job-1", "Completed", "Failed") == "Completed"

    trials = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="job-1", MaxResults=100
    )["TrainingJobSummaries"]
    stopped = [each for each in trials if each["TrainingJobStatus"] == "Stopped"]
    assert stopped
    steps = []
    for each in stopped:
        value = each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
        steps.append(round((value / float(each["TunedHyperParameters"]["lr"]) - 1) * 100))
    assert all(0 <= step < 40 for step in steps)
    # On a busy machine the stop may reach one of them at its last step.
    assert min(steps) < 39
    best = max(float(each["TunedHyperParameters"]["lr"]) for each in trials)
    found = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="job-1")
    assert float(found["BestTrainingJob"]["TunedHyperParameters"]["lr"]) == best


def test_log_lines_and_metrics_are_published_while_a_job_runs(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    memory.stored["bucket", "source.tar.gz"] = archive({"train.py": STEPS})
    sagemaker.create_hyper_parameter_tuning_job(**tuning_job("job-1", jobs=1, parallel=1))

    assert wait_until(lambda: len(memory.data) >= 2, 30)
    status = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="job-1")
    assert status["HyperParameterTuningJobStatus"] == "InProgress"
    assert any("auc=" in line for lines in memory.lines.values() for line in lines)
    sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="job-1")
    memory.await_status("job-1", "Stopped")
    assert len(memory.data) == sum(map(len, memory.lines.values()))  # nothing twice
