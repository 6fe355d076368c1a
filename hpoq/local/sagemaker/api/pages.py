"""Pages of lists: MaxResults, NextToken, filters and sort order of the API's list operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hpoq.local.sagemaker.errors import invalid
from hpoq.local.sagemaker.store import JobFilter

Record = dict[str, Any]
ReadPage = Callable[[JobFilter, int, int], list[Record]]
DEFAULT_SIZE = 10


def stored_page(
    read: ReadPage, parameters: Record, default_order: str, tuning_job: str | None = None
) -> tuple[list[Record], str | None]:
    """Return the records that a list operation asks for, and its NextToken.

    Args:
        read: ``JobTable.page``.
        parameters: of the list operation.
        default_order: SortBy, if the parameters do not set it.
        tuning_job: list the training jobs of this tuning job only.
    """
    first, size = _first(parameters), parameters.get("MaxResults", DEFAULT_SIZE)
    job_filter = JobFilter(
        status=parameters.get("StatusEquals"),
        name_contains=parameters.get("NameContains"),
        created_after=parameters.get("CreationTimeAfter"),
        created_before=parameters.get("CreationTimeBefore"),
        modified_after=parameters.get("LastModifiedTimeAfter"),
        modified_before=parameters.get("LastModifiedTimeBefore"),
        tuning_job=tuning_job,
        order=parameters.get("SortBy", default_order),
        descending=is_descending(parameters),
    )
    records = read(job_filter, first, size + 1)  # one more, to know whether another page follows
    return records[:size], str(first + size) if len(records) > size else None


def page_of(records: list[Record], parameters: Record) -> tuple[list[Record], str | None]:
    """Return the part of a list that a page shows, and its NextToken."""
    first = _first(parameters)
    after = first + parameters.get("MaxResults", DEFAULT_SIZE)
    return records[first:after], str(after) if after < len(records) else None


def is_descending(parameters: Record) -> bool:
    """Return whether the sort order is descending."""
    return bool(parameters.get("SortOrder", "Ascending") == "Descending")


def _first(parameters: Record) -> int:
    try:
        return int(parameters.get("NextToken") or 0)
    except ValueError:
        raise invalid("Invalid NextToken.") from None
