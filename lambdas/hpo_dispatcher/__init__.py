"""The dispatcher: turns queued requests into SageMaker tuning jobs."""
