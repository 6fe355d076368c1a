"""The Search operation: filters, nested filters and expressions over stored jobs.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Search.html
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from hpoq.local.sagemaker.api import schema
from hpoq.local.sagemaker.api.descriptions import (
    describe_training_job,
    describe_tuning_job,
    tag_list,
)
from hpoq.local.sagemaker.api.index_lag import IndexLag
from hpoq.local.sagemaker.api.pages import page_of
from hpoq.local.sagemaker.errors import invalid
from hpoq.local.sagemaker.store import Store

Record = dict[str, Any]
ENTITIES = {
    "TrainingJob": "TrainingJob",
    "HyperParameterTuningJob": "HyperParameterTuningJobSearchEntity",
}
# Properties that Search derives from a job; the job's description has no such fields.
DERIVED = ("Metrics", "HyperParameters", "Tags")


def search(store: Store, lag: IndexLag, parameters: Record) -> Record:
    """Return the response of the Search operation.

    Args:
        store: the jobs and their tags.
        lag: the jobs that are too new to be found.
        parameters: of the operation.

    Raises:
        ApiError: if the resource is not supported or the expression is invalid.
    """
    resource = parameters["Resource"]
    match resource:
        case "TrainingJob":
            records = [describe_training_job(each) for each in store.training_jobs.all()]
        case "HyperParameterTuningJob":
            records = [describe_tuning_job(each) for each in store.tuning_jobs.all()]
        case _:
            raise invalid(f"Search for {resource} is not supported by this endpoint.")
    records = [each for each in records if not lag.hides(each)]
    tags = store.tags.all()
    for record in records:
        record["Tags"] = tag_list(tags.get(record[f"{resource}Arn"], {}))
    selected = select(resource, parameters, records)
    page, token = page_of(selected, parameters)
    return {
        "Results": [{resource: each} for each in page],
        "NextToken": token,
        "TotalHits": {"Value": len(selected), "Relation": "EqualTo"},
    }


def select(resource: str, request: Mapping[str, Any], records: Iterable[Record]) -> list[Record]:
    """Return the records that a search expression selects, in the requested order.

    Args:
        resource: a key of ENTITIES.
        request: the parameters of the operation.
        records: the described jobs, with their tags.

    Raises:
        ApiError: if the expression names an unknown property or cannot be evaluated.
    """
    expression = request.get("SearchExpression", {})
    _check(resource, expression)
    wanted = [record for record in records if _holds(expression, record)]
    name = request.get("SortBy", "LastModifiedTime")
    _check_name(resource, name)
    descending = request.get("SortOrder", "Descending") == "Descending"
    keyed = [(_key(record, name), record) for record in wanted]
    with_value = sorted(
        (each for each in keyed if each[0] is not None),
        key=lambda each: each[0] or (),
        reverse=descending,
    )
    return [record for _, record in with_value] + [record for key, record in keyed if key is None]


# Validation of expressions


def _check(resource: str, expression: Record) -> None:
    contained = 0
    for each in _filters(expression):
        _check_name(resource, each["Name"])
        asked = _operator(each)
        if "Value" not in each and asked not in ("Exists", "NotExists"):
            raise invalid(f"The filter {each['Name']} {asked} needs a Value.")
        contained += asked == "Contains"
    if contained > 1:
        raise invalid("'CONTAINS' operator usage limit of 1 exceeded.")


def _filters(expression: Record) -> Iterator[Record]:
    yield from expression.get("Filters", ())
    for nested in expression.get("NestedFilters", ()):
        yield from nested["Filters"]
    for inner in expression.get("SubExpressions", ()):
        yield from _filters(inner)


def _check_name(resource: str, name: str) -> None:
    first = name.partition(".")[0]
    members = schema.members(ENTITIES[resource])
    if first not in members and first not in DERIVED:
        raise invalid(f"Unknown property name: {name}. A {resource} has: {', '.join(members)}.")


# Evaluation of expressions


def _holds(expression: Record, record: Record) -> bool:
    parts = [
        _matches(each, _values(record, each["Name"])) for each in expression.get("Filters", ())
    ]
    parts += [_nested(each, record) for each in expression.get("NestedFilters", ())]
    parts += [_holds(each, record) for each in expression.get("SubExpressions", ())]
    return any(parts) if expression.get("Operator") == "Or" and parts else all(parts)


def _nested(nested: Record, record: Record) -> bool:
    """Return whether one element of a list meets all filters."""
    prefix = nested["NestedPropertyName"]
    return any(
        all(
            _matches(each, list(_walk(element, each["Name"].removeprefix(f"{prefix}."))))
            for each in nested["Filters"]
        )
        for element in _walk(record, prefix)
    )


def _operator(each: Record) -> str:
    return str(each.get("Operator", "Equals"))


def _matches(each: Record, values: list[Any]) -> bool:
    name, wanted = _operator(each), each.get("Value", "")
    match name:
        case "Exists" | "NotExists":
            return bool(values) is (name == "Exists")
        case "NotEquals":
            return bool(values) and not any(_equal(value, wanted) for value in values)
    compare = COMPARISONS[name]
    return any(compare(value, wanted) for value in values)


def _equal(value: Any, wanted: str) -> bool:
    pair = _numbers(value, wanted)
    return pair[0] == pair[1] if pair else str(value) == wanted


def _ordered(compare: Callable[[float, float], bool]) -> Callable[[Any, str], bool]:
    """Return a comparison of numbers, which is False for text."""

    def compared(value: Any, wanted: str) -> bool:
        pair = _numbers(value, wanted)
        return pair is not None and compare(*pair)

    return compared


COMPARISONS: dict[str, Callable[[Any, str], bool]] = {
    "Equals": _equal,
    "Contains": lambda value, wanted: wanted in str(value),
    "In": lambda value, wanted: str(value) in wanted.split(","),
    "GreaterThan": _ordered(operator.gt),
    "GreaterThanOrEqualTo": _ordered(operator.ge),
    "LessThan": _ordered(operator.lt),
    "LessThanOrEqualTo": _ordered(operator.le),
}


def _numbers(value: Any, wanted: str) -> tuple[float, float] | None:
    """Return both as numbers, times as seconds; None if one of them is text.

    Compared with an integer, a hyperparameter is truncated to an integer.
    """
    here, there = _number(value), _number(wanted)
    if here is None or there is None:
        return None
    is_text = isinstance(value, str)
    return (float(int(here)), there) if is_text and wanted.lstrip("-").isdigit() else (here, there)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        pass
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


# Properties of jobs


def _values(record: Record, name: str) -> list[Any]:
    kind, _, rest = name.partition(".")
    match kind:
        case "Metrics":
            metrics = record.get("FinalMetricDataList", ())
            return [each["Value"] for each in metrics if each["MetricName"] == rest]
        case "HyperParameters":
            values = record.get("HyperParameters", {})
            return [values[rest]] if rest in values else []
        case "Tags":
            return [each["Value"] for each in record["Tags"] if each["Key"] == rest]
    return list(_walk(record, name))


def _walk(value: Any, path: str) -> Iterator[Any]:
    """Yield all values at a path; at a list, continue with each of its elements."""
    if isinstance(value, list):
        for each in value:
            yield from _walk(each, path)
    elif not path:
        yield value
    elif isinstance(value, dict):
        first, _, rest = path.partition(".")
        if first in value:
            yield from _walk(value[first], rest)


def _key(record: Record, name: str) -> tuple[int, float, str] | None:
    """Return a sort key that puts numbers before text."""
    values = _values(record, name)
    if not values:
        return None
    number = _number(values[0])
    return (0, number, "") if number is not None else (1, 0.0, str(values[0]))
