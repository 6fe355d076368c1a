"""The ``settings`` document: what a client needs to check a request before sending it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import ConfigDict, Field

from hpo_dispatcher.contract.environment import Environment
from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.names import ledger_table
from hpo_dispatcher.contract.settings import Deployment, SettingsModel, parse_model
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.contract.targets.sites import target_sites
from hpo_dispatcher.contract.templates import Template


class SettingsDocument(SettingsModel):
    """The settings as published to the teams: all that a client needs to check a request."""

    model_config = ConfigDict(extra="ignore")

    name: str  # of the deployment
    region: str
    artifact_bucket: str
    training_role_arn: str
    training_source: str
    deployment: Deployment
    templates: dict[str, Template]
    broken_templates: dict[str, str] = Field(default_factory=dict)  # name -> its problem

    @classmethod
    def of(
        cls,
        environment: Environment,
        deployment: Deployment,
        templates: Mapping[str, Template],
        broken_templates: Mapping[str, str] | None = None,
    ) -> SettingsDocument:
        """Return the document of a deployment."""
        return cls(
            name=environment.deployment,
            region=environment.region,
            artifact_bucket=environment.artifact_bucket,
            training_role_arn=environment.training_role_arn,
            training_source=environment.training_source,
            deployment=deployment,
            templates=dict(templates),
            broken_templates=dict(broken_templates or {}),
        )

    @classmethod
    def parse(cls, document: str) -> SettingsDocument:
        """Parse the document.

        Raises:
            InvalidSettings: another version of hpoq wrote it, with settings unknown here.
        """
        return parse_model(cls, json.loads(document), "settings")

    @property
    def environment(self) -> Environment:
        """The environment of the dispatcher."""
        return Environment(
            deployment=self.name,
            ledger_table=ledger_table(self.name),
            artifact_bucket=self.artifact_bucket,
            training_role_arn=self.training_role_arn,
            training_source=self.training_source,
            region=self.region,
        )

    def environment_on(self, target: str) -> Environment:
        """Return what tuning jobs on a target use.

        Raises:
            InvalidSettings: the settings have no such target.
        """
        if target == HOME:
            return self.environment
        sites = target_sites(self.environment, self.deployment.targets)
        if target not in sites:
            problem = f"there is no target {target!r}"
            raise InvalidSettings("targets", problem, f"Use {', '.join(self.deployment.targets)}")
        return sites[target].environment(self.environment)

    def to_json(self) -> str:
        """Return the document as it is published."""
        return self.model_dump_json()
