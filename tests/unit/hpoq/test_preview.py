"""What a preview says about a request that the dispatcher would change."""

from __future__ import annotations

from typing import Any

import pytest

from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.settings import Deployment
from hpo_dispatcher.contract.templates import read_templates
from hpoq.preview import lowered_training_jobs, preview
from tests.support.tuning_requests import ENVIRONMENT

SETTINGS = SettingsDocument.of(
    ENVIRONMENT, Deployment.model_validate({"teams": {"fraud": {}}}), read_templates()
)
TWO = {"optimizer": {"type": "categorical", "values": ["adamw", "sgd"]}}
CHOSEN = {"HyperParameterTuningJobConfig": {"ResourceLimits": {"MaxNumberOfTrainingJobs": 2}}}
MANY = {"lr": {"type": "continuous", "min": 0.01, "max": 0.1}}


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        (
            {"hyperparameter_ranges": TWO},
            "max_training_jobs is 2, because the search space has 2 combinations",
        ),
        ({"hyperparameter_ranges": TWO, "resource_limits": {"max_training_jobs": 2}}, ""),
        ({"hyperparameter_ranges": TWO, "overrides": CHOSEN}, ""),
        ({"hyperparameter_ranges": MANY}, ""),
        ({"hyperparameter_ranges": MANY, "template": "credit-default-ray"}, ""),
    ],
)
def test_a_lowered_number_of_training_jobs_is_said(fields: dict[str, Any], note: str) -> None:
    message = {"request_id": "r1", **fields}
    assert lowered_training_jobs(message, preview(SETTINGS, "fraud", message)) == note
