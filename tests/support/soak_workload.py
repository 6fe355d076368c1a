"""The messages that teams send during a soak test: new, repeated and bad requests, and actions."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hpo_dispatcher.contract.entry import Entry
from hpoq.client import Client

Key = tuple[str, str]  # team, request id
TEAMS = ("fraud", "vision")
RANGES = {"lr": {"type": "continuous", "min": 0.001, "max": 0.1}}
HELD_FOR = 10  # so many messages later, a request on hold is released


@dataclass
class Sender:
    """A sender of random messages that records what it has sent."""

    send: Callable[[str, str], None]  # team, body
    draw: random.Random
    parents: dict[Key, Key | None] = field(default_factory=dict)  # the parent of each good request
    cancelled: set[Key] = field(default_factory=set)
    touched: set[Key] = field(default_factory=set)  # by any action
    targets: tuple[str, ...] = ()  # of the deployment; a request names some of them
    bad: dict[str, set[str]] = field(default_factory=lambda: {team: set() for team in TEAMS})
    actions: dict[str, int] = field(default_factory=dict)  # how many of each
    _bodies: list[tuple[str, str]] = field(default_factory=list)
    _on_hold: list[tuple[int, Key]] = field(default_factory=list)  # since which message

    def some(self) -> None:
        """Send one to four messages."""
        for team, body in self._chosen():
            self.send(team, body)

    def release(self, keys: Iterable[Key]) -> None:
        """Release requests from a hold."""
        for key in keys:
            self.send(*self._action("release", key))

    def release_all(self) -> None:
        """Release the requests that are on hold."""
        self.release(key for _, key in self._on_hold)
        self._on_hold.clear()

    def has_ended(self, written: Mapping[Key, Entry]) -> bool:
        """Return whether all requests have ended; release those that are still on hold.

        A hold whose deletion failed is received again, perhaps after the release.
        """
        if self.parents.keys() <= written.keys() and all(e.status.ended for e in written.values()):
            return True
        self.release(key for key, entry in written.items() if entry.on_hold)
        return False

    def _chosen(self) -> Iterator[tuple[str, str]]:
        team, number = self.draw.choice(TEAMS), len(self.parents)
        request_id = f"r{number:05}"
        body = json.dumps(self._request(team, request_id))
        self._bodies.append((team, body))
        yield team, body
        fate = self.draw.random()
        if fate < 0.10:
            yield self.draw.choice(self._bodies)  # a client that repeats a message after a timeout
        elif fate < 0.18:
            victim = self.draw.choice(list(self.parents))
            self.cancelled.add(victim)
            yield self._action("cancel", victim)
        elif fate < 0.25:
            bad = json.dumps({"hyperparameter_ranges": {}, "request_id": f"bad{number}"})
            self.bad[team].add(bad)
            yield team, bad
        elif fate < 0.33:
            recent = self._recent()
            self._on_hold.append((number, recent))
            yield self._action("hold", recent)
        elif fate < 0.41:
            priority = self.draw.choice([-5, 1, 10])
            yield self._action("priority", self._recent(), priority=priority)
        while self._on_hold and self._on_hold[0][0] + HELD_FOR <= number:
            yield self._action("release", self._on_hold.pop(0)[1])

    def ends_surely(self, key: Key, ended_early: set[Key]) -> bool:
        """Return whether a request must complete.

        It need not if its team has cancelled it, or if a parent that it waits for was cancelled or
        ended without a result in the eyes of the dispatcher.
        """
        parent = self.parents[key]
        if key in self.cancelled:
            return False
        return parent is None or (
            parent not in ended_early and self.ends_surely(parent, ended_early)
        )

    def _recent(self) -> Key:
        return self.draw.choice(list(self.parents)[-5:])

    def _action(self, action: str, key: Key, **fields: Any) -> tuple[str, str]:
        self.actions[action] = self.actions.get(action, 0) + 1
        self.touched.add(key)
        return key[0], json.dumps({"action": action, "request_id": key[1], **fields})

    def _request(self, team: str, request_id: str) -> dict[str, Any]:
        wanted: dict[str, Any] = {
            "request_id": request_id,
            "hyperparameter_ranges": RANGES,
            "hyperparameters": {"seconds": round(self.draw.uniform(0, 1.5), 2)},
            "priority": self.draw.choice([0, 0, 0, 5]),
        }
        if self.targets:
            some = self.draw.sample(self.targets, self.draw.choice([1, 1, len(self.targets)]))
            wanted["targets"] = some
        mates = [key for key in list(self.parents)[-20:] if key[0] == team]
        parent = self.draw.choice(mates) if mates and self.draw.random() < 0.1 else None
        self.parents[team, request_id] = parent
        return wanted | ({"after": [parent[1]]} if parent else {})


def entries(client: Client) -> dict[Key, Entry]:
    """Return what the ledger says of the requests of all teams."""
    return {entry.key: entry for team in TEAMS for entry in client.entries(team)}
