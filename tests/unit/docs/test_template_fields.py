"""The page of job templates has every field, and names fields of the API that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from hpo_dispatcher.contract.templates import (
    FrameworkImage,
    Template,
    parse_template,
)

PAGE = Path(__file__).parents[3] / "docs" / "templates.md"
LONG = {"Config": "HyperParameterTuningJobConfig", "Definition": "TrainingJobDefinition"}


def rows() -> dict[str, str]:
    """Return where each field goes, by its name in the table."""
    table = PAGE.read_text().partition("| field | meaning | goes to |")[2].partition("\n\n")[0]
    lines = [line.split(" | ") for line in table.splitlines() if line.startswith("| `")]
    return {cells[0].strip("| `"): cells[-1] for cells in lines}


def api_shape() -> Any:
    model = botocore.session.get_session().get_service_model("sagemaker")
    return model.operation_model("CreateHyperParameterTuningJob").input_shape


def test_every_field_of_a_template_is_on_the_page() -> None:
    fields = {*Template.model_fields, *(f"image.{name}" for name in FrameworkImage.model_fields)}
    assert fields <= set(rows())


def test_every_default_of_a_request_is_on_the_page_and_no_other() -> None:
    listed = {name.removeprefix("request.") for name in rows() if name.startswith("request.")}
    taken = {"hyperparameters": {"epochs": 1}, "objective": {"metric": "a", "type": "Maximize"},
             "hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0, "max": 1}},
             "strategy": "Random", "resource_limits": {"max_training_jobs": 1},
             "tags": {"a": "b"}}  # fmt: skip
    assert listed == set(taken)
    parse_template("any", {"description": "d", "image": "i:1", "request": taken})


@pytest.mark.parametrize(("field", "goes_to"), sorted(rows().items()))
def test_each_field_goes_to_a_field_that_the_api_has(field: str, goes_to: str) -> None:
    for path in re.findall(r"`((?:Config|Definition|Tags|WarmStart)[A-Za-z.]*)`", goes_to):
        shape = api_shape()
        for part in path.split("."):
            assert LONG.get(part, part) in shape.members, f"{field}: {path}"
            shape = shape.members[LONG.get(part, part)]
