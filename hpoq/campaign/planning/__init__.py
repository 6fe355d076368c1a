"""How a campaign could be split into tuning jobs, how long that takes and what it costs."""
