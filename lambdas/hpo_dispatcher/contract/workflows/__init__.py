"""Workflows that wait for requests: the messages they send, and the answers they get."""
