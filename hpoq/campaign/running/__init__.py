"""The runner, which starts a campaign's tuning jobs and follows them."""
