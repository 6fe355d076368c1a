"""Trials as rows of Optuna's SQLite tables, thousands in one transaction.

Optuna's own ``Study.add_trials`` takes several transactions for each trial.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna


def is_fast(study: optuna.Study) -> bool:
    """Return whether ``add_rows`` can write to the storage of a study."""
    engine = _engine(study)
    return engine is not None and engine.dialect.name == "sqlite"


def add_rows(study: optuna.Study, trials: Sequence[optuna.trial.FrozenTrial]) -> None:
    """Add trials that have ended, all or none, as ``Study.add_trials`` does.

    Args:
        study: in a SQLite file.
        trials: with one objective each.
    """
    from sqlalchemy import MetaData, func, select

    engine, metadata = _engine(study), MetaData()
    tables = ("studies", "trials", "trial_params", "trial_values", "trial_user_attributes")
    metadata.reflect(bind=engine, only=tables)
    with engine.begin() as connection:
        studies, known = metadata.tables["studies"], metadata.tables["trials"]
        wanted = select(studies.c.study_id).where(studies.c.study_name == study.study_name)
        study_id = connection.execute(wanted).scalar_one()
        first_id = (connection.execute(select(func.max(known.c.trial_id))).scalar() or 0) + 1
        of_study = select(func.count()).where(known.c.study_id == study_id)
        first_number = connection.execute(of_study).scalar_one()
        for name, rows in _rows(trials, study_id, first_id, first_number).items():
            if rows:
                connection.execute(metadata.tables[name].insert(), rows)


def _engine(study: optuna.Study) -> Any:
    """Return the engine of a study in a database, which Optuna wraps in a cache."""
    # Optuna offers no public way from a study to its storage's engine.
    storage: Any = study._storage
    return getattr(getattr(storage, "_backend", storage), "engine", None)


def _rows(
    trials: Sequence[optuna.trial.FrozenTrial], study_id: int, first_id: int, first_number: int
) -> dict[str, list[dict[str, Any]]]:
    from optuna.distributions import distribution_to_json

    found: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("trials", "trial_params", "trial_values", "trial_user_attributes")
    }
    for index, trial in enumerate(trials):
        trial_id = first_id + index
        found["trials"].append(
            {
                "trial_id": trial_id,
                "number": first_number + index,
                "study_id": study_id,
                "state": trial.state.name,
                "datetime_start": _utc(trial.datetime_start),
                "datetime_complete": _utc(trial.datetime_complete),
            }
        )
        found["trial_params"] += [
            {
                "trial_id": trial_id,
                "param_name": name,
                "param_value": trial.distributions[name].to_internal_repr(value),
                "distribution_json": distribution_to_json(trial.distributions[name]),
            }
            for name, value in trial.params.items()
        ]
        if trial.value is not None and math.isfinite(trial.value):
            value = {"trial_id": trial_id, "objective": 0, "value": trial.value}
            found["trial_values"].append(value | {"value_type": "FINITE"})
        found["trial_user_attributes"] += [
            {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
            for key, value in trial.user_attrs.items()
        ]
    return found


def _utc(local: datetime | None) -> datetime | None:
    """Return a local time as Optuna stores it: UTC without a time zone."""
    return None if local is None else local.astimezone(UTC).replace(tzinfo=None)
