"""Results of requests that ran on another target than home."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Entry, Status
from hpoq.errors import NotReachable
from hpoq.results import models, training_jobs

CLIENT: Any = SimpleNamespace()  # has no service to ask
ENTRY = Entry(
    team="fraud", request_id="r", status=Status.COMPLETED, accepted_at=datetime.now(UTC),
    tuning_job_name="fraud-r-ab12cd34", targets=("research",), target="research",
)  # fmt: skip


def test_one_line_says_where_to_look(tmp_path: Path) -> None:
    for read in (
        lambda: training_jobs.of_entry(CLIENT, ENTRY),
        lambda: models.download(CLIENT, ENTRY, tmp_path),
    ):
        with pytest.raises(NotReachable) as error:
            read()
        assert str(error.value) == (
            "r ran on the target research, which this command does not read. Look there for the "
            "tuning job fraud-r-ab12cd34, with credentials of its account"
        )
