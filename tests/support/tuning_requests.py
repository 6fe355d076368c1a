"""Requests, and the tuning jobs that are built from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hpo_dispatcher.contract.environment import Environment
from hpo_dispatcher.contract.message import parse_message
from hpo_dispatcher.contract.request import TuningRequest
from hpo_dispatcher.contract.settings import Guardrails, Limits, Vpc
from hpo_dispatcher.contract.templates import Template, read_templates
from hpo_dispatcher.tuning_job.build import build
from hpo_dispatcher.tuning_job.parents import Parent

IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/train:1"
ROLE = "arn:aws:iam::123456789012:role/training"
ENVIRONMENT = Environment(
    deployment="hpoq",
    ledger_table="hpoq-ledger",
    artifact_bucket="artifacts",
    training_role_arn=ROLE,
    training_source="s3://assets/training.tar.gz",
    region="eu-central-1",
)
DEFAULT_LIMITS = Limits()
TEMPLATE = read_templates()["credit-default-cpu"]
RANGES: dict[str, Any] = {"lr": {"type": "continuous", "min": 0.001, "max": 0.1}}


def request(**fields: Any) -> TuningRequest:
    message = parse_message(
        json.dumps({"request_id": "r1", "hyperparameter_ranges": RANGES, **fields}), "message-1"
    )
    assert isinstance(message, TuningRequest)
    return message


def job(
    guardrails: Guardrails | None = None,
    template: Template = TEMPLATE,
    parents: tuple[Parent, ...] = (),
    limits: Limits = DEFAULT_LIMITS,
    named: dict[str, str] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    asked = request(**(named or {}), **fields)
    return build(
        asked,
        "fraud",
        template,
        guardrails or Guardrails(),
        ENVIRONMENT,
        image=IMAGE,
        template_name=asked.template or "",
        limits=limits,
        parents=parents,
    )


def definition(**fields: Any) -> dict[str, Any]:
    return {"overrides": {"TrainingJobDefinition": fields}}


STRICT = Guardrails(
    instance_types=("ml.m5.*",),
    images=("123456789012.dkr.ecr.*/*",),
    input_prefixes=("s3://lake/credit/",),
    output_prefixes=("s3://models/fraud/",),
    max_run_seconds=3600,
    max_keep_alive_seconds=0,
    max_training_jobs=50,
    max_parallel_training_jobs=5,
    max_instance_count=1,
    max_volume_gb=50,
    spot_only=True,
    vpc=Vpc(subnets=("subnet-1",), security_group_ids=("sg-1",)),
    volume_kms_key="key-1",
    output_kms_key="key-2",
    network_isolation=True,
    inter_container_encryption=True,
    required_tags=("project",),
)


def captured_requests() -> list[dict[str, Any]]:
    """Return requests that other clients send, each with its source and its kind."""
    file = Path(__file__).parents[1] / "fixtures" / "api_requests.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def api_request(kind: str = "built-in XGBoost") -> dict[str, Any]:
    """Return the first captured request of a kind."""
    found: dict[str, Any] = next(
        each["request"] for each in captured_requests() if each["kind"] == kind
    )
    return found
