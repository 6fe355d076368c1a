"""The synthesized stack with the default settings and with all settings."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks, NIST80053R5Checks

from infra.hpo_stack import HpoStack
from infra.nist import acknowledge_nist
from infra.settings import Settings

KEY = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
VARIANTS: dict[str, dict[str, Any]] = {
    "default settings": {"teams": {"fraud": {}, "vision": {}}},
    "all settings": {
        "teams": {"fraud": {"notify_emails": ["fraud@example.com"]}, "vision": {}},
        "kms_key_arn": KEY,
        "alarm_email": "on-call@example.com",
        "guardrails": {
            "vpc": {"subnets": ["subnet-1"], "security_group_ids": ["sg-1"]},
            "input_prefixes": ["s3://data/credit/"],
            "output_prefixes": ["s3://models/fraud/"],
        },
    },
}


@cache
def nag_findings(variant: str) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
    """Return the template of a variant and its findings as (rule, construct, text)."""
    given = VARIANTS[variant]
    with tempfile.TemporaryDirectory() as folder:
        app = cdk.App(outdir=folder, context={"aws:cdk:bundling-stacks": []})
        settings = Settings(**given)
        stack = HpoStack(app, settings.name, settings=settings)
        acknowledge_nist(stack, has_key="kms_key_arn" in given)
        cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app), NIST80053R5Checks(app))
        try:
            app.synth()
        except RuntimeError as error:  # the report below contains the findings
            if "ValidationFailed" not in str(error):
                raise
        report = json.loads((Path(folder) / "validation-report.json").read_text())
        template = json.loads((Path(folder) / f"{settings.name}.template.json").read_text())
    return template, [
        (violation["ruleName"], construct["constructPath"], violation["description"])
        for pack in report["pluginReports"]
        for violation in pack.get("violations", ())
        for construct in violation["violatingConstructs"]
    ]
