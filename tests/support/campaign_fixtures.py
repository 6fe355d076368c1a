"""Fixtures of a campaign on the local SageMaker endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpo_dispatcher.contract.environment import Environment
from hpo_dispatcher.contract.templates import Template
from hpoq.campaign.backends.direct import DirectBackend
from hpoq.campaign.backends.target import Target
from tests.support.campaign_engine import TEMPLATE, Engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Share one engine in a module, because its first process takes seconds."""
    started = Engine(tmp_path_factory.mktemp("engine"))
    yield started
    started.endpoint.close()


@pytest.fixture
def sagemaker(engine: Engine) -> Any:
    """Return a SageMaker client of the engine."""
    return engine.client()


@pytest.fixture
def target() -> Target:
    """Return a target that runs the script of the engine."""
    return engine_target()


def engine_target() -> Target:
    """Return a target that runs the script of an engine."""
    environment = Environment(
        deployment="direct", ledger_table="none", artifact_bucket="bucket",
        training_role_arn="arn:aws:iam::123456789012:role/training",
        training_source="s3://bucket/source.tar.gz", region="eu-central-1",
    )  # fmt: skip
    template = Template.model_validate(TEMPLATE)
    return Target(template=template, environment=environment, image=str(template.image))


@pytest.fixture
def backend(sagemaker: Any, target: Target) -> DirectBackend:
    """Return a direct backend on the engine."""
    return DirectBackend(sagemaker, target)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a plan file."""
    return tmp_path / "credit.plan.json"
