"""The port to the copies of home's data on a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class NotReplicated:
    """The data of a request is not on its target as it is at home: the request waits."""

    message: str


class Replicas(Protocol):
    """The data of home that S3 replicates to a target."""

    def difference(self, prefix: str) -> str | None:
        """Return the key of an object that the target does not have as home has it.

        Nothing at home below the prefix is no difference: the data may be the target's own.

        Args:
            prefix: of the keys to compare, in the artifact buckets of both.

        Returns:
            The first such key below the prefix; None if the current objects are the same.

        Raises:
            Unavailable: one of the buckets did not answer.
        """
