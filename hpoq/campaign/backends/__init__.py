"""The places where a campaign runs: a team's queue, or SageMaker directly."""
