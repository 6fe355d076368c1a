"""How the tests are spread over processes, and where Hypothesis draws its examples from."""

from __future__ import annotations

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# The same examples in every run, so that a red test speaks of the change at hand. To look for new
# ones: pytest --hypothesis-profile=explore --hypothesis-seed=random
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore", max_examples=500)
settings.load_profile("repeatable")


class ByFile(LoadScopeScheduling):
    """A file stays in one process, and the embedded clouds share one.

    Two clouds at once on two cores only wait for each other. Marks of ``xdist_group`` would say
    the same, but pytest 9.2 takes no notice of them (pytest-xdist issue 1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "cloud" if file.startswith("tests/cloud/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Whatever ``--dist`` says."""
    return ByFile(config, log)
