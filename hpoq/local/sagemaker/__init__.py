"""SageMaker tuning and training jobs on this machine: real processes, real searches."""

from hpoq.local.sagemaker.api.endpoint import SageMakerEndpoint
from hpoq.local.sagemaker.settings import AccountQuotas, EngineSettings

__all__ = ["AccountQuotas", "EngineSettings", "SageMakerEndpoint"]
