"""Checks of what users write, and what is wrong with it in one line: place, problem and fix."""
