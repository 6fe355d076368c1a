"""Decisions over several targets: which of them a request runs on."""
