"""Start, stop and find the embedded cloud."""
