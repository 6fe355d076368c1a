"""The guardrails of the quick start allow everything that is bundled, and no more than they say."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from hpo_dispatcher.contract.errors import NotAllowed
from hpo_dispatcher.contract.settings import Guardrails, parse_deployment
from hpo_dispatcher.contract.templates import read_templates
from infra.settings import read_settings
from infra.source import ROOT
from tests.support.tuning_requests import definition, job

EXAMPLE = ROOT / "examples" / "guardrails.json"
REQUESTS = sorted((ROOT / "examples" / "demo" / "requests").iterdir())
TEMPLATES = read_templates()
ON_GPU = [name for name in TEMPLATES if name.endswith("-gpu")]


@pytest.fixture(scope="module")
def guardrails() -> Guardrails:
    fields = {"teams": {"fraud": {}}, "guardrails": json.loads(EXAMPLE.read_text())}
    return parse_deployment(fields).guardrails


@pytest.mark.parametrize("template", sorted(set(TEMPLATES).difference(ON_GPU)))
def test_every_bundled_template_for_cpus_starts_under_them(
    guardrails: Guardrails, template: str
) -> None:
    made = job(guardrails, TEMPLATES[template])
    definition = made["TrainingJobDefinition"]
    assert definition["ResourceConfig"]["InstanceType"].startswith("ml.m5.")


@pytest.mark.parametrize("template", ON_GPU)
def test_templates_for_gpus_need_an_instance_type_more(
    guardrails: Guardrails, template: str
) -> None:
    with pytest.raises(NotAllowed, match=r"ml\.g5\.xlarge is not allowed"):
        job(guardrails, TEMPLATES[template])
    more = guardrails.model_copy(update={"instance_types": ("ml.m5.*", "ml.g5.*")})
    assert job(more, TEMPLATES[template])


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.name)
def test_every_request_of_the_demo_starts_under_them(guardrails: Guardrails, path: Path) -> None:
    fields: dict[str, Any] = yaml.safe_load(path.read_text())
    assert job(guardrails, **fields)["HyperParameterTuningJobName"]


@pytest.mark.parametrize(
    "fields",
    [
        definition(ResourceConfig={"InstanceType": "ml.g5.xlarge"}),
        definition(ResourceConfig={"InstanceCount": 5}),
        definition(ResourceConfig={"VolumeSizeInGB": 500}),
        definition(ResourceConfig={"KeepAlivePeriodInSeconds": 600}),
        definition(StoppingCondition={"MaxRuntimeInSeconds": 86_400}),
        {"strategy": "Random", "resource_limits": {"max_training_jobs": 751}},
        {"resource_limits": {"max_training_jobs": 20, "max_parallel_training_jobs": 11}},
    ],
    ids=json.dumps,
)
def test_each_of_them_has_an_effect(guardrails: Guardrails, fields: dict[str, Any]) -> None:
    assert job(Guardrails(), **fields)
    with pytest.raises(NotAllowed):
        job(guardrails, **fields)


FIRST = ["README.md", "docs/quickstart-devops.md", "docs/first-deployment.md"]


@pytest.mark.parametrize("page", FIRST)
def test_the_first_deployment_of_a_page_uses_them(page: str) -> None:
    """The shell expands the command. cdk then splits an option ``-c`` at ``/=(.*)/``, which drops
    what follows a line break: ``parseStringContextListToObject`` in aws-cdk-cli.
    """
    lines = (ROOT / page).read_text().splitlines()
    command = next(line for line in lines if line.startswith("npx cdk deploy"))
    shell = 'npx() { printf "%s\\0" "$@"; }; ' + command
    expanded = subprocess.run(
        ["bash", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=True
    )
    options = [each for each in expanded.stdout.split("\0") if "=" in each]
    given = dict(re.split("=(.*)", each)[:2] for each in options)
    assert read_settings(given).rules == Guardrails(**json.loads(EXAMPLE.read_text()))
