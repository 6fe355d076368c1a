"""Training jobs: processes that find what they would find in SageMaker's container."""
