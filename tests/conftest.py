"""How the tests are spread over processes, and where Hypothesis draws its examples from."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

HERE = Path(__file__).parent

# The same examples in every run, so that a red test speaks of the change at hand. To look for new
# ones: pytest --hypothesis-profile=explore --hypothesis-seed=random
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore", max_examples=500)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With ``--dist loadgroup``: a file stays in one process, and the embedded clouds share one.

    Two clouds at once on two cores only wait for each other.
    """
    for item in items:
        path = item.path.relative_to(HERE)
        group = "cloud" if path.parts[0] == "cloud" else str(path)
        item.add_marker(pytest.mark.xdist_group(group))
