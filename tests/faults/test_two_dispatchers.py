"""Two dispatchers run at the same time, and any call may fail."""

from __future__ import annotations

import pytest

from tests.support.unreliable_dispatcher import run_two_failing_dispatchers


@pytest.mark.parametrize("seed", range(6))
def test_two_failing_dispatchers_at_once_lose_and_double_no_request_and_keep_the_limit(
    seed: int,
) -> None:
    run_two_failing_dispatchers(seed)
