"""The strategies: each turns a campaign into tuning jobs, or says why it cannot."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from hpo_dispatcher.contract.request import MAX_PARENTS
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.model import Campaign, PlannedJob, StrategyName
from hpoq.campaign.planning.shapes import Shape, divided, even, guided, lanes, partition

# Each wave ends with a barrier, which costs its slowest trial; fewer than this teach little.
WAVES = 4
# A wave that gives a lane fewer rounds than this is mostly barrier.
ROUNDS_OF_A_WAVE = 3
# Narrowed searches can be wrong: this part of each wave keeps to the full ranges.
EXPLORATION = 0.2

Cut = Callable[[Campaign], list[PlannedJob]]


def single(campaign: Campaign) -> list[PlannedJob]:
    """One tuning job."""
    most = campaign.limits.of_one_job(campaign.search)
    if campaign.trials > most:
        raise InvalidPlan(f"one tuning job holds {most} trials at most")
    _check_grid(campaign)
    width = min(campaign.limits.parallel_training_jobs, campaign.slots, campaign.trials)
    return [PlannedJob(number=1, trials=campaign.trials, parallel=width)]


def independent(campaign: Campaign) -> list[PlannedJob]:
    """Cold starts side by side with seeds of their own; a grid is cut without overlap."""
    if campaign.search == "Grid":
        return _grid_parts(campaign)
    return _numbered([_guided(campaign, campaign.trials)])


def hyperband(campaign: Campaign) -> list[PlannedJob]:
    """Tuning jobs that stop poor trials early; each as large as may be, for its brackets."""
    if campaign.search != "Hyperband":
        raise InvalidPlan('the request does not say "strategy": "Hyperband"')
    return _numbered([_brackets(campaign, campaign.trials)])


def _brackets(campaign: Campaign, trials: int) -> list[Shape]:
    widths = lanes(campaign.slots, campaign.limits.parallel_training_jobs)
    most = campaign.limits.training_jobs
    rounds = math.ceil(trials / (len(widths) * most))
    parts = [even(n, widths) for n in divided(trials, rounds)]
    return _split([shape for part in parts for shape in part], most)


def warm_waves(campaign: Campaign) -> list[PlannedJob]:
    """Waves of tuning jobs, each warm-started from the best of the wave before."""
    _must_learn(campaign, "warm start")
    waves = max(_waves(campaign), _warm_waves_of(campaign, campaign.trials))
    if waves < 2:
        raise InvalidPlan("too few trials for a second wave")
    return _warm(campaign, divided(campaign.trials, waves), before=())


def _warm_size(campaign: Campaign) -> int:
    """Trials of a tuning job such that its parents' fit under the limit beside them."""
    count = len(lanes(campaign.slots, campaign.limits.parallel_training_jobs))
    most = campaign.limits.training_jobs // (min(count, MAX_PARENTS) + 1)
    if most < 1:
        raise InvalidPlan("parents' trials count towards a tuning job's limit: none is left")
    return most


