"""Recent run times of tuning jobs by team and template. Pure, and bounded in size.

A tuning job runs its training jobs in rounds of as many as run at once. Run times are therefore
remembered as seconds per round: twice the training jobs are expected to take twice as long.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from hpo_dispatcher.contract.documents.capacity import RunTimeSamples

# The newest of each kind: enough for a median and its spread, few enough to follow changes.
SAMPLES = 20
# Remembered pairs of team and template; the pair not seen for longest is dropped first.
KINDS = 200
# With fewer samples, those of similar tuning jobs are used instead.
ENOUGH = 3
# The run time of a job that has outlasted all similar ones, relative to what it has run.
OUTLASTED = 1.1
# Running jobs are expected to end when nine of ten similar ones have, so that no reservation is
# promised too early; queued ones, which may borrow reserved capacity, when half of them have.
# docs/decisions/0030.
OF_RUNNING = 0.9
OF_QUEUED = 0.5


@dataclass(frozen=True, kw_only=True)
class Work:
    """The facts known before a start on which a tuning job's run time depends."""

    team: str = ""
    template: str = ""
    rounds: int = 1  # training jobs / parallel training jobs, rounded up


@dataclass
class RunTimes:
    """The newest samples, in seconds per round, of each kind of tuning job."""

    kinds: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def record(self, work: Work, seconds: float) -> None:
        """Record the seconds that a tuning job has run."""
        kind = work.team, work.template
        rounds = max(1, work.rounds)
        newest = [*self.kinds.pop(kind, []), round(max(0.0, seconds) / rounds, 1)]
        self.kinds[kind] = newest[-SAMPLES:]
        while len(self.kinds) > KINDS:
            del self.kinds[next(iter(self.kinds))]

    def of(self, work: Work) -> list[float]:
        """Return recent run times of a kind of tuning job, or of similar ones if there are few.

        Returns:
            Seconds from start to end, one for each sample; empty if no tuning job has ended yet.
        """
        for samples in self._similar(work):
            if len(samples) >= ENOUGH:
                break
        else:
            samples = [each for kind in self.kinds.values() for each in kind]
        return [seconds * max(1, work.rounds) for seconds in samples]

    def resampled(self, draw: random.Random) -> RunTimes:
        """Return as many samples of each kind, drawn with replacement (the bootstrap)."""
        return RunTimes(
            {kind: draw.choices(samples, k=len(samples)) for kind, samples in self.kinds.items()}
        )

    def expected(self, work: Work) -> float | None:
        """Return how long a queued tuning job will run; None if that is not known.

        Only tuning jobs of the same team and template count.

        Returns:
            Seconds: half of the recent ones have not run longer, relative to their rounds.
        """
        return _quantile(self._alike(work), OF_QUEUED)

    def expected_after(self, work: Work, elapsed: float) -> float | None:
        """Return how long a job that has run for some seconds will run at most; None: unknown.

        Nine of ten recent jobs have not run longer. Those that have ended sooner do not count. A
        job that has outlasted all of them is expected to run a tenth longer.
        """
        alike = self._alike(work)
        longer = [seconds for seconds in alike if seconds > elapsed]
        return _quantile(longer, OF_RUNNING) if longer else elapsed * OUTLASTED if alike else None

    def _alike(self, work: Work) -> list[float]:
        samples = self.kinds.get((work.team, work.template), [])
        if len(samples) < ENOUGH:
            return []
        return [seconds * max(1, work.rounds) for seconds in samples]

    def _similar(self, work: Work) -> Iterator[list[float]]:
        yield self.kinds.get((work.team, work.template), [])
        yield self._where(lambda team, template: template == work.template)
        yield self._where(lambda team, template: team == work.team)

    def _where(self, alike: Callable[[str, str], bool]) -> list[float]:
        return [each for kind, found in self.kinds.items() if alike(*kind) for each in found]

    def published(self) -> tuple[RunTimeSamples, ...]:
        """Return the samples for the capacity document; kinds seen last come last."""
        return tuple(
            RunTimeSamples(team=team, template=template, seconds_per_round=tuple(samples))
            for (team, template), samples in self.kinds.items()
        )

    @classmethod
    def from_published(cls, kinds: Iterable[RunTimeSamples]) -> RunTimes:
        """Read the samples from the capacity document."""
        return cls({(k.team, k.template): list(k.seconds_per_round) for k in kinds})


def _quantile(seconds: list[float], part: float) -> float | None:
    return sorted(seconds)[int(part * (len(seconds) - 1))] if seconds else None
