"""The deployment that a simulation runs."""

from __future__ import annotations

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.environment import Environment
from hpo_dispatcher.contract.settings import Deployment
from hpo_dispatcher.contract.templates import FrameworkImage, Template
from hpo_dispatcher.tuning_job.builder import JobBuilder
from hpoq.simulation.workload import Workload

TEMPLATE = Template(
    description="simulated",
    # A built-in algorithm, because requests name any metric and nothing defines them.
    image="123456789012.dkr.ecr.us-east-1.amazonaws.com/xgboost:simulated",
    request={"objective": {"metric": "m", "type": "Maximize"}},
    tuning_job={"TrainingJobDefinition": {"ResourceConfig": {"InstanceType": "ml.m5.large"}}},
)


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
        }
    )


def simulated_builder(deployment: Deployment) -> JobBuilder:
    """Return a builder of tuning jobs with these settings."""
    return JobBuilder(
        deployment=deployment,
        environment=Environment(
            deployment="simulated",
            ledger_table="ledger",
            artifact_bucket="artifacts",
            training_role_arn="arn:aws:iam::123456789012:role/simulated",
            training_source="s3://artifacts/source.tar.gz",
            region="us-east-1",
        ),
        templates={"simulated": TEMPLATE},
        images=_NoImages(),
    )