def _warm_waves_of(campaign: Campaign, trials: int) -> int:
    widths = lanes(campaign.slots, campaign.limits.parallel_training_jobs)
    fits = max(1, sum(widths) * _warm_size(campaign) // max(widths))
    return math.ceil(trials / fits)


def _warm(
    campaign: Campaign, trials: Sequence[int], before: Sequence[PlannedJob]
) -> list[PlannedJob]:
    """One wave for each number of trials, after the jobs there are."""
    widths = lanes(campaign.slots, campaign.limits.parallel_training_jobs)
    jobs = list(before)
    wave = jobs[-1].wave if jobs else 0
    parents = sum(job.wave == wave for job in jobs)
    for of_wave in trials:
        wave += 1
        shapes = _split(even(of_wave, widths), _warm_size(campaign))
        first = len(jobs) + 1
        jobs += [
            PlannedJob(
                number=number, wave=wave, trials=shape.trials, parallel=shape.parallel,
                parents=min(parents, MAX_PARENTS),
            )
            for number, shape in enumerate(shapes, first)
        ]  # fmt: skip
        parents = len(shapes)
    return jobs[len(before) :]


def narrowing(campaign: Campaign) -> list[PlannedJob]:
    """Waves whose ranges shrink around the best results of all jobs before."""
    _must_learn(campaign, "narrowing")
    waves = _waves(campaign)
    if waves < 2:
        raise InvalidPlan("too few trials for a second wave")
    most = campaign.limits.of_one_job(campaign.search)
    parallel = campaign.limits.parallel_training_jobs
    widths = lanes(campaign.slots, parallel)
    jobs: list[PlannedJob] = []
    for wave, trials in enumerate(divided(campaign.trials, waves), 1):
        if wave == 1:
            searches = [(shape, True) for shape in _split(even(trials, widths), most)]
        else:
            searches = _explored(trials, campaign.slots, parallel, most)
        jobs += [
            PlannedJob(
                number=len(jobs) + index, wave=wave, explores=explores,
                trials=shape.trials, parallel=shape.parallel,
            )
            for index, (shape, explores) in enumerate(searches, 1)
        ]  # fmt: skip
    return jobs


def _explored(trials: int, slots: int, parallel: int, most: int) -> list[tuple[Shape, bool]]:
    """Most slots narrow, some do not."""
    aside = max(1, round(EXPLORATION * slots)) if slots > 1 else 0
    narrowed = lanes(slots - aside, parallel)
    full = lanes(aside, parallel) if aside else []
    shapes = even(trials, [*narrowed, *full])
    return [
        (shape, index >= len(narrowed))
        for index, whole in enumerate(shapes)
        for shape in _split([whole], most)
    ]


STRATEGIES: Mapping[StrategyName, Cut] = {
    "single": single,
    "independent": independent,
    "warm-waves": warm_waves,
    "narrowing": narrowing,
    "hyperband": hyperband,
}
LEARNING: Mapping[StrategyName, str] = {
    "single": "one search sees all trials",
    "independent": "none between tuning jobs",
    "warm-waves": "from the best five of the wave before",
    "narrowing": "ranges from all trials before",
    "hyperband": "none between tuning jobs; poor trials stop early",
}


def extension(
    campaign: Campaign, strategy: StrategyName, jobs: Sequence[PlannedJob], more: int
) -> list[PlannedJob]:
    """Jobs that add trials to a campaign, as one more wave.

    Raises:
        InvalidPlan: a grid is already tried in full.
    """
    if campaign.search == "Grid":
        raise InvalidPlan("a grid is tried in full; widen it as a new campaign")
    limits = campaign.limits
    most = limits.of_one_job(campaign.search)
    if strategy == "warm-waves":
        return _warm(campaign, divided(more, _warm_waves_of(campaign, more)), jobs)
    if strategy == "narrowing":
        searches = _explored(more, campaign.slots, limits.parallel_training_jobs, most)
    else:
        searches = [(shape, True) for shape in _more(campaign, strategy, more)]
    return [
        PlannedJob(
            number=jobs[-1].number + index, wave=jobs[-1].wave + 1, explores=explores,
            trials=shape.trials, parallel=shape.parallel,
        )
        for index, (shape, explores) in enumerate(searches, 1)
    ]  # fmt: skip


def _more(campaign: Campaign, strategy: StrategyName, trials: int) -> list[Shape]:
    if strategy == "hyperband":
        return _brackets(campaign, trials)
    width = min(campaign.limits.parallel_training_jobs, campaign.slots, trials)
    if strategy == "single" and trials <= campaign.limits.of_one_job(campaign.search):
        return [Shape(trials, width)]
    return _guided(campaign, trials)


def _guided(campaign: Campaign, trials: int) -> list[Shape]:
    limits = campaign.limits
    return guided(
        trials,
        slots=campaign.slots,
        tuning_jobs=limits.tuning_jobs,
        parallel=limits.parallel_training_jobs,
        most=limits.of_one_job(campaign.search),
    )


def _waves(campaign: Campaign) -> int:
    return min(WAVES, max(1, campaign.trials // (campaign.slots * ROUNDS_OF_A_WAVE)))


def _split(shapes: Iterable[Shape], most: int) -> list[Shape]:
    """Jobs above the limit become several, nearly equal."""
    return [
        Shape(size, min(shape.parallel, size))
        for shape in shapes
        for size in divided(shape.trials, math.ceil(shape.trials / most))
    ]


def _numbered(waves: Sequence[Sequence[Shape]]) -> list[PlannedJob]:
    shapes = [(wave, shape) for wave, of_wave in enumerate(waves, 1) for shape in of_wave]
    return [
        PlannedJob(number=number, wave=wave, trials=shape.trials, parallel=shape.parallel)
        for number, (wave, shape) in enumerate(shapes, 1)
    ]


def _must_learn(campaign: Campaign, what: str) -> None:
    if campaign.search != "Bayesian":
        raise InvalidPlan(f"{what} needs a Bayesian search, the request says {campaign.search}")


def _check_grid(campaign: Campaign) -> None:
    if campaign.search != "Grid":
        return
    grid = campaign.grid
    if grid is None:
        raise InvalidPlan("Grid searches categorical ranges only: list the values, or use Random")
    size = math.prod(len(values) for values in grid.values())
    if size != campaign.trials:
        raise InvalidPlan(f"the grid has {size} points and all of them are run: ask for {size}")


def _grid_parts(campaign: Campaign) -> list[PlannedJob]:
    _check_grid(campaign)
    width = min(campaign.limits.parallel_training_jobs, campaign.slots)
    # Parts of equal size with two or more a lane, so that the last ones even out.
    wished = math.ceil(campaign.trials / (2 * math.ceil(campaign.slots / width)))
    most = min(campaign.limits.training_jobs, max(wished, width))
    parts = list(partition(campaign.grid or {}, most))
    sizes = [math.prod(len(values) for values in part.values()) for part in parts]
    order = sorted(range(len(parts)), key=lambda index: -sizes[index])
    return [
        PlannedJob(
            number=number, trials=sizes[index], parallel=min(width, sizes[index]),
            values=parts[index],
        )
        for number, index in enumerate(order, 1)
    ]  # fmt: skip
