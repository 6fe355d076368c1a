from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.contract.message import (
    Cancel,
    Hold,
    Release,
    SetPriority,
    json_schema,
    parse_message,
    request_id_in,
)
from hpo_dispatcher.contract.request import TuningRequest, wire_value

LR = {"type": "continuous", "min": 0.001, "max": 0.1}
RANGES = {"lr": LR}

DESIGN_EXAMPLE = {
    "version": 1,
    "request_id": "fraud-2026-11-23-a",
    "template": "credit-default-cpu",
    "hyperparameters": {"epochs": 10},
    "hyperparameter_ranges": {
        "lr": {"type": "continuous", "min": 1e-4, "max": 0.1, "scaling": "Logarithmic"},
        "batch-size": {"type": "integer", "min": 64, "max": 1024},
        "momentum": {"type": "categorical", "values": [0.0, 0.5, 0.9]},
    },
    "objective": {"metric": "test:auc", "type": "Maximize"},
    "strategy": "Bayesian",
    "resource_limits": {"max_training_jobs": 20, "max_parallel_training_jobs": 5},
    "priority": 0,
    "after": [],
    "warm_start_from": [],
    "tags": {"project": "fraud"},
    "overrides": {"TrainingJobDefinition": {"EnableManagedSpotTraining": True}},
}


def parse(**fields: Any) -> TuningRequest:
    message = parse_message(json.dumps({"hyperparameter_ranges": RANGES, **fields}), "message-1")
    assert isinstance(message, TuningRequest)
    return message


def problem_of(body: object) -> InvalidRequest:
    text = body if isinstance(body, str) else json.dumps(body)
    with pytest.raises(InvalidRequest) as caught:
        parse_message(text, "message-1")
    return caught.value


def test_the_example_of_the_design_is_a_request() -> None:
    request = parse_message(json.dumps(DESIGN_EXAMPLE), "message-1")
    assert isinstance(request, TuningRequest)
    assert request.request_id == "fraud-2026-11-23-a"


def test_the_message_id_stands_in_for_a_missing_request_id() -> None:
    assert parse().request_id == "message-1"


@pytest.mark.parametrize(
    ("body", "field", "problem", "fix"),
    [
        ("nope", "body", "not valid JSON", "Send one JSON object"),
        ("[1]", "body", "not a JSON object", "Send"),
        ("[" * 100_000, "body", "not valid JSON", "Send one JSON object"),
        ("{}", "hyperparameter_ranges", "missing", "Add it"),
        ({"hyperparameter_ranges": {}}, "hyperparameter_ranges", "empty", "at least one"),
        ({"hyperparameter_range": RANGES}, "hyperparameter_range", "unknown", "_ranges?"),
        ({"hyperparameter_ranges": RANGES, "zzz": 1}, "zzz", "unknown", "overrides"),
        (
            {"hyperparameter_ranges": {"lr": {**LR, "min": 1}}},
            "hyperparameter_ranges.lr",
            "min 1 is above max 0.1",
            "Swap",
        ),
        (
            {"hyperparameter_ranges": {"lr": {**LR, "min": 0.1}}},
            "hyperparameter_ranges.lr",
            "both 0.1",
            "fixed value",
        ),
        (
            {"hyperparameter_ranges": {"lr": {**LR, "min": 0, "scaling": "Logarithmic"}}},
            "hyperparameter_ranges.lr",
            "Logarithmic scaling from 0",
            "above 0",
        ),
        (
            {"hyperparameter_ranges": {"lr": {**LR, "max": 1, "scaling": "ReverseLogarithmic"}}},
            "hyperparameter_ranges.lr",
            "ReverseLogarithmic",
            "max < 1",
        ),
        (
            {
                "hyperparameter_ranges": {
                    "n": {"type": "integer", "min": 1, "max": 2, "scaling": "ReverseLogarithmic"}
                }
            },
            "hyperparameter_ranges.n",
            "integer",
            "continuous ranges only",
        ),
        (
            {"hyperparameter_ranges": {"n": {"type": "integer", "min": 1.5, "max": 2}}},
            "hyperparameter_ranges.n.min",
            "1.5 is not a whole number",
            "such as 3",
        ),
        (
            {"hyperparameter_ranges": {"lr": {**LR, "max": "0.1"}}},
            "hyperparameter_ranges.lr.max",
            "not a number or whole number",
            "plain value",
        ),
        (
            {"hyperparameter_ranges": {"c": {"type": "categorical", "values": ["a", "a"]}}},
            "hyperparameter_ranges.c",
            "'a' is listed twice",
            "once",
        ),
        (
            {"hyperparameter_ranges": {"c": {"type": "categorical", "values": list(range(31))}}},
            "hyperparameter_ranges.c.values",
            "31 entries exceed the limit of 30",
            "Remove",
        ),
        (
            {"hyperparameter_ranges": {"lr": {"min": 1}}},
            "hyperparameter_ranges.lr",
            "no type",
            "continuous",
        ),
        (
            {"hyperparameter_ranges": {"lr": {**LR, "type": "real"}}},
            "hyperparameter_ranges.lr",
            '"real" is unknown',
            "continuous",
        ),
        (
            {"hyperparameter_ranges": {f"p{i}": LR for i in range(31)}},
            "hyperparameter_ranges",
            "31 entries exceed the limit of 30",
            "Remove",
        ),
        (
            {"hyperparameter_ranges": RANGES, "hyperparameters": {"lr": 1}},
            "hyperparameters.lr",
            "both in hyperparameters and in hyperparameter_ranges",
            "only one of them",
        ),
        (
            {"hyperparameter_ranges": RANGES, "hyperparameters": {"x": [1]}},
            "hyperparameters.x",
            "not a string, number, whole number or boolean",
            "plain value",
        ),
        (
            {"hyperparameter_ranges": {"_tuning_objective_metric": LR}},
            "request",
            "reserved by SageMaker",
            "underscore",
        ),
        (
            {"hyperparameter_ranges": RANGES, "tags": {"hpoq:team": "x"}},
            "tags",
            "reserved",
            "hpoq:",
        ),
        (
            {"hyperparameter_ranges": RANGES, "request_id": "a b"},
            "request_id",
            "not allowed",
            "match",
        ),
        (
            {"hyperparameter_ranges": RANGES, "request_id": "a", "after": ["a"]},
            "after",
            "names the request itself",
            "other requests",
        ),
        (
            {"hyperparameter_ranges": RANGES, "warm_start_from": list("abcdef")},
            "warm_start_from",
            "6 entries exceed the limit of 5",
            "Remove",
        ),
        (
            {"hyperparameter_ranges": RANGES, "version": 2},
            "version",
            "2 is not supported",
            "Upgrade",
        ),
        ({"hyperparameter_ranges": RANGES, "strategy": "Bayes"}, "strategy", "Bayes", "Bayesian?"),
        ({"action": "kill"}, "action", "unknown action 'kill'", "cancel"),
        ({"action": {}}, "action", "unknown action {}", "cancel"),
        ({"action": "cancel"}, "request_id", "missing", "Add it"),
        ('{"hyperparameter_ranges": {"lr": {"min": NaN}}}', "body", "NaN", "finite"),
        ('{"version": 1, "version": 1}', "version", "appears twice", "Remove"),
    ],
)
def test_an_invalid_message_is_rejected_with_field_problem_and_fix(
    body: object, field: str, problem: str, fix: str
) -> None:
    error = problem_of(body)
    assert error.field == field
    assert problem in error.problem
    assert fix in error.fix
    assert "\n" not in str(error)


