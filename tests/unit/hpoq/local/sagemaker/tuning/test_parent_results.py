"""What a tuning job takes from the results of its parents."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from hpoq.local.sagemaker.tuning.suggest import HyperparameterSearch
from hpoq.local.sagemaker.tuning.tuning_run import TunedDefinition, TuningRun, tuning_run_of
from hpoq.local.sagemaker.tuning.warm_start import add_parent_results, inherited
from tests.support.memory_endpoint import tuning_job

Record = dict[str, Any]
Results = list[tuple[dict[str, str], float]]


class RecordingSearch(HyperparameterSearch):
    """A search that keeps the results it is given."""

    def __init__(self) -> None:
        super().__init__({"Strategy": "Random"}, {}, maximize=True, seed=1)
        self.results: Results = []

    def add_result(self, values: Mapping[str, str], objective: float) -> bool:
        self.results.append((dict(values), objective))
        return True


def run_of(record: Record) -> TuningRun:
    """Return the run of a tuning job whose searches keep their results."""
    run = tuning_run_of(record)
    for each in run.definitions:
        each.search = RecordingSearch()
    return run


def results(definition: TunedDefinition) -> Results:
    search = definition.search
    assert isinstance(search, RecordingSearch)
    return search.results


def with_definitions(job: Record, *names: str) -> Record:
    """Return a tuning job with these definitions instead of its single one."""
    definition, config = job.pop("TrainingJobDefinition"), job["HyperParameterTuningJobConfig"]
    definition["TuningObjective"] = config.pop("HyperParameterTuningJobObjective")
    definition["HyperParameterRanges"] = config.pop("ParameterRanges")
    several = [copy.deepcopy(definition) | {"DefinitionName": name} for name in names]
    return job | {"TrainingJobDefinitions": several}


def trained(value: float | None, definition: str | None = None, **fields: Any) -> Record:
    """Return the record of a training job of a parent."""
    metrics = [] if value is None else [{"MetricName": "auc", "Value": value}]
    return {
        "TrainingJobStatus": "Completed",
        "FinalMetricDataList": metrics,
        "HyperParameters": {"lr": "0.5", "epochs": "3"},
        "_tuned": {"lr": "0.5"},
        "_objective": {"Type": "Maximize", "MetricName": "auc"},
        "_definition": definition,
        **fields,
    }


def test_the_results_of_a_parent_belong_to_the_definition_of_the_same_name() -> None:
    run = run_of(with_definitions(tuning_job("child"), "a", "b", "new"))
    parent = with_definitions(tuning_job("parent"), "b", "a")
    jobs = [trained(0.1, "a"), trained(0.2, "b"), trained(0.3, "a")]

    add_parent_results(run, parent, jobs)

    found = [[value for _, value in results(each)] for each in run.definitions]
    assert found == [[0.1, 0.3], [0.2], [0.2]]  # a new definition takes those of the first


def test_a_single_definition_without_a_name_takes_the_results_of_the_same_kind() -> None:
    run = run_of(tuning_job("child"))
    add_parent_results(run, tuning_job("parent"), [trained(0.1), trained(0.2, "other")])
    assert [value for _, value in results(run.definitions[0])] == [0.1]


def test_only_training_jobs_with_a_result_count() -> None:
    run = run_of(tuning_job("child"))
    jobs = [trained(None), trained(0.0), trained(0.2, TrainingJobStatus="Failed")]
    add_parent_results(
        run, tuning_job("parent"), [*jobs, trained(0.3, TrainingJobStatus="Stopped")]
    )
    assert [value for _, value in results(run.definitions[0])] == [0.0, 0.3]


def test_a_result_has_static_and_searched_values_and_the_searched_ones_win() -> None:
    run = run_of(tuning_job("child"))
    job = trained(0.1, HyperParameters={"lr": "0", "epochs": "3"}, _tuned={"lr": "0.25"})
    add_parent_results(run, tuning_job("parent"), [job])
    assert results(run.definitions[0]) == [({"lr": "0.25", "epochs": "3"}, 0.1)]


def best(value: float) -> Record:
    metric = {"Type": "Maximize", "MetricName": "auc", "Value": value}
    return {
        "TrainingJobName": f"job-{value}",
        "FinalHyperParameterTuningJobObjectiveMetric": metric,
    }


# API_DescribeHyperParameterTuningJob.html: for IDENTICAL_DATA_AND_ALGORITHM, it is the best "of all
# training jobs launched by this tuning job and all parent jobs specified".
@pytest.mark.parametrize(
    ("kind", "direction", "before", "of_parents", "expected"),
    [
        ("IdenticalDataAndAlgorithm", "Maximize", None, [0.5], 0.5),
        ("IdenticalDataAndAlgorithm", "Maximize", None, [0.5, 0.7, 0.6], 0.7),
        ("IdenticalDataAndAlgorithm", "Minimize", None, [0.5, 0.7, 0.4], 0.4),
        ("IdenticalDataAndAlgorithm", "Maximize", 0.8, [0.5], 0.8),
        ("IdenticalDataAndAlgorithm", "Minimize", 0.8, [0.5], 0.5),
        ("IdenticalDataAndAlgorithm", "Maximize", 0.8, [None], 0.8),
        ("IdenticalDataAndAlgorithm", "Maximize", None, [None], None),
        ("IdenticalDataAndAlgorithm", "Maximize", None, [None, 0.5], 0.5),
        ("TransferLearning", "Maximize", None, [0.5], None),
        (None, "Maximize", None, [0.5], None),
    ],
)
def test_the_overall_best_training_job_may_be_a_parent_s(
    kind: str | None,
    direction: str,
    before: float | None,
    of_parents: list[float | None],
    expected: float | None,
) -> None:
    objective = {"Type": direction, "MetricName": "auc"}
    child = tuning_job("child", HyperParameterTuningJobObjective=objective)
    child |= {"WarmStartConfig": {"WarmStartType": kind}} if kind else {}
    child |= {"OverallBestTrainingJob": best(before)} if before is not None else {}
    run = run_of(child)

    for value in of_parents:
        parent = tuning_job("parent")
        parent |= {"BestTrainingJob": best(value)} if value is not None else {}
        add_parent_results(run, parent, [])

    found = run.record.get("OverallBestTrainingJob")
    assert found == (None if expected is None else best(expected))


def test_training_jobs_of_all_parents_are_inherited() -> None:
    tables: Any = {
        "one": {"TrainingJobStatusCounters": {"Completed": 3, "Stopped": 1}},
        "two": {"TrainingJobStatusCounters": {"Completed": 2, "NonRetryableError": 5}},
    }
    names = [{"HyperParameterTuningJobName": name} for name in ("one", "deleted", "two")]
    child = {"WarmStartConfig": {"ParentHyperParameterTuningJobs": names}}
    assert inherited(child, tables) == 11
    assert inherited({}, tables) == 0
