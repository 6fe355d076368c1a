"""Secret hyperparameter values and signed URLs: wherever they hide, nobody gets to read them."""

from __future__ import annotations

import json
import urllib.parse
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError
from hypothesis import given
from hypothesis import strategies as st

from hpo_dispatcher.contract.errors import InvalidRequest, NotAllowed
from hpo_dispatcher.contract.message import parse_message
from hpo_dispatcher.contract.redaction import HIDDEN, SIGNATURE, Redactor
from tests.support.signed_url import V4

SECRET = "hunter2-hunter2-Zx81"
REDACTOR = Redactor(["api-key"])
V2 = "https://s3.amazonaws.com/b/k?AWSAccessKeyId=AKIAEXAMPLE&Signature=c2lnbmF0dXJl&Expires=1"


def request(**fields: Any) -> dict[str, Any]:
    return {"hyperparameter_ranges": {"lr": {"type": "continuous", "min": 0, "max": 1}}, **fields}


PLACES: dict[str, dict[str, Any]] = {
    "static": request(hyperparameters={"api-key": SECRET}),
    "other spelling": request(hyperparameters={"API_Key": SECRET}),
    "searched": request(
        hyperparameter_ranges={"api-key": {"type": "categorical", "values": ["a", SECRET]}}
    ),
    "override": request(
        overrides={"TrainingJobDefinition": {"StaticHyperParameters": {"api-key": SECRET}}}
    ),
    "override of ranges": request(
        overrides={
            "HyperParameterTuningJobConfig": {
                "ParameterRanges": {
                    "CategoricalParameterRanges": [{"Name": "api-key", "Values": [SECRET]}]
                }
            }
        }
    ),
    "environment": request(
        overrides={"TrainingJobDefinition": {"Environment": {"api_key": SECRET}}}
    ),
    "a list": request(hyperparameters={"api-key": [SECRET, 1]}),
    "an object": request(hyperparameters={"api-key": {"inner": {"deep": SECRET}}}),
    "JSON in a string": request(hyperparameters={"all": json.dumps({"api-key": SECRET})}),
}


