"""The export of a campaign to MLflow: one run per trial that has ended."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpo_dispatcher.contract.request import wire_value
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.results.table import METRIC, SEARCHED
from hpoq.errors import NotInstalled

if TYPE_CHECKING:
    import pandas as pd

TRIAL = "hpoq.trial"  # the tag with the name of the training job
STATUSES = {"Completed": "FINISHED", "Stopped": "KILLED", "Failed": "FAILED"}
# "Up to 1000 metrics, up to 100 params, up to 100 tags": Log Batch, MLflow REST API.
METRICS_AT_ONCE, PARAMS_AT_ONCE = 900, 100
_NOT_ALLOWED = re.compile(r"[^\w\-. /]")


def tracking_client(uri: str) -> Any:
    """Return a client of a tracking server or a local store.

    Raises:
        NotInstalled: MLflow is not installed.
    """
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise NotInstalled(
            "the export needs MLflow. Install it with `pip install 'hpoq[mlflow]'`"
        ) from None
    return MlflowClient(tracking_uri=uri)


def export(
    plan: CampaignPlan, table: pd.DataFrame, client: Any, curves: pd.DataFrame | None = None
) -> int:
    """Write the trials that have ended to an experiment named after the campaign.

    Calling it again adds the trials that have ended since.

    Args:
        plan: plan of the campaign.
        table: from ``hpoq.campaign.results.table.frame``.
        client: from ``tracking_client``.
        curves: learning curves of some trials, whose values become steps of their metrics.

    Returns:
        How many runs were added.
    """
    experiment = _experiment(client, plan.campaign.name)
    existing = set(_trials_of(client, experiment))
    rows = table[table["status"].isin(list(STATUSES)) & ~table["trial"].isin(existing)]
    by_trial = dict(list(curves.groupby("trial"))) if curves is not None and len(curves) else {}
    for row in rows.to_dict("records"):
        _add(client, experiment, plan, row, by_trial.get(row["trial"]))
    return len(rows)


def _experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))


def _trials_of(client: Any, experiment: str) -> Iterator[str]:
    token = None
    while True:
        page = client.search_runs([experiment], max_results=1_000, page_token=token)
        for run in page:
            if run.info.status in STATUSES.values():  # an interrupted export is repeated
                yield run.data.tags.get(TRIAL, "")
        token = page.token
        if not token:
            return


def _add(
    client: Any, experiment: str, plan: CampaignPlan, row: Mapping[Any, Any], curve: Any
) -> None:
    began, ended = _milliseconds(row["started_at"]), _milliseconds(row["ended_at"])
    tags = {TRIAL: row["trial"], "hpoq.job": str(row["job"]), "hpoq.wave": str(row["wave"])}
    if row["reason"]:
        tags["hpoq.reason"] = str(row["reason"])[:5_000]
    run = client.create_run(experiment, start_time=began, tags=tags, run_name=row["trial"])
    steps = list(_steps(curve, began))
    last = {name: step for name, _, _, step in steps}
    final = _final(plan.campaign.metric, row)
    steps += [(name, value, ended or began or 0, last.get(name, 0)) for name, value in final]
    _log(client, run.info.run_id, list(_params(row)), steps)
    client.set_terminated(run.info.run_id, STATUSES[row["status"]], end_time=ended)


def _log(
    client: Any,
    run_id: str,
    params: Sequence[tuple[str, str]],
    metrics: Sequence[tuple[str, float, int, int]],
) -> None:
    from mlflow.entities import Metric, Param

    for first in range(0, len(params), PARAMS_AT_ONCE):
        some = params[first : first + PARAMS_AT_ONCE]
        client.log_batch(run_id, params=[Param(*each) for each in some])
    for first in range(0, len(metrics), METRICS_AT_ONCE):
        values = metrics[first : first + METRICS_AT_ONCE]
        client.log_batch(run_id, metrics=[Metric(*each) for each in values])


def _params(row: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    import pandas as pd

    for name, value in row.items():
        if str(name).startswith(SEARCHED) and not pd.isna(value):
            yield key_of(str(name).removeprefix(SEARCHED)), wire_value(value)


def _final(objective: str, row: Mapping[Any, Any]) -> Iterator[tuple[str, float]]:
    """Yield the last values of the objective and of the further metrics, minutes and cost."""
    import pandas as pd

    columns = {"objective": objective, "minutes": "minutes", "cost": "cost"}
    further = [str(name) for name in row if str(name).startswith(METRIC)]
    columns |= {name: name.removeprefix(METRIC) for name in further}
    for column, name in columns.items():
        if not pd.isna(row[column]):
            yield key_of(name), float(row[column])


def _steps(curve: Any, began: int | None) -> Iterator[tuple[str, float, int, int]]:
    if curve is None:
        return
    for name, number, value in zip(curve["metric"], curve["number"], curve["value"], strict=True):
        yield key_of(name), float(value), began or 0, int(number)


def key_of(name: str) -> str:
    """Return a name that MLflow accepts and groups by its first part: validation/auc."""
    return _NOT_ALLOWED.sub("_", name.replace(":", "/"))


def _milliseconds(at: Any) -> int | None:
    import pandas as pd

    return None if pd.isna(at) else round(at.timestamp() * 1000)
