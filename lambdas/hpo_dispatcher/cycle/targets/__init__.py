"""SageMaker and the quotas of each target."""
