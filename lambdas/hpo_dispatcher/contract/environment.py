"""The environment of the dispatcher function."""

from __future__ import annotations

from collections.abc import Mapping

from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.names import ANY_TEAM
from hpo_dispatcher.contract.validation.settings_model import SettingsModel


class Environment(SettingsModel):
    """The environment variables of the function, which CloudFormation sets."""

    deployment: str
    ledger_table: str
    artifact_bucket: str
    training_role_arn: str  # names.ANY_TEAM in it stands for the team
    training_source: str
    region: str
    event_bus: str = "default"

    @property
    def partition(self) -> str:
        """The partition of AWS that the deployment is in, such as aws or aws-cn."""
        return self.training_role_arn.split(":")[1]

    @property
    def account(self) -> str:
        """The account that the deployment is in."""
        return self.training_role_arn.split(":")[4]

    def training_role(self, team: str) -> str:
        """Return the ARN of the role that a team's training jobs run as."""
        return self.training_role_arn.replace(ANY_TEAM, team)

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Environment:
        """Read the variables ``HPOQ_*`` and ``AWS_REGION``.

        Raises:
            InvalidSettings: naming the first missing variable.
        """
        names = {field: f"HPOQ_{field.upper()}" for field in cls.model_fields} | {
            "region": "AWS_REGION"
        }
        values = {field: variables[name] for field, name in names.items() if variables.get(name)}
        for field, name in names.items():
            if cls.model_fields[field].is_required() and field not in values:
                raise InvalidSettings(name, "not set", "Set it on the function")
        return cls(**values)
