"""Conversion of a tuning job to Optuna studies, for Optuna's figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from hpoq.ui.descriptions import Record, bare, definitions, objective

optuna.logging.set_verbosity(optuna.logging.ERROR)

# SageMaker and the embedded cloud treat Auto as logarithmic from three decades on.
AUTO_LOGARITHMIC = 1000.0
METRIC = "metric"  # the user attribute of a study with the name of its objective


def studies(tuning_job: Record, trials: Sequence[Record]) -> dict[str, optuna.Study]:
    """Make a study for each training job definition, by its name (empty for a single one).

    Args:
        tuning_job: the answer of DescribeHyperParameterTuningJob.
        trials: the summaries of its training jobs, oldest first.
    """
    made = {}
    for definition in definitions(tuning_job):
        name = definition.get("DefinitionName", "")
        goal = objective(tuning_job, definition)
        study = optuna.create_study(
            direction="maximize" if goal["Type"] == "Maximize" else "minimize"
        )
        study.set_user_attr(METRIC, goal["MetricName"])
        space = distributions(tuning_job, definition)
        own = [each for each in trials if each.get("TrainingJobDefinitionName", name) == name]
        study.add_trials([_trial(each, space) for each in own])
        made[name] = study
    return made


def distributions(tuning_job: Record, definition: Record) -> dict[str, BaseDistribution]:
    """Return the searched distributions by hyperparameter name."""
    config = tuning_job["HyperParameterTuningJobConfig"]
    ranges = definition.get("HyperParameterRanges") or config.get("ParameterRanges", {})
    return dict(_distributions(ranges))


def _distributions(ranges: Record) -> Iterator[tuple[str, BaseDistribution]]:
    for each in ranges.get("ContinuousParameterRanges", ()):
        low, high = float(each["MinValue"]), float(each["MaxValue"])
        yield each["Name"], FloatDistribution(low, high, log=_logarithmic(each, low, high))
    for each in ranges.get("IntegerParameterRanges", ()):
        low, high = int(each["MinValue"]), int(each["MaxValue"])
        yield each["Name"], IntDistribution(low, high, log=_logarithmic(each, low, high))
    for each in ranges.get("CategoricalParameterRanges", ()):
        yield each["Name"], CategoricalDistribution([bare(value) for value in each["Values"]])


def _logarithmic(each: Record, low: float, high: float) -> bool:
    match each.get("ScalingType", "Auto"):
        case "Logarithmic":
            return True
        case "Auto":
            return low > 0 and high / low >= AUTO_LOGARITHMIC
    return False


def _trial(summary: Record, space: Mapping[str, BaseDistribution]) -> FrozenTrial:
    texts = summary.get("TunedHyperParameters", {})
    params = {
        name: value
        for name, text in texts.items()
        if name in space and (value := _value(space[name], text)) is not None
    }
    final = summary.get("FinalHyperParameterTuningJobObjectiveMetric")
    running = summary["TrainingJobStatus"] in ("InProgress", "Stopping")
    state = TrialState.RUNNING if running else TrialState.COMPLETE if final else TrialState.FAIL
    made = optuna.trial.create_trial(
        state=state,
        value=final["Value"] if final and not running else None,
        params=params,
        distributions={name: space[name] for name in params},
        user_attrs={
            "training job": summary["TrainingJobName"],
            "status": summary["TrainingJobStatus"],
        },
    )
    made.datetime_start = _local(summary.get("TrainingStartTime") or summary["CreationTime"])
    made.datetime_complete = _local(summary.get("TrainingEndTime"))
    return made


def _local(at: datetime | None) -> datetime | None:
    """Convert a time to Optuna's naive local times."""
    return at.astimezone().replace(tzinfo=None) if at else None


def _value(distribution: BaseDistribution, text: str) -> Any:
    """Parse a value; return None if it is outside the distribution."""
    try:
        match distribution:
            case IntDistribution():
                value: Any = round(float(bare(text)))
            case FloatDistribution():
                value = float(bare(text))
            case _:
                value = bare(text)
        inside = distribution._contains(distribution.to_internal_repr(value))
    except ValueError:
        return None
    return value if inside else None
