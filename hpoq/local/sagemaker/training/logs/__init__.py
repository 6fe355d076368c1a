"""The output of training jobs, as CloudWatch logs and metrics."""
