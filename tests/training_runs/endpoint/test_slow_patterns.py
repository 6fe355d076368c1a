"""A regular expression that backtracks for ever neither blocks the endpoint nor its job."""

from __future__ import annotations

import time
from typing import Any

from hpoq.local.sagemaker.training.logs.pattern_search import PatternSearch
from tests.support.memory_endpoint import MemoryPorts, archive, ended, training_job

# "Catastrophic backtracking": 2^40 ways to divide the letters.
CATASTROPHIC = r"(a+)+b=([0-9.]+)"
LINE = "a" * 40 + "c b="


def test_a_job_with_such_a_pattern_ends_and_others_are_answered(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    script = f"print('auc=0.1')\nprint('{LINE}')\nprint('auc=0.7')\n"
    memory.stored["bucket", "source.tar.gz"] = archive({"train.py": script})
    job = training_job("slow")
    job["AlgorithmSpecification"]["MetricDefinitions"] += [{"Name": "m", "Regex": CATASTROPHIC}]
    sagemaker.create_training_job(**job)

    longest, status = 0.0, "InProgress"
    while status == "InProgress":
        began = time.monotonic()
        status = sagemaker.describe_training_job(TrainingJobName="slow")["TrainingJobStatus"]
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.02)
    assert longest < 1  # 0.01 s; Python's own search would block all threads
    metrics = ended(sagemaker, "slow")["FinalMetricDataList"]
    assert [(each["MetricName"], each["Value"]) for each in metrics] == [("auc", 0.7)]
    (lines,) = memory.lines.values()
    assert lines[-1] == (
        "hpoq: a line of 44 characters has no values of the metric m: its regular expression takes "
        "more than 1 s"
    )


def test_the_other_lines_of_a_slow_pattern_are_searched() -> None:
    search = PatternSearch(seconds=0)
    lines = ["ab=1", LINE, "ab=2"]
    (found,) = search.search([r"(a+)+b=(\d)"], lines)
    search.close()
    assert [number for number, _ in found.matches] == [0, 2]
    assert found.slow == [1]
