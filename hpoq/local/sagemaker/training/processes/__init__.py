"""The operating system processes of training jobs."""
