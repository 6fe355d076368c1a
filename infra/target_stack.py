"""The stack of one target besides home: wiring and grants only."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from constructs import Construct

from hpo_dispatcher.contract.targets.sites import TargetSite
from infra.replication import accept_replicas, grant_comparison
from infra.settings import Settings, output_name
from infra.target_access import TargetAccess
from infra.team_access import TeamAccess
from infra.training import TrainingResources
from infra.training_role import TrainingRole


class HpoTargetStack(cdk.Stack):
    """What tuning jobs of a deployment use on a target, and the dispatcher's access to it."""

    def __init__(
        self, scope: Construct, id_: str, *, settings: Settings, site: TargetSite, **kwargs: Any
    ) -> None:
        assets = f"{settings.name}/"  # as at home: the dispatcher finds the scripts by this key
        super().__init__(
            scope,
            id_,
            description=f"hpoq: the target {site.target} of {settings.name}",
            env=cdk.Environment(account=site.account, region=site.region),
            synthesizer=cdk.DefaultStackSynthesizer(bucket_prefix=assets),
            **kwargs,
        )
        target = settings.target(site.target)
        teams = {team: of for team, of in settings.teams.items() if target.admits(team)}
        there = settings.on_target(site)
        rules = target.guardrails
        arn = rules.output_kms_key if rules else None
        key = kms.Key.from_key_arn(self, "Key", arn) if arn and arn.startswith("arn:") else None
        training = TrainingResources(
            self, "Training", settings=there, assets=assets, key=key, site=site
        )
        roles = {
            team: TrainingRole(
                self,
                f"Training{output_name(team)}",
                deployment=site.name,
                team=team,
                teams=settings.teams,
                bucket=training.bucket,
                base=training.base,
                rules=settings.rules_on(site.target, team),
            ).role
            for team in teams
        }
        for team in teams:
            TeamAccess(
                self,
                f"Access{output_name(team)}",
                settings=there,
                team=team,
                queue=None,
                ledger=None,
                bucket=training.bucket,
                deployment=settings.name,
            )
        access = TargetAccess(
            self,
            "Access",
            site=site,
            training_roles=[*roles.values()],
            workflows=settings.waiting_workflows,
        )
        grant_comparison(access.role, training.bucket.bucket_arn, target.replicate)
        accept_replicas(training.bucket, site, target.replicate)
        outputs = {
            "ArtifactBucketName": training.bucket.bucket_name,
            "AccessRoleArn": access.role.role_arn,
        }
        outputs |= {
            f"TrainingRoleArn{output_name(team)}": role.role_arn for team, role in roles.items()
        }
        for name, value in outputs.items():
            cdk.CfnOutput(self, name, value=value)
