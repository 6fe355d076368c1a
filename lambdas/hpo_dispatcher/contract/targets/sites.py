"""The names of what ``HpoTargetStack`` deploys, from which the dispatcher finds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpo_dispatcher.contract.environment import Environment
from hpo_dispatcher.contract.errors import InvalidSettings
from hpo_dispatcher.contract.names import ANY_TEAM, training_role
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.contract.targets.settings import TargetSettings


@dataclass(frozen=True, kw_only=True)
class TargetSite:
    """The account and Region of a target other than home."""

    deployment: str
    target: str
    account: str
    region: str
    home_account: str
    home_region: str

    @property
    def name(self) -> str:
        """The name of its stack, and the prefix of every physical name there."""
        return site_name(self.deployment, self.target)

    @property
    def artifact_bucket(self) -> str:
        """The name of its artifact bucket, which is unique among all accounts."""
        return f"{self.name}-{self.account}-{self.region}"

    @property
    def access_role(self) -> str:
        """The name of the role that the dispatcher assumes."""
        return f"{self.name}-access"

    @property
    def external_id(self) -> str:
        """The external id that the trust policy of that role requires.

        It is not a secret. It keeps the dispatcher of another deployment from being made to use
        this role: "How to use an external ID" in the IAM user guide.
        """
        return f"hpoq/{self.home_account}/{self.deployment}/{self.target}"

    def access_role_arn(self, partition: str) -> str:
        """Return the ARN of the role that the dispatcher assumes."""
        return f"arn:{partition}:iam::{self.account}:role/{self.access_role}"

    def environment(self, home: Environment) -> Environment:
        """Return what tuning jobs on the target use, instead of what they use at home.

        Args:
            home: the environment of the function.
        """
        role = training_role(self.name, ANY_TEAM)
        there = f"-{self.home_account}-{self.home_region}/"
        here = f"-{self.account}-{self.region}/"
        return home.model_copy(
            update={
                "artifact_bucket": self.artifact_bucket,
                "training_role_arn": f"arn:{home.partition}:iam::{self.account}:role/{role}",
                # `cdk bootstrap` names its bucket by account and Region; the scripts have the same
                # key in each.
                "training_source": home.training_source.replace(there, here),
                "region": self.region,
            }
        )


def dispatcher_role(deployment: str) -> str:
    """Return the name of the dispatcher's role, if there are targets that trust it."""
    return f"{deployment}-dispatcher"


def replication_role(deployment: str) -> str:
    """Return the name of the role as which S3 replicates home's data to targets."""
    return f"{deployment}-replication"


def site_name(deployment: str, target: str) -> str:
    """Return the prefix of the names on a target."""
    return f"{deployment}-{target}"


def target_sites(
    environment: Environment, targets: Mapping[str, TargetSettings]
) -> dict[str, TargetSite]:
    """Return where the targets besides home are.

    Raises:
        InvalidSettings: the settings of home name another place than the deployment's.
    """
    if len(targets) == 1:
        return {}
    home = targets[HOME]
    for key, said, found in (
        ("account", home.account, environment.account),
        ("region", home.region, environment.region),
    ):
        if said != found:
            problem = f"is {said}, but the deployment is in {found}"
            raise InvalidSettings(f"targets.home.{key}", problem, f"Set {found}")
    return {
        name: TargetSite(
            deployment=environment.deployment,
            target=name,
            account=str(each.account),
            region=str(each.region),
            home_account=environment.account,
            home_region=environment.region,
        )
        for name, each in targets.items()
        if name != HOME
    }
