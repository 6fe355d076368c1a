"""The search of a request in API form, in the terms of the short form. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.request import Objective, Range, TuningRequest

CONFIG = "HyperParameterTuningJobConfig"
_KINDS = {
    "ContinuousParameterRanges": ("continuous", float),
    "IntegerParameterRanges": ("integer", int),
}
_RANGE: TypeAdapter[Range] = TypeAdapter(Range)


def search_of(api_request: Mapping[str, Any]) -> TuningRequest:
    """Return ranges, objective and strategy of a CreateHyperParameterTuningJob request.

    Raises:
        InvalidRequest: the request has none, or a search that a campaign cannot divide.
    """
    if "TrainingJobDefinitions" in api_request:
        raise InvalidRequest(
            "api_request.TrainingJobDefinitions",
            "a campaign searches one definition",
            "Plan one campaign for each definition, with TrainingJobDefinition",
        )
    config = api_request.get(CONFIG, {})
    if "WarmStartConfig" in api_request:
        raise InvalidRequest("api_request.WarmStartConfig", "set by the plan", "Remove it")
    objective = config.get("HyperParameterTuningJobObjective", {})
    return TuningRequest(
        request_id="campaign",
        hyperparameter_ranges=_ranges(config.get("ParameterRanges", {})),
        objective=Objective(metric=objective["MetricName"], type=objective["Type"])
        if {"MetricName", "Type"} <= set(objective)
        else None,
        strategy=config.get("Strategy"),
    )


def runs_script(api_request: Mapping[str, Any]) -> bool:
    """Return whether the training jobs run a script, as SageMaker's own algorithms do not."""
    definition = api_request.get("TrainingJobDefinition", {})
    return bool(definition.get("StaticHyperParameters", {}).get("sagemaker_program"))


def _ranges(written: Mapping[str, Any]) -> dict[str, Range]:
    found: dict[str, dict[str, Any]] = {
        each["Name"]: {"type": "categorical", "values": list(each["Values"])}
        for each in written.get("CategoricalParameterRanges", ())
    }
    for field, (kind, convert) in _KINDS.items():
        for each in written.get(field, ()):
            found[each["Name"]] = {
                "type": kind,
                "min": convert(float(each["MinValue"])),
                "max": convert(float(each["MaxValue"])),
                "scaling": each.get("ScalingType", "Auto"),
            }
    if not found:
        raise InvalidRequest(
            f"api_request.{CONFIG}.ParameterRanges", "missing", "Name what to search"
        )
    try:
        return {name: _RANGE.validate_python(each) for name, each in found.items()}
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InvalidRequest(
            f"api_request.{CONFIG}.ParameterRanges", problem, "Correct the range"
        ) from None
