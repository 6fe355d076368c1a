"""The table of all trials of a campaign."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo_dispatcher.contract.request import CategoricalRange, IntegerRange, Range, wire_value
from hpo_dispatcher.contract.targets.resources import HOME
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.model import Campaign
from hpoq.campaign.results.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

FACTS = (
    "trial", "job", "wave", "status", "objective", "usable", "rank", "created_at", "started_at",
    "ended_at", "minutes", "instance_type", "instances", "cost", "reason",
)  # fmt: skip
TARGET = "target"  # the column of tables with trials of other targets than home
SEARCHED = "hp."  # prefix of the columns that hold searched hyperparameters
METRIC = "metric."  # prefix of the columns that hold further metrics from the logs


def frame(plan: CampaignPlan, trials: Iterable[Trial]) -> pd.DataFrame:
    """Return a table with one row per trial, in the order of creation.

    Columns: trial (training job name), job and wave (numbers in the plan), status, objective,
    usable (whether the objective is finite), rank (1 is the best; missing unless usable), the
    three times, minutes, instance_type, instances, cost (USD; missing without a price), reason,
    target if a trial ran elsewhere than at home, one ``metric.<name>`` column per further metric of
    the campaign that is read from logs, and one ``hp.<name>`` column per searched hyperparameter,
    with the type of its range.
    """
    import pandas as pd

    found = list(trials)
    campaign = plan.campaign
    ranges = campaign.ranges
    columns: dict[str, Any] = {
        "trial": [t.name for t in found],
        "job": [t.job for t in found],
        "wave": [plan.job(t.job).wave for t in found],
        "status": pd.Categorical([t.status for t in found]),
        "objective": pd.Series([_number(t.objective) for t in found], dtype="float64"),
        "usable": [t.usable for t in found],
        "created_at": _times(t.created_at for t in found),
        "started_at": _times(t.started_at for t in found),
        "ended_at": _times(t.ended_at for t in found),
        "reason": [t.reason for t in found],
    }
    for name in campaign.logged_metrics:
        values = [_number(t.metrics.get(name)) for t in found]
        columns[METRIC + name] = pd.Series(values, dtype="float64")
    for name, each in ranges.items():
        columns[SEARCHED + name] = _typed([t.hyperparameters.get(name) for t in found], each)
    table = pd.DataFrame(columns)
    _add_derived(table, campaign, plan.instances_per_trial)
    metrics = [METRIC + name for name in campaign.logged_metrics]
    targets = []
    if any(t.target != HOME for t in found):
        table[TARGET] = pd.Categorical([t.target for t in found])
        targets = [TARGET]
    order = [*FACTS, *targets, *metrics, *(SEARCHED + name for name in ranges)]
    return table[order].sort_values(["created_at", "trial"], ignore_index=True)


def targets_in(table: pd.DataFrame) -> list[str]:
    """Return the targets of the trials of a table."""
    return sorted(set(table[TARGET])) if TARGET in table else [HOME]


def save(table: pd.DataFrame, path: Path) -> None:
    """Write the table as Parquet or CSV, depending on the file extension.

    Raises:
        InvalidPlan: the extension is neither.
    """
    match path.suffix:
        case ".parquet":
            _with_one_type(table).to_parquet(path, index=False)
        case ".csv":
            table.to_csv(path, index=False)
        case _:
            raise InvalidPlan(f"{path.name}: unknown format. Use .parquet or .csv")


def _with_one_type(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with columns of several types as text, which Parquet requires."""
    mixed = {
        name: column.map(wire_value, na_action="ignore")
        for name, column in table.items()
        if str(name).startswith(SEARCHED) and len(set(map(type, column.dropna()))) > 1
    }
    return table.assign(**{str(name): column for name, column in mixed.items()})


def best(table: pd.DataFrame) -> dict[str, Any] | None:
    """Return the best trial's row; None if no trial has a finite objective."""
    first = table[table["rank"] == 1].to_dict("records")
    return {str(name): value for name, value in first[0].items()} if first else None


def _add_derived(table: pd.DataFrame, campaign: Campaign, instances: float) -> None:
    seconds = (table["ended_at"] - table["started_at"]).dt.total_seconds()
    table["minutes"] = seconds / 60
    table["instance_type"] = campaign.instance_type
    table["instances"] = instances
    price = campaign.price_per_hour
    hours = table["minutes"] / 60 * instances
    table["cost"] = hours * (math.nan if price is None else price)
    objective = table["objective"].where(table["usable"])
    ranks = objective.rank(method="first", ascending=not campaign.maximize)
    table["rank"] = ranks.astype("Int64")


def _times(values: Iterable[Any]) -> Any:
    import pandas as pd

    return pd.Series(pd.to_datetime(list(values), utc=True))


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _typed(values: Sequence[str | None], each: Range) -> Any:
    """Convert strings to the type of the range; SDKs may have JSON-encoded them."""
    import pandas as pd

    if isinstance(each, CategoricalRange):
        by_text: Mapping[str, Any] = {wire_value(value): value for value in each.values}
        typed = [None if v is None else by_text.get(v, by_text.get(_decoded(v), v)) for v in values]
        return pd.Series(typed, dtype="object") if _mixed(each) else pd.Series(typed)
    numbers = pd.Series(pd.to_numeric(pd.Series(list(values), dtype="object"), errors="coerce"))
    if isinstance(each, IntegerRange):
        return numbers.round().astype("Int64")
    return numbers.astype("float64")


def _mixed(each: CategoricalRange) -> bool:
    return len({type(value) for value in each.values}) > 1


def _decoded(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else text
