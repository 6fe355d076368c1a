"""The ways to split a campaign into tuning jobs, and what each one takes."""