def test_a_body_over_256_kb_is_refused() -> None:
    error = problem_of("x" * 300 * 1024)
    assert (error.field, error.problem) == (
        "body",
        "300 KB exceeds the limit of 256 KB",
    )


def test_equal_requests_have_equal_digests_whatever_their_spelling() -> None:
    spelled_out = parse(priority=0, after=[], version=1)
    assert spelled_out.digest() == parse().digest()
    assert parse(priority=1).digest() != parse().digest()


def test_actions_are_read() -> None:
    def read(**fields: Any) -> object:
        return parse_message(json.dumps(fields), "message-1")

    assert read(action="cancel", request_id="a") == Cancel(action="cancel", request_id="a")
    assert read(action="priority", request_id="a", priority=3) == SetPriority(
        action="priority", request_id="a", priority=3
    )
    assert read(action="hold") == Hold(action="hold")
    assert read(action="release", request_id="a") == Release(action="release", request_id="a")


def test_an_unreadable_message_is_accounted_for_under_its_message_id() -> None:
    assert request_id_in("nope", "message-1") == "message-1"
    assert request_id_in('{"request_id": "a b"}', "message-1") == "message-1"
    assert request_id_in('{"request_id": "mine", "zzz": 1}', "message-1") == "mine"
    assert request_id_in("x" * 300 * 1024, "message-1") == "message-1"


def test_the_published_schema_accepts_what_the_model_accepts() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for message in (
        DESIGN_EXAMPLE,
        {"hyperparameter_ranges": RANGES},
        {"action": "cancel", "request_id": "a"},
    ):
        jsonschema.validate(message, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"hyperparameter_ranges": RANGES, "zzz": 1}, schema)


finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
scalars = st.one_of(st.booleans(), st.integers(-(2**53), 2**53), finite, st.text(max_size=20))
bounds = st.tuples(finite, finite).filter(lambda pair: pair[0] < pair[1])
ranges = st.one_of(
    bounds.map(lambda b: {"type": "continuous", "min": b[0], "max": b[1]}),
    st.lists(scalars, min_size=1, max_size=30, unique_by=wire_value).map(
        lambda values: {"type": "categorical", "values": values}
    ),
)


@given(st.dictionaries(st.text("abc-", min_size=1, max_size=8), ranges, min_size=1, max_size=30))
def test_a_request_survives_the_ledger(hyperparameter_ranges: dict[str, Any]) -> None:
    request = parse(hyperparameter_ranges=hyperparameter_ranges)
    again = TuningRequest.model_validate_json(request.to_json())
    assert again == request
    assert again.digest() == request.digest()


json_values = st.recursive(
    scalars | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
bodies = json_values.map(lambda value: json.dumps({"hyperparameter_ranges": value}))


@given(st.text(max_size=200) | bodies)
def test_any_body_is_parsed_or_rejected_with_field_problem_and_fix(body: str) -> None:
    try:
        parse_message(body, "message-1")
    except InvalidRequest as error:
        assert error.field
        assert error.problem
        assert error.fix
