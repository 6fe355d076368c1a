"""Autotune: values for the fields that a tuning job does not set.

SageMaker documents which fields it fills (ranges, limits, early stopping, retries, convergence)
but not the values. DescribeHyperParameterTuningJob shows the chosen values, as on AWS.
https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-autotune.html
"""

from __future__ import annotations

import copy
from typing import Any

from hpoq.local.sagemaker.records import definitions_of, ranges_of, searched_names

Record = dict[str, Any]
AROUND = 10  # the range of a number is from a tenth of its hint to ten times its hint
FRACTION = 0.5  # hints between this and 1 get a range below 1 on both sides of the hint
JOBS_EACH = 10  # training jobs for each searched hyperparameter
FEWEST_JOBS, MOST_JOBS = 20, 200
MOST = 1e15  # hints beyond it are no numbers to tune
RETRIES = 3


def with_chosen_values(request: Record) -> Record:
    """Return the request with the values that Autotune chooses, if Autotune is on."""
    if request.get("Autotune", {}).get("Mode") != "Enabled":
        return request
    request = copy.deepcopy(request)
    config = request["HyperParameterTuningJobConfig"]
    places = [config, *definitions_of(request)]
    _choose_ranges(config.get("ParameterRanges", {}), definitions_of(request)[0])
    for definition in definitions_of(request):
        _choose_ranges(definition.get("HyperParameterRanges", {}), definition)
        definition.setdefault("RetryStrategy", {"MaximumRetryAttempts": RETRIES})
    searched = max(len(searched_names(ranges_of(request, each))) for each in places[1:])
    if config["Strategy"] != "Grid":
        wanted = min(MOST_JOBS, max(FEWEST_JOBS, JOBS_EACH * searched))
        parallel = config["ResourceLimits"]["MaxParallelTrainingJobs"]
        config["ResourceLimits"].setdefault("MaxNumberOfTrainingJobs", max(wanted, parallel))
    if config["Strategy"] != "Hyperband":  # Hyperband has its own early stopping
        config.setdefault("TrainingJobEarlyStoppingType", "Auto")
    converged = {"ConvergenceDetected": {"CompleteOnConvergence": "Enabled"}}
    config.setdefault("TuningJobCompletionCriteria", converged)
    return request


def _choose_ranges(ranges: Record, definition: Record) -> None:
    """Replace hints by ranges; a hyperparameter that is not a number becomes static."""
    for each in ranges.pop("AutoParameters", ()):
        kind, range_ = _range(each["Name"], each["ValueHint"])
        if kind:
            ranges.setdefault(kind, []).append(range_)
        else:
            static = definition.setdefault("StaticHyperParameters", {})
            static.setdefault(each["Name"], each["ValueHint"])


def _range(name: str, hint: str) -> tuple[str, Record]:
    text = hint.strip('"')
    for kind, number in (("IntegerParameterRanges", int), ("ContinuousParameterRanges", float)):
        try:
            value = number(text)
        except ValueError:
            continue
        if not 0 < abs(value) <= MOST:  # also NaN
            return "", {}
        low, high = sorted((value / AROUND, value * AROUND))
        if number is int:
            low, high = (max(1, low), high) if value > 0 else (low, min(-1, high))
        elif FRACTION <= value < 1:
            low, high = value - (1 - value), value + (1 - value) / 2
        elif 0 < value < 1:
            high = min(high, FRACTION + value / 2)
        scaling = "Logarithmic" if low > 0 and high / low >= AROUND else "Linear"
        bounds = {"MinValue": str(number(low)), "MaxValue": str(number(high))}
        return kind, {"Name": name, **bounds, "ScalingType": scaling}
    return "", {}
