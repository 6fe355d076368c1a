"""The trials of a campaign, as a table and as an Optuna study."""
