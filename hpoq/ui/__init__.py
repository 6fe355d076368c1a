"""Pages that show an account: requests, tuning jobs, training jobs and their logs. Read-only."""
