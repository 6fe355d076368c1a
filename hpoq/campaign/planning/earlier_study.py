"""The best settings of an earlier Optuna study, as points to start from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.model import Campaign
from hpoq.campaign.ranges import problem_with_setting

if TYPE_CHECKING:
    import optuna

BEST = 5


def points_of_study(
    campaign: Campaign, storage: str, name: str | None = None, best: int = BEST
) -> list[dict[str, Any]]:
    """Return the best settings of a study that lie in the campaign's ranges, best first.

    Args:
        campaign: whose ranges and objective count.
        storage: Optuna storage URL, such as ``sqlite:///study.db``.
        name: name of the study; not needed if the storage has one study.
        best: how many.

    Raises:
        InvalidPlan: there is no such study, it optimizes the other way, or has no such setting.
    """
    study = _study(storage, name)
    if len(study.directions) > 1:
        raise InvalidPlan(f"study {study.study_name!r} has several objectives. Use one with one")
    wanted = "maximize" if campaign.maximize else "minimize"
    if study.direction.name.lower() != wanted:
        raise InvalidPlan(
            f"study {study.study_name!r} does not {wanted} its objective, as the campaign does. "
            "Use a study of the same objective"
        )
    found, problems = _settings(study, campaign)
    if not found:
        reason = f": {problems[0]}" if problems else ""
        raise InvalidPlan(
            f"study {study.study_name!r} has no completed trial within the ranges{reason}. "
            "Widen the ranges, or plan without the study"
        )
    return found[:best]


def _settings(study: optuna.Study, campaign: Campaign) -> tuple[list[dict[str, Any]], list[str]]:
    """Return different settings, best first, and what is wrong with the others."""
    import optuna

    completed = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    completed.sort(key=lambda trial: trial.value or 0.0, reverse=campaign.maximize)
    ranges = campaign.template_request.hyperparameter_ranges
    found, problems = list[dict[str, Any]](), list[str]()
    for trial in completed:
        setting = {name: trial.params[name] for name in ranges if name in trial.params}
        if problem := problem_with_setting(ranges, setting):
            problems.append(f"trial {trial.number}: {problem}")
        elif setting not in found:
            found.append(setting)
    return found, problems


def _study(storage: str, name: str | None) -> optuna.Study:
    try:
        import optuna
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError:
        raise InvalidPlan("reading a study needs Optuna. Run: pip install optuna") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if storage.startswith("sqlite:///") and not _exists(storage):
        raise InvalidPlan(f"{storage}: no such file. Name the storage of the study")
    try:
        names = optuna.get_all_study_names(storage)
        if name is None and len(names) != 1:
            known = ", ".join(sorted(names)) or "none"
            raise InvalidPlan(f"{storage} has {len(names)} studies ({known}). Name one")
        return optuna.load_study(study_name=name or names[0], storage=storage)
    except KeyError:
        raise InvalidPlan(
            f"{storage} has no study {name!r}. It has {', '.join(sorted(names))}"
        ) from None
    except (SQLAlchemyError, ValueError) as error:
        problem = str(error).splitlines()[0]
        raise InvalidPlan(f"{storage}: not an Optuna storage ({problem})") from None


def _exists(storage: str) -> bool:
    """Return whether the file of a SQLite storage exists; Optuna would create it."""
    from pathlib import Path

    return Path(storage.removeprefix("sqlite:///").partition("?")[0]).is_file()
