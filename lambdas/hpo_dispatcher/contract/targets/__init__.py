"""Targets: the accounts and Regions that run tuning jobs, and the names of what is in each."""
