"""Mutation testing: whether tests notice changes of the decision code."""
