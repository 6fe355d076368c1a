"""The fields of a message that concern its place in the queue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Tags = Mapping[str, str] | Sequence[Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class Queueing:
    """Priority, dependencies, tags and expected duration of a request."""

    priority: int
    after: tuple[str, ...]
    warm_start_from: tuple[str, ...]
    tags: Mapping[str, str]
    expected_minutes: float | None = None

    @classmethod
    def of(
        cls,
        priority: int = 0,
        after: Iterable[Any] = (),
        warm_start_from: Iterable[Any] = (),
        tags: Tags | None = None,
        expected_minutes: float | None = None,
    ) -> Queueing:
        """Return the fields; requests may be given as ids or as jobs, tags as the SDK has them."""
        pairs = (
            tags if isinstance(tags, Mapping) else {tag["Key"]: tag["Value"] for tag in tags or ()}
        )
        return cls(
            priority=priority,
            after=_ids(after),
            warm_start_from=_ids(warm_start_from),
            tags=pairs,
            expected_minutes=expected_minutes,
        )

    def fields(self) -> dict[str, Any]:
        """Return the fields of the message that differ from their defaults."""
        fields = {
            "priority": self.priority,
            "after": list(self.after),
            "warm_start_from": list(self.warm_start_from),
            "tags": dict(self.tags),
            "expected_minutes": self.expected_minutes,
        }
        return {name: value for name, value in fields.items() if value}

    def over(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Return a message with these fields, which win over its own; tags are merged."""
        fields = self.fields()
        if self.tags and isinstance(message.get("tags"), Mapping):
            fields["tags"] = {**message["tags"], **self.tags}
        return {**message, **fields}


def _ids(requests: Iterable[Any]) -> tuple[str, ...]:
    listed = [requests] if isinstance(requests, str) else requests
    return tuple(str(getattr(each, "request_id", each)) for each in listed)
