"""Tuning jobs: search, early stopping, completion."""
