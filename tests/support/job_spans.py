"""When tuning jobs ran, and how many ran at once."""

from __future__ import annotations

from datetime import datetime
from itertools import accumulate

from tests.support.deployed_stack import Deployed


def tuning_jobs(deployed: Deployed, names: set[str]) -> list[tuple[datetime, datetime]]:
    """Return when each of these tuning jobs began and ended according to SageMaker."""
    pages = deployed.client("sagemaker").get_paginator("list_hyper_parameter_tuning_jobs")
    return [
        (job["CreationTime"], job["HyperParameterTuningEndTime"])
        for page in pages.paginate(PaginationConfig={"PageSize": 100})
        for job in page["HyperParameterTuningJobSummaries"]
        if job["HyperParameterTuningJobName"] in names
    ]


def most_at_once(spans: list[tuple[datetime, datetime]]) -> int:
    """Return the largest number of overlapping spans; a span may begin when another ends."""
    changes = [(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans]
    return max(accumulate(change for _, change in sorted(changes)))
