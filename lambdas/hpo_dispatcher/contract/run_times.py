"""How long tuning jobs have lately run, by team and template. Pure, and bounded in size.

A tuning job works off its training jobs in rounds of as many as run at once, so what is kept is
seconds per round: a request of twice the training jobs is expected to run twice as long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# Newest per kind; enough for a median and its spread, few enough to follow a change of script.
SAMPLES = 20
# Teams times templates that are remembered; the one not seen for longest goes first.
KINDS = 200
# From fewer a median says little; then what is like it counts too.
ENOUGH = 3


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a tuning job's run time depends on, as far as that is known beforehand."""

    team: str = ""
    template: str = ""
    rounds: int = 1  # training jobs over those at once, rounded up


@dataclass
class RunTimes:
    """The newest seconds per round of each kind of tuning job."""

    kinds: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def record(self, work: Work, seconds: float) -> None:
        """A tuning job has ended after so many seconds."""
        kind = work.team, work.template
        rounds = max(1, work.rounds)
        newest = [*self.kinds.pop(kind, []), round(max(0.0, seconds) / rounds, 1)]
        self.kinds[kind] = newest[-SAMPLES:]
        while len(self.kinds) > KINDS:
            del self.kinds[next(iter(self.kinds))]

    def of(self, work: Work) -> list[float]:
        """Recent seconds of such a tuning job: of its team and template, else of what is like it.

        Returns:
            Seconds from start to end, one for each tuning job they come from; empty if nothing
            has ended yet.
        """
        for samples in self._likenesses(work):
            if len(samples) >= ENOUGH:
                break
        else:
            samples = [each for kind in self.kinds.values() for each in kind]
        return [seconds * max(1, work.rounds) for seconds in samples]

    def _likenesses(self, work: Work) -> Iterator[list[float]]:
        yield self.kinds.get((work.team, work.template), [])
        yield self._where(lambda team, template: template == work.template)
        yield self._where(lambda team, template: team == work.team)

    def _where(self, alike: Callable[[str, str], bool]) -> list[float]:
        return [each for kind, found in self.kinds.items() if alike(*kind) for each in found]

    def as_document(self) -> list[dict[str, Any]]:
        """As JSON values; kinds seen last come last."""
        return [
            {"team": team, "template": template, "seconds_per_round": samples}
            for (team, template), samples in self.kinds.items()
        ]

    @classmethod
    def from_document(cls, kinds: Sequence[Mapping[str, Any]]) -> RunTimes:
        """The other way round."""
        return cls({(k["team"], k["template"]): list(k["seconds_per_round"]) for k in kinds})
