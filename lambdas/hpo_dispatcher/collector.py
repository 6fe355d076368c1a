"""Python's garbage collector, told that what is there now stays."""

from __future__ import annotations

import gc

# New objects until the young are looked at, and rounds until the old are. Little of a cycle's
# refers to itself, so nearly all goes without the collector: docs/decisions/0077.
THRESHOLDS = (50_000, 10, 10)


def settle() -> None:
    """Once modules are imported and clients made: never look at them again, and at others less."""
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
