from __future__ import annotations

from hpoq.campaign.planning.estimate import longest_residual
from tools.mutation.mutation_run import clear_caches


def test_a_mutant_sees_nothing_that_functions_have_kept_from_before() -> None:
    longest_residual(3, 0.5, 0.5)
    assert longest_residual.cache_info().currsize > 0
    clear_caches()
    assert longest_residual.cache_info().currsize == 0
