"""The answers that workflows get."""

from __future__ import annotations

import json

from hpo_dispatcher.contract.workflows.answers import WorkflowResult

RESULT = WorkflowResult(
    team="fraud",
    request_id="a",
    tuning_job_name="fraud-a-1",
    best_training_job="fraud-a-1-003-abcdef",
    objective_metric="validation:auc",
    objective_value=0.78125,
    model_uri="s3://bucket/teams/fraud/output/fraud-a-1-003-abcdef/output/model.tar.gz",
)


def test_the_output_of_a_task_is_flat_json_that_paths_select_from() -> None:
    assert json.loads(RESULT.to_json()) == {
        "team": "fraud",
        "request_id": "a",
        "tuning_job_name": "fraud-a-1",
        "best_training_job": "fraud-a-1-003-abcdef",
        "objective_metric": "validation:auc",
        "objective_value": 0.78125,
        "model_uri": "s3://bucket/teams/fraud/output/fraud-a-1-003-abcdef/output/model.tar.gz",
    }


def test_output_parameters_are_texts() -> None:
    assert RESULT.output_parameters()["objective_value"] == "0.78125"
    assert RESULT.output_parameters().keys() == json.loads(RESULT.to_json()).keys()


def test_without_a_best_training_job_paths_still_find_their_field() -> None:
    result = WorkflowResult(team="fraud", request_id="a", tuning_job_name="fraud-a-1")
    assert json.loads(result.to_json())["model_uri"] is None
    assert result.output_parameters() == {
        "team": "fraud", "request_id": "a", "tuning_job_name": "fraud-a-1",
    }  # fmt: skip
