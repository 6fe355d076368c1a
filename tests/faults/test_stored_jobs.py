"""Stored jobs that cannot be read or resumed, which keep no other job from running."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine_scene import EngineScene, engine_scene
from tests.support.memory_endpoint import training_job, tuning_job


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineScene]:
    with engine_scene(tmp_path, monkeypatch) as made:
        yield made


def stored(home: Path, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with sqlite3.connect(home / "sagemaker" / "jobs.sqlite") as database:
        found = database.execute(statement, values).fetchall()
    database.close()
    return found


def change(home: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit the stored record of the tuning job that is held."""
    ((text,),) = stored(home, "SELECT record FROM tuning_jobs WHERE key = 'held'")
    record = json.loads(text)
    edit(record)
    stored(home, "UPDATE tuning_jobs SET record = ? WHERE key = 'held'", json.dumps(record))


def held() -> dict[str, Any]:
    return tuning_job("held", static={"hold": ""})


@pytest.mark.parametrize("content", ["{", "[]", "null", '{"Tags": 1}', "\x00"])
def test_a_record_that_cannot_be_read_is_set_aside(
    scene: EngineScene, tmp_path: Path, content: str
) -> None:
    scene.ask("CreateHyperParameterTuningJob", **held())
    scene.ask("CreateHyperParameterTuningJob", **tuning_job("other", static={"hold": ""}))
    stored(tmp_path, "UPDATE tuning_jobs SET record = ? WHERE key = 'held'", content)
    scene.restart()

    assert scene.unfinished() != []
    scene.stop_all()
    assert scene.all_end(5), scene.unfinished()  # among them the training jobs of "held"
    ((kind, key, record),) = stored(tmp_path, "SELECT kind, key, record FROM set_aside")
    assert (kind, key, record) == ("tuning_jobs", "held", content)
    (other,) = scene.jobs("ListHyperParameterTuningJobs")
    assert other["HyperParameterTuningJobName"] == "other"


def infinite(record: dict[str, Any]) -> None:
    """Write the range that an earlier version accepted."""
    ranges = record["HyperParameterTuningJobConfig"]["ParameterRanges"]
    ranges["ContinuousParameterRanges"][0] |= {"MinValue": "0", "MaxValue": "inf"}


@pytest.mark.parametrize(
    "edit",
    [
        infinite,
        lambda record: record.pop("HyperParameterTuningJobConfig"),
        lambda record: record.pop("TrainingJobDefinition"),
        lambda record: record["HyperParameterTuningJobConfig"].pop("Strategy"),
        lambda record: record.pop("HyperParameterTuningJobArn"),
    ],
)
def test_a_tuning_job_that_cannot_be_resumed_ends_and_the_others_continue(
    scene: EngineScene, tmp_path: Path, edit: Callable[[dict[str, Any]], object]
) -> None:
    scene.ask("CreateHyperParameterTuningJob", **held())
    scene.ask("CreateTrainingJob", **training_job("kept", hold=""))
    change(tmp_path, edit)
    scene.restart()

    assert scene.unfinished() == ["kept"]
    assert all(job["TrainingJobStatus"] == "Failed" for job in scene.jobs(
        "ListTrainingJobs", NameContains="held"
    ))  # fmt: skip
    for job in scene.jobs("ListHyperParameterTuningJobs"):
        name = {"HyperParameterTuningJobName": job["HyperParameterTuningJobName"]}
        assert scene.ask("DescribeHyperParameterTuningJob", **name)[0] == 200
    assert scene.ask("StopTrainingJob", TrainingJobName="kept")[0] == 200
    assert scene.all_end(5)


def test_the_reason_is_the_failure_reason(scene: EngineScene, tmp_path: Path) -> None:
    scene.ask("CreateHyperParameterTuningJob", **held())
    change(tmp_path, infinite)
    scene.restart()
    status, job = scene.ask("DescribeHyperParameterTuningJob", HyperParameterTuningJobName="held")
    assert status == 200
    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert "MaxValue [inf] is not a number" in job["FailureReason"]
