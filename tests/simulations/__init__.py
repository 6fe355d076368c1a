"""Whole workloads in simulated accounts."""
