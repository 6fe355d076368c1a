"""Tuning jobs: search, early stopping, warm start and completion."""
