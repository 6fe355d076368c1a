"""The credit-default model: data, training loop, checkpoints."""
