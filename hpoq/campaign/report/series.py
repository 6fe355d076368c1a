"""The data that the figures show, computed from the table of trials."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.model import Campaign
from hpoq.campaign.report.advice import Importance
from hpoq.campaign.results.table import SEARCHED

if TYPE_CHECKING:
    import pandas as pd

# A forest on more rows takes longer and gives the same answer.
FOREST_ROWS = 5_000
FOREST_TREES = 60
FORESTS = 10  # of a tenth of the trees each, for the interval of importances
# Numbers, also at the end of a word, and identifiers of eight or more hexadecimal digits.
_NUMBER = re.compile(
    r"\b(?=[a-f]*[0-9])[0-9a-f]{8,}\b|(?:(?<!\w)[-+])?(?:0x[0-9a-f]+|[0-9][0-9.,:]*(?:e[+-]?[0-9]+)?)",
    re.IGNORECASE,
)


def searched(plan: CampaignPlan) -> list[str]:
    """Return the names of the searched hyperparameters."""
    return list(plan.campaign.template_request.hyperparameter_ranges)


def best_so_far(table: pd.DataFrame, campaign: Campaign) -> pd.DataFrame:
    """Return usable trials in the order they ended, with hours, cost and best objective so far."""
    ended = table[table["ended_at"].notna()].sort_values("ended_at")
    found = ended.assign(
        hours=(ended["ended_at"] - table["created_at"].min()).dt.total_seconds() / 3600,
        spent=ended["cost"].fillna(0.0).cumsum(),
    )
    found = found[found["usable"]]
    so_far = found["objective"].cummax() if campaign.maximize else found["objective"].cummin()
    return found.assign(so_far=so_far)


def focus(objective: pd.Series[Any], *, maximize: bool) -> tuple[float, float]:
    """Return the range of the objective to show, so that a few diverged trials do not flatten it.

    The range always contains the best trial.
    """
    low, high = float(objective.quantile(0.02)), float(objective.quantile(0.98))
    room = 0.5 * ((high - low) or 1.0)
    worst, best = float(objective.min()), float(objective.max())
    return (max(worst, low - room), best) if maximize else (worst, min(best, high + room))


def parallelism(table: pd.DataFrame) -> pd.DataFrame:
    """Return the number of trials at once, with one row per change, by hours since the start."""
    import pandas as pd

    began = table["started_at"].fillna(table["created_at"])
    known = began.notna()
    until = table["ended_at"].fillna(table["ended_at"].max()).fillna(began.max())
    changes = pd.concat(
        [
            pd.DataFrame({"at": began[known], "change": 1}),
            pd.DataFrame({"at": until[known], "change": -1}),
        ]
    ).sort_values(["at", "change"])
    hours = (changes["at"] - table["created_at"].min()).dt.total_seconds() / 3600
    found = pd.DataFrame({"hours": hours, "at_once": changes["change"].cumsum()})
    return found.drop_duplicates("hours", keep="last")


def allowed_at_once(plan: CampaignPlan) -> int:
    """Return how many trials may run at once; with an unknown quota, all of them."""
    return min(plan.slots, plan.campaign.trials)


def utilization(table: pd.DataFrame, slots: int) -> float:
    """Return the used share of the slots, from the first trial's creation to the last end.

    A trial takes a slot when it is created: its instance and its image are on the way.
    """
    began = table["created_at"].min()
    span = (table["ended_at"].max() - began).total_seconds()
    work = (table["ended_at"] - table["created_at"]).dt.total_seconds().sum()
    # SageMaker may create a trial shortly before another one's slot is free.
    return min(1.0, float(work / (span * slots))) if span > 0 else 0.0


def importances(table: pd.DataFrame, names: list[str]) -> dict[str, Importance]:
    """Return each hyperparameter's share of the objective's variation, by a random forest.

    The 80 % interval is that of small forests, each on another sample of the trials.
    """
    import numpy as np
    import pandas as pd
    from sklearn.ensemble import ExtraTreesRegressor

    usable = table[table["usable"]]
    if len(usable) < 20 or usable["objective"].nunique() < 2:
        return {}
    sample = usable.sample(min(len(usable), FOREST_ROWS), random_state=0)
    features = pd.DataFrame({name: _ordered(sample[SEARCHED + name]) for name in names})
    # ranks, so that a few diverged trials do not dominate
    ranks = sample["objective"].rank()
    forest = ExtraTreesRegressor(FOREST_TREES, min_samples_leaf=5, random_state=0, n_jobs=1)
    shares = forest.fit(features, ranks).feature_importances_
    other = ExtraTreesRegressor(
        FOREST_TREES, min_samples_leaf=5, random_state=1, n_jobs=1, bootstrap=True
    ).fit(features, ranks)
    trees = np.array([tree.feature_importances_ for tree in other.estimators_])
    small = trees.reshape(FORESTS, -1, len(names)).mean(axis=1)
    low, high = np.quantile(small, [0.1, 0.9], axis=0)
    found = {
        name: Importance(share=float(share), low=min(float(least), float(share)),
                         high=max(float(most), float(share)))
        for name, share, least, most in zip(names, shares, low, high, strict=True)
    }  # fmt: skip
    return dict(sorted(found.items(), key=lambda pair: -pair[1].share))


def _ordered(column: pd.Series[Any]) -> Any:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column):
        filled = column.astype("float64")
        return filled.fillna(filled.median())
    return pd.Categorical(column.astype(str)).codes


def failures(table: pd.DataFrame) -> list[tuple[str, int, str]]:
    """Return reasons of unusable trials with count and example, most frequent first.

    Reasons that differ in numbers alone are one reason, in the words of its first trial.
    """
    bad = table[~table["usable"] & ~table["status"].isin(["InProgress", "Stopping"])]
    reasons = [
        reason or ("no finite objective" if status == "Completed" else str(status))
        for reason, status in zip(bad["reason"], bad["status"], strict=True)
    ]
    groups: dict[str, list[tuple[str, str]]] = {}
    for reason, trial in zip(reasons, bad["trial"], strict=True):
        line = (reason.strip().splitlines() or ["no reason"])[-1][:160]
        kind = _NUMBER.sub("#", line.replace(str(trial), "#"))
        groups.setdefault(kind, []).append((line, trial))
    found = [(each[0][0], len(each), each[0][1]) for each in groups.values()]
    return sorted(found, key=lambda each: -each[1])
