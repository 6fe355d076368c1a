"""The credit-default classifier: data, features, training loop, checkpoints and metrics."""
