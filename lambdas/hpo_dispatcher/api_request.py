"""A request of CreateHyperParameterTuningJob, in the API's own words."""

from __future__ import annotations

from typing import Any

ApiRequest = dict[str, Any]


def definitions(api_request: ApiRequest) -> list[dict[str, Any]]:
    """The training job definitions, whichever of the two fields carries them."""
    if "TrainingJobDefinitions" in api_request:
        return list(api_request["TrainingJobDefinitions"])
    return [api_request["TrainingJobDefinition"]] if "TrainingJobDefinition" in api_request else []
