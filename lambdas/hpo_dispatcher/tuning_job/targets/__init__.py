"""What is different in a tuning job on another target than home."""
