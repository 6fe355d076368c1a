"""Which requests a page shows: filtered, sorted, one page of them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import urlencode

from hpo_dispatcher.contract.entry import Entry, Status

PAGE_SIZE = 50
QUEUE_ORDER = "queue"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The filters, the order and the page number of a list of requests."""

    team: str = ""  # empty: all teams
    status: str = ""  # empty: all statuses
    text: str = ""  # in the request id, the reason, the template or the tuning job's name
    sort: str = QUEUE_ORDER  # a key of ORDERS; "-" in front reverses it
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """Return the selection of a query string; values that make no sense are ignored."""
        sort, page = query.get("sort", ""), query.get("page", "")
        status = query.get("status", "")
        return cls(
            team=query.get("team", ""),
            status=status if status in set(Status) else "",
            text=query.get("text", "").strip(),
            sort=sort if sort.removeprefix("-") in ORDERS else QUEUE_ORDER,
            page=max(1, int(page)) if page.isdecimal() and len(page) < 10 else 1,
        )

    @property
    def filtered(self) -> bool:
        """Whether some requests may be hidden."""
        return bool(self.team or self.status or self.text)

    def matching(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return the requests that pass the filters, in order."""
        order = ORDERS[self.sort.removeprefix("-")]
        found = [entry for entry in entries if self._passes(entry)]
        return sorted(found, key=order, reverse=self.sort.startswith("-"))

    def on_page(self, matching: Sequence[Entry]) -> Sequence[Entry]:
        """Return the requests on this page."""
        first = (self.page - 1) * PAGE_SIZE
        return matching[first : first + PAGE_SIZE]

    def within(self, count: int) -> Self:
        """Return this selection with a page that exists for so many matching requests."""
        return replace(self, page=min(self.page, pages(count)))

    def link(self, **changes: Any) -> str:
        """Return the address of the overview with some fields changed."""
        changes = {"page": 1, **changes}
        fields = vars(replace(self, **changes))
        usual = vars(Selection())
        query = {name: value for name, value in fields.items() if value != usual[name]}
        return f"/?{urlencode(query)}" if query else "/"

    def sorted_by(self, order: str) -> str:
        """Return the address that sorts by a column, or reverses the order of that column."""
        return self.link(sort=f"-{order}" if self.sort == order else order)

    def direction(self, order: str) -> str:
        """Return the value of a column's ``aria-sort``."""
        if self.sort.removeprefix("-") != order:
            return "none"
        return "descending" if self.sort.startswith("-") else "ascending"

    def _passes(self, entry: Entry) -> bool:
        if self.team and entry.team != self.team:
            return False
        if self.status and entry.status != self.status:
            return False
        return not self.text or self._contains(entry)

    def _contains(self, entry: Entry) -> bool:
        texts = (entry.request_id, entry.reason, entry.template, entry.tuning_job_name)
        return any(self.text.lower() in text.lower() for text in texts)


def pages(count: int) -> int:
    """Return the number of pages for so many requests; at least one."""
    return max(1, -(-count // PAGE_SIZE))


def _queue_order(entry: Entry) -> tuple[Any, ...]:
    """Order running requests first, then the queues from their heads, then what ended last."""
    if entry.status.active:
        return 0, entry.started_at or entry.accepted_at, entry.key
    if not entry.status.ended:
        return 1 if entry.in_queue else 2, entry.queue_sort_key, entry.key
    ended = (entry.ended_at or entry.accepted_at).timestamp()
    return 3, -ended, entry.key


def _ran(entry: Entry) -> tuple[Any, ...]:
    if entry.started_at is None:
        return 1, 0.0, entry.key
    until = entry.ended_at or datetime.now(UTC)
    return 0, (until - entry.started_at).total_seconds(), entry.key


def _waited(entry: Entry) -> tuple[Any, ...]:
    until = entry.started_at or entry.ended_at or datetime.now(UTC)
    return (until - entry.accepted_at).total_seconds(), entry.key


def _best(entry: Entry) -> tuple[Any, ...]:
    return (0, entry.best.objective, entry.key) if entry.best else (1, 0.0, entry.key)


ORDERS: Mapping[str, Callable[[Entry], Any]] = {
    QUEUE_ORDER: _queue_order,
    "accepted": lambda entry: (entry.accepted_at, entry.key),
    "request": lambda entry: (entry.request_id, entry.team),
    "team": lambda entry: (entry.team, _queue_order(entry)),
    "status": lambda entry: (entry.status, _queue_order(entry)),
    "best": _best,
    "waited": _waited,
    "ran": _ran,
}
NAMES = {
    QUEUE_ORDER: "queue order",
    "-accepted": "newest first",
    "accepted": "oldest first",
    "request": "request",
    "team": "team",
    "status": "status",
    "-best": "highest objective",
    "best": "lowest objective",
    "-waited": "longest wait",
    "waited": "shortest wait",
    "-ran": "longest run",
    "ran": "shortest run",
}
