"""The runner that starts a campaign's tuning jobs and follows them."""
