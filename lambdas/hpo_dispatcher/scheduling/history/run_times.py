"""Recent run times of tuning jobs by team and template. Pure, and bounded in size.

A tuning job runs its training jobs in rounds of as many as run at once. Run times are therefore
remembered as seconds per round: twice the training jobs are expected to take twice as long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from hpo_dispatcher.contract.documents.capacity import RunTimeSamples

# The newest of each kind: enough to show its longest run times, few enough to follow changes.
SAMPLES = 60
# All of them; with many kinds, fewer of each are remembered.
MOST_SAMPLES = 4_000
# Remembered pairs of team and template; the pair not seen for longest is dropped first.
KINDS = 200
# Run times relative to the stated ones, the newest of each kind.
RATIOS = 20
# With fewer samples, those of similar tuning jobs are used instead.
ENOUGH = 3
# A run time that none of so many has exceeded is exceeded once in so many times.
ENOUGH_TO_BORROW = 20
# The run time of a job that has outlasted all similar ones, relative to what it has run.
OUTLASTED = 1.5
# A reservation waits for the last of several running jobs. All of n jobs have ended with a
# probability of one half when each has with a probability of the n-th root of one half.
LAST_HAS_ENDED = 0.5
# Running jobs with a stated run time: half of the statements were not longer, relative to it.
OF_STATED = 0.5


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
    # The maximum run times of the same tuning jobs, in seconds per round; 0: unknown.
    mosts: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    # Run times relative to those that requests stated, by kind.
    of_stated: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def record(self, work: Work, seconds: float, stated: float = 0, most: float = 0) -> None:
        """Record how long a tuning job has run.

        Args:
            work: the tuning job.
            seconds: from its start to its end.
            stated: how long it would run as its request said; 0: it did not say.
            most: its maximum run time; 0: unknown.
        """
        kind = work.team, work.template
        seconds, rounds = max(0.0, seconds), max(1, work.rounds)
        if most or kind in self.mosts:
            self.mosts[kind] = [*self._mosts(kind), round(most / rounds)][-SAMPLES:]
        newest = [*self.kinds.pop(kind, []), round(seconds / rounds, 1)]
        self.kinds[kind] = newest[-SAMPLES:]
        if stated > 0:
            ratios = [*self.ratios(work), round(seconds / stated, 3)]
            self.of_stated[kind] = ratios[-RATIOS:]
        while len(self.kinds) > KINDS:
            oldest = next(iter(self.kinds))
            del self.kinds[oldest]
            self.mosts.pop(oldest, None)
            self.of_stated.pop(oldest, None)

    def ratios(self, work: Work) -> list[float]:
        """Return the recent run times of a kind relative to those that its requests stated."""
        return self.of_stated.get((work.team, work.template), [])

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

    def by_team(self, template: str, most: float) -> dict[str, list[float]]:
        """Return each team's run times of a template, with a maximum run time like this one.

        Args:
            template: its name.
            most: the maximum run time, in seconds per round.

        Returns:
            Seconds per round.
        """
        found: dict[str, list[float]] = {}
        for (team, name), samples in self.kinds.items():
            if name == template:
                mosts = self._mosts((team, name))
                found[team] = [
                    seconds
                    for seconds, each in zip(samples, mosts, strict=True)
                    if alike(each, most)
                ]
        return found

    def _mosts(self, kind: tuple[str, str]) -> list[int]:
        """Return the maximum run times of a kind's samples; those of old ones are unknown."""
        mosts = self.mosts.get(kind, [])
        return [0] * (len(self.kinds.get(kind, [])) - len(mosts)) + mosts

    def expected(self, work: Work, stated: float = 0, most: float = 0) -> float | None:
        """Return how long a queued tuning job will run at most; None if that is not known.

        It may borrow reserved capacity for so long (docs/decisions/0030). Without a stated run
        time, it is the longest of the recent ones of the same team and template, if these are many.

        Args:
            work: the tuning job.
            stated: how long it will run as its request says; 0: it does not say.
            most: its maximum run time, which SageMaker enforces; 0: unknown.

        Returns:
            Seconds.
        """
        alike = self._alike(work)
        longest = stated or (max(alike) if len(alike) >= ENOUGH_TO_BORROW else 0)
        return min(longest or most, most or longest) or None

    def expected_after(
        self, work: Work, elapsed: float, stated: float = 0, most: float = 0, among: int = 1
    ) -> float | None:
        """Return how long a running job will run in all; None if that is not known.

        A stated run time is corrected as statements of the same team and template were wrong.
        Without one, recent run times count, except for those that the job has outlasted. A job
        that has outlasted all of them is expected to run half as long again.

        Args:
            work: the tuning job.
            elapsed: the seconds that it has run.
            stated: how long it will run as its request says; 0: it does not say.
            most: its maximum run time, which SageMaker enforces; 0: unknown.
            among: the number of running jobs: the last of them ends later than most do.
        """
        seconds = self._stated_after(work, elapsed, stated) if stated else None
        if seconds is None:
            alike = self._alike(work)
            longer = [each for each in alike if each > elapsed]
            part = LAST_HAS_ENDED ** (1 / max(1, among))
            seconds = _quantile(longer, part) or (elapsed * OUTLASTED if alike else None)
        bounded = most > elapsed
        return min(seconds or most, most) if bounded else seconds

    def _stated_after(self, work: Work, elapsed: float, stated: float) -> float | None:
        ratios = self.ratios(work) if len(self.ratios(work)) >= ENOUGH else [1.0]
        longer = [ratio * stated for ratio in ratios if ratio * stated > elapsed]
        return _quantile(longer, OF_STATED) or (stated if stated > elapsed else None)

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
        kept = MOST_SAMPLES // max(1, len(self.kinds))
        return tuple(
            RunTimeSamples(
                team=team,
                template=template,
                seconds_per_round=tuple(samples[-kept:]),
                most_per_round=tuple(self.mosts.get((team, template), ())[-kept:]),
                of_stated=tuple(self.of_stated.get((team, template), ())),
            )
            for (team, template), samples in self.kinds.items()
        )

    @classmethod
    def from_published(cls, kinds: Iterable[RunTimeSamples]) -> RunTimes:
        """Read the samples from the capacity document."""
        kinds = list(kinds)
        return cls(
            kinds={(k.team, k.template): list(k.seconds_per_round) for k in kinds},
            mosts={(k.team, k.template): list(k.most_per_round) for k in kinds if k.most_per_round},
            of_stated={(k.team, k.template): list(k.of_stated) for k in kinds if k.of_stated},
        )


def alike(most: float, other: float) -> bool:
    """Return whether one maximum run time is at most twice as long as the other."""
    return most <= 2 * other and other <= 2 * most


def _quantile(seconds: list[float], part: float) -> float | None:
    return sorted(seconds)[int(part * (len(seconds) - 1))] if seconds else None
