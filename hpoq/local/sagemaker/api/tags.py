"""The API's operations on tags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hpoq.local.sagemaker.api.descriptions import tag_list
from hpoq.local.sagemaker.api.index_lag import IndexLag
from hpoq.local.sagemaker.api.pages import page_of
from hpoq.local.sagemaker.store import TagTable

Record = dict[str, Any]
PAGE_SIZE = 50


class TagOperations:
    """The operations that list, add and delete the tags of jobs."""

    def __init__(self, tags: TagTable, lag: IndexLag) -> None:
        self._tags = tags
        self._lag = lag
        self.by_name: dict[str, Callable[[Record], Record]] = {
            "ListTags": self._list,
            "AddTags": self._add,
            "DeleteTags": self._delete,
        }

    def _list(self, parameters: Record) -> Record:
        arn = parameters["ResourceArn"]
        tags = {} if self._lag.hides_arn(arn) else self._tags.of(arn)
        page, token = page_of(tag_list(tags), parameters | {"MaxResults": PAGE_SIZE})
        return {"Tags": page, "NextToken": token}

    def _add(self, parameters: Record) -> Record:
        added = {tag["Key"]: tag["Value"] for tag in parameters["Tags"]}
        self._tags.add(parameters["ResourceArn"], added)
        return {"Tags": parameters["Tags"]}

    def _delete(self, parameters: Record) -> Record:
        self._tags.remove(parameters["ResourceArn"], parameters["TagKeys"])
        return {}
