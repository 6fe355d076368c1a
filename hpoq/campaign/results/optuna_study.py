"""The export of a campaign to an Optuna study, for Optuna's dashboard and analyses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hpo_dispatcher.contract.request import CategoricalRange, IntegerRange, Range
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.ranges import scaling
from hpoq.campaign.results.optuna_rows import add_rows, is_fast
from hpoq.campaign.results.table import METRIC, SEARCHED

if TYPE_CHECKING:
    import optuna
    import pandas as pd

_FINISHED = ("Completed", "Stopped", "Failed")


def export(plan: CampaignPlan, table: pd.DataFrame, storage: str) -> optuna.Study:
    """Write all ended trials to a study named after the campaign.

    Calling it again adds the trials that have ended since.

    Args:
        plan: plan of the campaign.
        table: from ``hpoq.campaign.results.table.frame``.
        storage: Optuna storage URL, such as ``sqlite:///study.db``.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=plan.campaign.name,
        storage=storage,
        direction="maximize" if plan.campaign.maximize else "minimize",
        load_if_exists=True,
    )
    existing = {trial.user_attrs.get("trial") for trial in study.get_trials(deepcopy=False)}
    ranges = plan.campaign.template_request.hyperparameter_ranges
    space = {name: _distribution(each) for name, each in ranges.items()}
    new = table[table["status"].isin(_FINISHED) & ~table["trial"].isin(existing)]
    made = [_trial(row, space) for row in new.to_dict("records")]
    if is_fast(study):
        add_rows(study, made)
        return optuna.load_study(study_name=study.study_name, storage=storage)
    study.add_trials(made)
    return study


def _trial(row: Mapping[Any, Any], space: Mapping[str, Any]) -> optuna.trial.FrozenTrial:
    import optuna
    import pandas as pd

    params = {n: row[SEARCHED + n] for n in space if not pd.isna(row[SEARCHED + n])}
    metrics = {
        str(name): value
        for name, value in row.items()
        if str(name).startswith(METRIC) and not pd.isna(value)
    }
    usable = bool(row["usable"])
    made = optuna.trial.create_trial(
        state=optuna.trial.TrialState.COMPLETE if usable else optuna.trial.TrialState.FAIL,
        value=row["objective"] if usable else None,
        params=params,
        distributions={name: space[name] for name in params},
        user_attrs={"trial": row["trial"], "job": row["job"], "wave": row["wave"], **metrics},
    )
    made.datetime_start = _local(row["started_at"])
    made.datetime_complete = _local(row["ended_at"])
    return made


def _local(at: Any) -> datetime | None:
    """Return a time as Optuna expects it: local, without a time zone."""
    import pandas as pd

    return None if pd.isna(at) else at.to_pydatetime().astimezone().replace(tzinfo=None)


def _distribution(each: Range) -> Any:
    from optuna import distributions

    if isinstance(each, CategoricalRange):
        return distributions.CategoricalDistribution(each.values)
    log = scaling(each) == "Logarithmic"
    if isinstance(each, IntegerRange):
        return distributions.IntDistribution(each.min, each.max, log=log)
    return distributions.FloatDistribution(float(each.min), float(each.max), log=log)
