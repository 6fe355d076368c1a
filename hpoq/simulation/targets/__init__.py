"""Several simulated accounts."""
