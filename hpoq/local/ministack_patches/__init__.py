"""Every patch of ministack, and nothing else.

Each patch holds for the pinned release of ministack only. ``tests/cloud`` fails when a new
release differs.
"""
