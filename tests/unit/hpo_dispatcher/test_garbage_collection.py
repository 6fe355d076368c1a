"""What the garbage collector is told once the function is warm."""

from __future__ import annotations

import gc

from hpo_dispatcher.handler import GC_THRESHOLDS, tune_garbage_collector


def test_what_is_there_is_never_looked_at_again_and_new_objects_less() -> None:
    before = gc.get_threshold()
    try:
        tune_garbage_collector()
        assert gc.get_freeze_count() > 1000
        assert gc.get_threshold() == GC_THRESHOLDS
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
