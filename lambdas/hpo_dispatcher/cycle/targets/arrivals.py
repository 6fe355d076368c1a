"""Whether the data of requests has arrived on their targets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from threading import Lock

from hpo_dispatcher.ports import AccountFault, NotReplicated, Replicas, Unavailable
from hpo_dispatcher.tuning_job.api.schema import ApiRequest
from hpo_dispatcher.tuning_job.builder import JobBuilder
from hpo_dispatcher.tuning_job.targets.copies import prefixes_read


class DataArrivals:
    """The comparisons of one cycle, each made once: many requests read the same data.

    Args:
        replicas: of each target to which data is replicated.
    """

    def __init__(self, replicas: Mapping[str, Replicas]) -> None:
        self._replicas = replicas
        self._differences: dict[tuple[str, str], str | None] = {}
        self._locks: dict[tuple[str, str], Lock] = defaultdict(Lock)

    def problem(
        self, builder: JobBuilder, api_request: ApiRequest
    ) -> NotReplicated | AccountFault | None:
        """Return why a request cannot start on a target yet; None if it can.

        Args:
            builder: of the target.
            api_request: as it would be created there.
        """
        copies = builder.copies
        if copies is None or builder.target not in self._replicas:
            return None
        for prefix in prefixes_read(api_request, copies):
            try:
                key = self._difference(builder.target, prefix)
            except Unavailable as error:
                return AccountFault(f"its data on {builder.target} was not compared: {error}")
            if key is not None:
                place = f"s3://{copies.home}/{key}"
                return NotReplicated(
                    f"waits for its data on {builder.target}, which is not yet what it is at home: "
                    f"{place} differs or is missing there"
                )
        return None

    def _difference(self, target: str, prefix: str) -> str | None:
        known = target, prefix
        with self._locks[known]:  # requests are created concurrently
            if known not in self._differences:
                self._differences[known] = self._replicas[target].difference(prefix)
            return self._differences[known]
