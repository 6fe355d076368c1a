"""Where a campaign runs: through the queue or directly in SageMaker."""
