"""SageMaker tuning and training jobs on this machine: real processes, real searches."""

from hpoq.local.sagemaker.api.endpoint import SageMakerEndpoint
from hpoq.local.sagemaker.settings import EngineSettings, Quotas

__all__ = ["EngineSettings", "Quotas", "SageMakerEndpoint"]
