"""Whole requests for tuning and training jobs, some of whose members have unusual values."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

from hpoq.local.sagemaker.api import schema
from tests.support.memory_endpoint import training_job, tuning_job

Choose = Callable[[Sequence[Any]], Any]
"""Return one of several values: ``random.choice``, or a draw of hypothesis."""

TEXTS = (
    "", "0", "1", "-1", "2", "0.5", "inf", "-inf", "nan", "1e308", "-1e308", "1e-320", "1_0", " 1",
    "9" * 40, "x" * 300, "a", "é", "\x00", "\ud800", "../..", "..", "null", "[]", '{"a": {"b": 1}}',
    '"train.py"', "true", "s3://bucket/data/train/", "s3://bucket", "s3:///", "https://bucket/x",
    "m=([0-9.]+", "(?<v>[0-9.]+)", r"a: (\d+)|b: (\d+)", r"\p{Alpha}+", "auc=([0-9.]+)", "()",
    "auc", "sagemaker-xgboost:1", "arn:aws:iam::123456789012:role/training",
    "/opt/ml/checkpoints", "lr",
)  # fmt: skip
NUMBERS: tuple[Any, ...] = (
    0, 1, 2, 3, -1, 60, 120, 2**31 - 1, 2**31, 2**63, 10**30, 0.5, 1e308, -1e308, float("nan"),
    float("inf"), True, "1", None, [], {},
)  # fmt: skip
RANGES = {
    "ContinuousParameterRanges": [{"Name": "lr", "MinValue": "0.01", "MaxValue": "1"}],
    "IntegerParameterRanges": [{"Name": "n", "MinValue": "1", "MaxValue": "64"}],
    "CategoricalParameterRanges": [{"Name": "c", "Values": ["a", "b"]}],
}
STRATEGIES = ("Bayesian", "Random", "Hyperband", "Grid")


def fuzzed(name: str, choose: Choose) -> tuple[str, bytes]:
    """Return an operation and the body of its request, which may be invalid."""
    if choose((True, True, False)):
        operation, request = "CreateHyperParameterTuningJob", _tuning_job(name, choose)
    else:
        operation, request = "CreateTrainingJob", training_job(name)
    shape = schema.service().operation_model(operation).input_shape
    for _ in range(choose((0, 1, 1, 2, 3, 4))):
        _mutate(shape, request, choose)
    request["TrainingJobName" if operation == "CreateTrainingJob" else _NAME] = name
    return operation, json.dumps(request).encode()


_NAME = "HyperParameterTuningJobName"


def _tuning_job(name: str, choose: Choose) -> dict[str, Any]:
    kinds = choose((tuple(RANGES), *[(each,) for each in RANGES]))
    strategy = choose(STRATEGIES)
    if strategy == "Grid":
        kinds = ("CategoricalParameterRanges",)
    ranges = {kind: copy.deepcopy(RANGES[kind]) for kind in kinds}
    early = "Off" if strategy == "Hyperband" else choose(("Off", "Auto"))
    more: dict[str, Any] = {"Strategy": strategy, "TrainingJobEarlyStoppingType": early}
    if strategy == "Hyperband":
        more["StrategyConfig"] = {"HyperbandStrategyConfig": {"MaxResource": 9}}
    return tuning_job(name, ranges=ranges, jobs=2, **more)


def _mutate(shape: Any, value: Any, choose: Choose) -> None:
    """Change one member of a structure, list or map somewhere in a value."""
    while True:
        key: Any
        match shape.type_name:
            case "structure":
                key = choose(tuple(shape.members))
                inner, present = shape.members[key], key in value
            case "list" if value:
                key, inner, present = choose(range(len(value))), shape.member, True
            case "map":
                key = choose((*value, *TEXTS))
                inner, present = shape.value, key in value
            case _:
                return
        deeper = present and isinstance(value[key], dict | list)
        if not deeper or not choose((True, True, True, False)):
            break
        shape, value = inner, value[key]
    if present and choose((False, False, True)):
        del value[key]
    else:
        value[key] = _value(inner, choose)


def _value(shape: Any, choose: Choose, depth: int = 0) -> Any:
    match shape.type_name:
        case "structure":
            optional = [choose(tuple(shape.members)) for _ in range(choose((0, 1, 2)))]
            names = {*shape.required_members, *(optional if depth < 3 else ())}
            return {name: _value(shape.members[name], choose, depth + 1) for name in sorted(names)}
        case "list":
            return [_value(shape.member, choose, depth + 1) for _ in range(choose((0, 1, 2)))]
        case "map":
            return {choose(TEXTS): _value(shape.value, choose) for _ in range(choose((0, 1, 2)))}
        case "string":
            enum = shape.metadata.get("enum")
            return choose(tuple(enum)) if enum and choose((True, True, False)) else choose(TEXTS)
        case "boolean":
            return choose((True, False))
    return choose(NUMBERS)
