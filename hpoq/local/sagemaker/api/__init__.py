"""The HTTP side of the SageMaker endpoint."""
