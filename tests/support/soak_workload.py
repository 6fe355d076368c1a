"""The messages that teams send during a soak test: new, repeated, bad and cancelled requests."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Key = tuple[str, str]  # team, request id
TEAMS = ("fraud", "vision")
RANGES = {"lr": {"type": "continuous", "min": 0.001, "max": 0.1}}


@dataclass
class Sender:
    """A sender of random messages that records what it has sent."""

    send: Callable[[str, str], None]  # team, body
    draw: random.Random
    parents: dict[Key, Key | None] = field(default_factory=dict)  # the parent of each good request
    cancelled: set[Key] = field(default_factory=set)
    bad: dict[str, set[str]] = field(default_factory=lambda: {team: set() for team in TEAMS})
    _bodies: list[tuple[str, str]] = field(default_factory=list)

    def some(self) -> None:
        """Send one to three messages."""
        for team, body in self._chosen():
            self.send(team, body)

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
            yield victim[0], json.dumps({"action": "cancel", "request_id": victim[1]})
        elif fate < 0.25:
            bad = json.dumps({"hyperparameter_ranges": {}, "request_id": f"bad{number}"})
            self.bad[team].add(bad)
            yield team, bad

    def may_be_cancelled(self, key: Key) -> bool:
        """Return whether the team has cancelled a request or one of its ancestors."""
        parent = self.parents[key]
        return key in self.cancelled or (parent is not None and self.may_be_cancelled(parent))

    def _request(self, team: str, request_id: str) -> dict[str, Any]:
        wanted: dict[str, Any] = {
            "request_id": request_id,
            "hyperparameter_ranges": RANGES,
            "hyperparameters": {"seconds": round(self.draw.uniform(0, 1.5), 2)},
            "priority": self.draw.choice([0, 0, 0, 5]),
        }
        mates = [key for key in list(self.parents)[-20:] if key[0] == team]
        parent = self.draw.choice(mates) if mates and self.draw.random() < 0.1 else None
        self.parents[team, request_id] = parent
        return wanted | ({"after": [parent[1]]} if parent else {})
