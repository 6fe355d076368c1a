"""The deployment that a simulation runs."""

from __future__ import annotations

from dataclasses import replace

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.environment import Environment
from hpo_dispatcher.contract.settings import Deployment
from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.contract.templates import FrameworkImage, Template
from hpo_dispatcher.tuning_job.builder import JobBuilder
from hpoq.simulation.targets.services import target_names
from hpoq.simulation.workload import Workload

TEMPLATE = Template(
    description="simulated",
    # A built-in algorithm, because requests name any metric and nothing defines them.
    image="123456789012.dkr.ecr.us-east-1.amazonaws.com/xgboost:simulated",
    request={"objective": {"metric": "m", "type": "Maximize"}},
    tuning_job={"TrainingJobDefinition": {"ResourceConfig": {"InstanceType": "ml.m5.large"}}},
)

REGION = "us-east-1"


class _NoImages:
    def uri(self, image: FrameworkImage, instance_type: str) -> str:
        return TEMPLATE.image if isinstance(TEMPLATE.image, str) else ""


def simulated_deployment(workload: Workload) -> Deployment:
    """Return settings with the teams and limits of a workload.

    A recorded workload may come from an account whose quotas were raised.
    """
    return Deployment.model_validate(
        {
            "teams": workload.teams,
            "limits": {
                "tuning_jobs": workload.slots,
                "parallel_training_jobs": aws_limits.PARALLEL_TRAINING_JOBS,
                "random_training_jobs": aws_limits.TRAINING_JOBS_RANDOM,
            },
            "default_template": "simulated",
            "targets": {
                name: {"account": f"{number:012}", "region": REGION}
                | ({} if name == HOME else {"tuning_jobs": workload.slots})
                for number, name in enumerate(target_names(workload.targets), 1)
            },
        }
    )


def simulated_builder(deployment: Deployment) -> JobBuilder:
    """Return a builder of tuning jobs with these settings."""
    home = JobBuilder(
        deployment=deployment,
        environment=Environment(
            deployment="simulated",
            ledger_table="ledger",
            artifact_bucket="artifacts",
            training_role_arn="arn:aws:iam::123456789012:role/simulated",
            training_source="s3://artifacts/source.tar.gz",
            region=REGION,
        ),
        templates={"simulated": TEMPLATE},
        images=_NoImages(),
    )
    others = [name for name in deployment.targets if name != HOME]
    return replace(home, others={name: replace(home, target=name) for name in others})
