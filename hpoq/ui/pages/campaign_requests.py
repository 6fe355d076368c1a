"""Campaigns as the ledger knows them: requests with the names and tags of one campaign. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from hpo_dispatcher.contract.entry import BestTrainingJob, Entry, Status
from hpo_dispatcher.contract.names import TAG_PLAN
from hpo_dispatcher.contract.targets.resources import HOME

# The names of a campaign's requests end with the number of the tuning job in its plan.
_ID = re.compile(r"(?P<name>.+)-(?P<number>[0-9]{5})")


@dataclass(frozen=True, kw_only=True)
class CampaignRequests:
    """The requests of one campaign that were sent so far, by number."""

    team: str
    name: str
    entries: Sequence[Entry]

    @property
    def counts(self) -> Counter[Status]:
        """The number of requests in each status."""
        return Counter(entry.status for entry in self.entries)

    @property
    def running(self) -> bool:
        """Whether a request has not ended."""
        return any(not entry.status.ended for entry in self.entries)

    @property
    def planned(self) -> int:
        """The number of training jobs of the requests."""
        return sum(entry.max_training_jobs for entry in self.entries)

    @property
    def completed(self) -> int:
        """The number of training jobs that have completed."""
        return sum(_counters(entry)["Completed"] for entry in self.entries)

    @property
    def failed(self) -> int:
        """The number of training jobs that failed or were stopped."""
        kinds = ("NonRetryableError", "RetryableError", "Stopped")
        return sum(_counters(entry)[kind] for entry in self.entries for kind in kinds)

    @property
    def minimizes(self) -> bool:
        """Whether lower values of the objective are better."""
        request = self.entries[0].request
        return request is not None and request.minimizes

    @property
    def best(self) -> BestTrainingJob | None:
        """The best training job of those tuning jobs that have one."""
        entry = self._with_best
        return entry.best if entry else None

    @property
    def best_target(self) -> str:
        """The target of the best training job."""
        entry = self._with_best
        return entry.target if entry else HOME

    @property
    def _with_best(self) -> Entry | None:
        found = [(entry.best.objective, entry) for entry in self.entries if entry.best]
        chosen = min if self.minimizes else max
        return chosen(found, key=lambda each: each[0])[1] if found else None

    @property
    def began(self) -> datetime:
        """The time when the first request was accepted."""
        return min(entry.accepted_at for entry in self.entries)

    @property
    def ended(self) -> datetime | None:
        """The time when the last request ended; None while one has not."""
        if self.running:
            return None
        return max((e.ended_at for e in self.entries if e.ended_at), default=None)


def campaigns_in(entries: Iterable[Entry]) -> list[CampaignRequests]:
    """Return the campaigns among requests, the newest first."""
    found: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        if name := campaign_of(entry):
            found.setdefault((entry.team, name), []).append(entry)
    made = [
        CampaignRequests(team=team, name=name, entries=sorted(own, key=lambda e: e.request_id))
        for (team, name), own in found.items()
    ]
    return sorted(made, key=lambda each: each.began, reverse=True)


def campaign_of(entry: Entry) -> str:
    """Return the name of the campaign that sent a request; empty for none."""
    named = _ID.fullmatch(entry.request_id)
    if named is None or f'"{TAG_PLAN}"' not in entry.request_json:
        return ""
    return named["name"]


def _counters(entry: Entry) -> Counter[str]:
    total = Counter(entry.counters)
    for earlier in entry.earlier:  # the tuning jobs of a preempted request
        total.update(earlier.counters)
    return total
