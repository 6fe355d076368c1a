"""Campaigns of several models: one search each, side by side, and one table of all trials."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.running.progress import CampaignProgress
from hpoq.campaign.running_campaign import RunningCampaign

if TYPE_CHECKING:
    import pandas as pd

MODELS = "models"  # the field of a campaign file, and of the file that names the plans
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_OWN = ("request", "trials", "minutes", "spread", "points")  # fields of a model
_SHARED = ("instances", "tuning_jobs")  # limits that the models share

Progress = Mapping[str, CampaignProgress]  # by model


def models_of(document: Mapping[str, Any]) -> dict[str, dict[str, Any]] | None:
    """Return the models of a campaign file, by name; None for a request.

    Raises:
        InvalidPlan: a model's name or one of its fields is wrong.
    """
    if MODELS not in document:
        return None
    models = document[MODELS]
    if not isinstance(models, dict) or not models:
        raise InvalidPlan(f"{MODELS}: not an object of models by name. See docs/campaigns.md")
    others = sorted(document.keys() - {MODELS})
    if others:
        raise InvalidPlan(f"{others[0]}: does not belong beside {MODELS}. Move it into each model")
    for name, fields in models.items():
        if not _NAME.fullmatch(str(name)):
            raise InvalidPlan(
                f"{MODELS}.{name}: not a name. Use lower-case letters, digits and hyphens"
            )
        if not isinstance(fields, dict) or "request" not in fields:
            raise InvalidPlan(f"{MODELS}.{name}.request: missing. Give a request, or its file")
        if unknown := sorted(fields.keys() - set(_OWN)):
            known = ", ".join(_OWN)
            raise InvalidPlan(f"{MODELS}.{name}.{unknown[0]}: unknown field. Use {known}")
    return models


def shares(limits: Mapping[str, int], count: int) -> list[dict[str, int]]:
    """Return the limits of each model, so that all together keep those of the account.

    Raises:
        InvalidPlan: there are more models than one of the limits.
    """
    for name in _SHARED:
        if limits.get(name, count) < count:
            raise InvalidPlan(
                f"limits.{name}: {limits[name]} for {count} models. Plan fewer models at once"
            )
    return [
        {
            name: value // count + (index < value % count) if name in _SHARED else value
            for name, value in limits.items()
        }
        for index in range(count)
    ]


def save(file: Path, plans: Mapping[str, Path]) -> None:
    """Write the file that names the plan of each model."""
    names = {model: path.name for model, path in plans.items()}
    written = file.with_name(file.name + ".new")
    written.write_text(json.dumps({"version": 1, MODELS: names}, indent=1) + "\n")
    written.replace(file)


def plan_files(file: Path) -> dict[str, Path]:
    """Return the plan files by model; of a campaign of one model, the file itself under "".

    Raises:
        InvalidPlan: the file names no plans.
    """
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {"": file}  # loading it as a plan says what is wrong
    if not isinstance(found, dict) or MODELS not in found:
        return {"": file}
    names = found[MODELS]
    texts = isinstance(names, dict) and all(isinstance(each, str) for each in names.values())
    if not names or not texts:
        raise InvalidPlan(f"{file}: {MODELS}: not an object of plan files. Plan again")
    return {model: file.parent / name for model, name in names.items()}


class ManyModels:
    """The campaigns of several models, run side by side.

    Args:
        campaigns: by model.
        wait: called with the seconds between polls.
    """

    def __init__(
        self,
        campaigns: Mapping[str, RunningCampaign],
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.campaigns, self._wait = dict(campaigns), wait

    def updates(self, every: float = 30.0, *, keep_goals: bool = True) -> Iterator[Progress]:
        """Run all campaigns and yield their progress at each poll.

        Args:
            every: seconds between polls.
            keep_goals: start no tuning job that would miss a plan's deadline or budget.
        """
        running = {
            model: each.updates(every, keep_goals=keep_goals, wait=_no_wait)
            for model, each in self.campaigns.items()
        }
        latest: dict[str, CampaignProgress] = {}
        while running:
            for model, updates in list(running.items()):
                progress = next(updates, None)
                if progress is None:
                    del running[model]
                else:
                    latest[model] = progress
            yield dict(latest)
            if running:
                self._wait(every)

    def results(self) -> pd.DataFrame:
        """Return the trials of all models as one table, with the model in the first column.

        The ranks compare all of them. A hyperparameter that a model does not have is missing.
        """
        import pandas as pd

        tables = []
        for model, each in self.campaigns.items():
            table = each.results()
            table.insert(0, "model", model)
            tables.append(table)
        found = pd.concat([each for each in tables if len(each)] or tables, ignore_index=True)
        first = next(iter(self.campaigns.values())).plan.campaign
        objective = found["objective"].where(found["usable"].astype(bool))
        ranks = objective.rank(method="first", ascending=not first.maximize)
        return found.assign(rank=ranks.astype("Int64"))

    def report(self, path: Path) -> Path:
        """Write the report of the first model, compared with the others, and return its path."""
        first, *others = self.campaigns.values()
        return first.report(path, others)


def check_comparable(requests: Sequence[tuple[str, str, bool]]) -> None:
    """Check that all models have the same objective.

    Args:
        requests: name, metric and direction of each model.

    Raises:
        InvalidPlan: two objectives differ.
    """
    (_, metric, maximize), *others = requests
    for name, other, direction in others:
        if (other, direction) != (metric, maximize):
            raise InvalidPlan(
                f"{MODELS}.{name}: the objective is {other}, not {metric} as of the first model. "
                "Plan models of one objective together"
            )


def _no_wait(_: float) -> None:
    """Return at once: all campaigns share one wait."""
