"""What the ledger says of a new request: who asks for what, and how much it may use."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.contract.errors import BrokenTemplate, InvalidRequest
from hpo_dispatcher.contract.message import parse_fields
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.contract.settings import Deployment
from hpo_dispatcher.contract.templates import FrameworkImage
from hpo_dispatcher.tuning_job.builder import JobBuilder
from tests.support.tuning_requests import ENVIRONMENT, TEMPLATE, api_request, request

AT = datetime(2026, 1, 1, tzinfo=UTC)
TEAM = {"priority_cap": 5, "priority_aging_minutes": 30}


class Images:
    def uri(self, image: FrameworkImage, instance_type: str) -> str:
        return f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{image.framework}:{instance_type}"


def builder(broken: dict[str, str] | None = None, **settings: Any) -> JobBuilder:
    given = {"teams": {"fraud": TEAM, "vision": {}}, "default_template": "credit"} | settings
    return JobBuilder(
        deployment=Deployment.model_validate(given),
        environment=ENVIRONMENT,
        templates={"credit": TEMPLATE, "other": TEMPLATE},
        images=Images(),
        broken_templates=broken or {},
    )


def in_api_form(**queueing: Any) -> TuningRequest:
    sent = {name: each for name, each in api_request().items() if name != "Tags"}
    text = json.dumps(sent)
    parsed = parse_fields({"api_request": json.loads(text), "request_id": "a", **queueing}, "m")
    assert isinstance(parsed, TuningRequest)
    return parsed


def test_an_entry_has_the_demand_of_its_tuning_job_and_its_place_in_the_queue() -> None:
    asked = request(
        request_id="a", priority=9, expected_minutes=90.01,
        resource_limits={"max_training_jobs": 9, "max_parallel_training_jobs": 3},
    )  # fmt: skip
    assert builder().entry("fraud", asked, AT) == Entry(
        team="fraud", request_id="a", status=Status.QUEUED, accepted_at=AT,
        request_json=asked.to_json(), template="credit", priority=5, priority_aging_minutes=30,
        instances={"ml.m5.large": 3}, max_training_jobs=9,
        max_parallel=3, most_instance_seconds=9 * 1800, expected_seconds=5401, resume_blocker="",
    )  # fmt: skip


def test_a_team_without_settings_of_priorities_has_its_priorities_as_sent() -> None:
    found = builder().entry("vision", request(priority=9), AT)
    assert (found.priority, found.priority_aging_minutes, found.expected_seconds) == (9, 0, 0)


@pytest.mark.parametrize(
    ("fields", "blocked", "reason"),
    [
        ({}, False, ""),
        ({"after": ["a", "b"]}, True, "waits for a, b to end"),
        ({"warm_start_from": ["c"]}, True, "waits for c to end"),
        ({"after": ["a"], "warm_start_from": ["c", "a"]}, True, "waits for a, c to end"),
    ],
)
def test_a_request_that_names_others_waits_for_them_and_says_so(
    fields: dict[str, Any], blocked: bool, reason: str
) -> None:
    found = builder().entry("fraud", request(**fields), AT)
    assert (found.blocked, found.reason) == (blocked, reason)


def test_a_request_in_api_form_has_no_template_and_the_demand_that_it_names() -> None:
    asked = in_api_form(priority=2)
    prefixes = set(re.findall(r"s3://[a-z0-9.-]+", asked.to_json()))
    of = builder(teams={"fraud": {"guardrails": {"output_prefixes": [*prefixes]}}})
    found = of.entry("fraud", asked, AT)
    limits = (asked.api_request or {})["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert (found.template, found.request_json, found.priority) == ("", asked.to_json(), 2)
    assert (found.max_training_jobs, found.max_parallel) == (
        limits["MaxNumberOfTrainingJobs"], limits["MaxParallelTrainingJobs"]
    )  # fmt: skip


@pytest.mark.parametrize(("named", "template"), [({}, "credit"), ({"template": "other"}, "other")])
def test_a_request_takes_the_template_that_it_names_or_the_deployments(
    named: dict[str, str], template: str
) -> None:
    assert builder().template_name(request(**named)) == template
    assert builder().entry("fraud", request(**named), AT).template == template


def test_an_unknown_template_is_refused_and_a_broken_one_makes_its_requests_wait() -> None:
    with pytest.raises(InvalidRequest) as unknown:
        builder().entry("fraud", request(template="none"), AT)
    assert (unknown.value.field, unknown.value.problem, unknown.value.fix) == (
        "template", "unknown template 'none'", "Use one of credit, other"
    )  # fmt: skip
    of = builder({"mine": "a field is unknown"})
    with pytest.raises(BrokenTemplate, match=r"the template mine is broken \(a field is unknown"):
        of.entry("fraud", request(template="mine"), AT)
    assert of.entry("fraud", request(), AT).template == "credit"
