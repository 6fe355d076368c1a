"""What a training job runs, and the environment it finds."""