@pytest.mark.parametrize("body", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(
    "text",
    [
        f"Value '{SECRET}' at 'staticHyperParameters' failed",
        f"{{api-key={SECRET}, lr=0.1}}",
        f'ExecuteUserScriptError: Command "python train.py --api-key {SECRET} --lr 0.1"',
        f"https://x/?q={urllib.parse.quote(SECRET)}",
        f"cut off: {SECRET[:9]}",
        f"cut off: {SECRET[:3]}...",
        f"cut off in front: ...{SECRET[-10:]}",
        json.dumps({"nested": json.dumps({"value": SECRET})}),
    ],
)
def test_a_secret_is_hidden_wherever_the_message_holds_it(body: dict[str, Any], text: str) -> None:
    shown = REDACTOR.text(text, json.dumps(body))
    assert HIDDEN in shown
    assert "hunter2" not in shown
    assert "hun." not in shown


@pytest.mark.parametrize(
    "body",
    [
        f'{{"hyperparameters": {{"api-key": "{SECRET}"',
        f"{{'api-key': '{SECRET}'}}",
        f"api-key={SECRET} lr=1",
        f'{{"hyperparameters": {{"api-key": "{SECRET}", "api-key": "other"}}}}',
    ],
)
def test_a_secret_is_hidden_in_a_body_that_is_not_valid_json(body: str) -> None:
    assert "hunter2" not in REDACTOR.text(f"not understood near {SECRET}", body)


@pytest.mark.parametrize(
    "text",
    ["train.py --api-key s3cr3t", "--api_key=s3cr3t", "api-key=s3cr3t;", '{"api-key": "s3cr3t"}',
     "{'api-key': 's3cr3t'}", '"{\\"api-key\\": \\"s3cr3t\\"}"'],
)  # fmt: skip
def test_a_value_that_is_not_known_is_hidden_by_its_name(text: str) -> None:
    assert "s3cr3t" not in REDACTOR.line(text)


@pytest.mark.parametrize("url", [V4, V2, urllib.parse.quote(V4, safe=""), json.dumps(V4)])
def test_a_signed_url_loses_its_signature_and_keeps_its_place(url: str) -> None:
    shown = Redactor().text(f"Could not read {url}, giving up")
    assert SIGNATURE in shown
    for part in ("deadbeefcafe", "AKIAEXAMPLE", "FwoGZXIv", "c2lnbmF0"):
        assert part not in shown
    assert shown.endswith("giving up")


def test_a_url_cut_off_before_its_signature_is_still_known() -> None:
    assert "AKIA" not in Redactor().text(V4[:150])


def test_a_plain_url_stays_as_it_is() -> None:
    text = "See https://example.com/a?b=c&d=e for more"
    assert Redactor().text(text) == text


def test_a_short_secret_leaves_other_words_and_numbers_readable() -> None:
    body = request(hyperparameters={"api-key": 5})
    assert (
        REDACTOR.text("500 at most, not 5, and 5.5", body) == f"500 at most, not {HIDDEN}, and 5.5"
    )


def test_the_words_of_the_contract_are_no_secrets() -> None:
    ranges = {"api-key": {"type": "categorical", "values": [SECRET]}}
    text = "Use continuous, integer or categorical"
    assert REDACTOR.text(text, {"hyperparameter_ranges": ranges}) == text


def test_a_templates_own_default_is_hidden_too() -> None:
    redactor = Redactor(["api-key"], [{"hyperparameters": {"api-key": SECRET}}])
    assert redactor.line(f"token {SECRET}") == f"token {HIDDEN}"


def test_an_error_keeps_its_kind() -> None:
    error = NotAllowed(f"tags.{SECRET}", f"{SECRET} is not allowed", f"Not {SECRET}")
    shown = REDACTOR.error(error, PLACES["static"])
    assert isinstance(shown, NotAllowed)
    assert "hunter2" not in str(shown) + shown.field + shown.problem + shown.fix


def test_a_line_hides_what_has_passed_before() -> None:
    redactor = Redactor(["api-key"])
    assert SECRET in redactor.line(SECRET)
    redactor.text("", PLACES["static"])
    assert redactor.line(f"KeyError: '{SECRET}'") == f"KeyError: '{HIDDEN}'"


VALUES = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=6, max_size=80),
    st.integers(100_000, 10**12),
    st.floats(1.0001, 1e12, allow_nan=False).filter(lambda x: len(repr(x)) > 6),
)
WRONG: list[Any] = [
    lambda v: request(hyperparameters={"api-key": v}, nonsense=1),
    lambda v: request(hyperparameters={"api-key": [v]}),
    lambda v: request(hyperparameters={"api-key": {"is": v}}),
    lambda v: {"hyperparameter_ranges": {"api-key": {"type": v}}},
    lambda v: {"hyperparameter_ranges": {"api-key": {"type": "continuous", "min": v, "max": 0}}},
    lambda v: {"hyperparameter_ranges": {"api-key": {"type": "categorical", "values": [v, v]}}},
    lambda v: {
        "hyperparameter_ranges": {"api-key": {"type": "integer", "min": 0, "max": v, "x": v}}
    },
    lambda v: {"hyperparameter_ranges": {"api-key": v}},
    lambda v: request(strategy={"api-key": v}),
    lambda v: request(priority={"api-key": v}),
    lambda v: request(objective={"api-key": v, "metric": 3}),
]


@given(VALUES, st.sampled_from(WRONG), st.booleans())
def test_no_refusal_repeats_a_secret(value: Any, wrong: Any, ascii_only: bool) -> None:
    body = json.dumps(wrong(value), ensure_ascii=ascii_only)
    try:
        parse_message(body, "m")
    except InvalidRequest as error:
        shown = REDACTOR.error(error, body)
        for form in (str(value), json.dumps(value), repr(value)):
            told = f"{shown.field}|{shown.problem}|{shown.fix}"
            if form.strip() and form not in HIDDEN:
                assert form not in told


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_and_any_body_can_be_looked_at(text: str, body: str) -> None:
    REDACTOR.text(text, body)
    Redactor(["api-key", "a.*("]).line(text)


def test_what_aws_answers_is_redacted_before_it_becomes_an_error() -> None:
    from hpo_dispatcher.aws.clients import unavailable
    from hpo_dispatcher.ports import Unavailable

    answer = {"Error": {"Code": "InternalFailure", "Message": f"cannot read {V4}"}}
    failures: list[Exception] = [
        ClientError(answer, "GetObject"),  # type: ignore[arg-type]
        ParamValidationError(report=f"Invalid type, value: {SECRET}"),
    ]
    for failure in failures:
        with (
            pytest.raises(Unavailable) as caught,
            unavailable("x:Y", lambda text: REDACTOR.text(text, PLACES["static"])),
        ):
            raise failure
        assert "deadbeef" not in str(caught.value)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
