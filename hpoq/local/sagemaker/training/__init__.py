"""Training jobs: processes laid out as in SageMaker's container."""
