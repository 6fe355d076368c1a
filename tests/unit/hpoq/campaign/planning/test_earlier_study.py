"""An earlier Optuna study gives a campaign its points to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from hpoq.campaign.errors import InvalidPlan
from hpoq.campaign.model import Campaign
from hpoq.campaign.planning.compare import campaign_of
from hpoq.campaign.planning.earlier_study import points_of_study


def campaign(kind: str = "Maximize") -> Campaign:
    ranges = {
        "lr": {"type": "continuous", "min": 0.001, "max": 0.1},
        "depth": {"type": "integer", "min": 1, "max": 9},
    }
    request = {"objective": {"metric": "auc", "type": kind}, "hyperparameter_ranges": ranges}
    return campaign_of(name="c", trials=30, minutes_per_trial=1, request=request)


def add_study(storage: str, name: str, direction: str) -> None:
    """Add a study whose objective is its learning rate; its last two trials have no value."""
    made = optuna.create_study(study_name=name, storage=storage, direction=direction)
    distributions: dict[str, Any] = {
        "lr": optuna.distributions.FloatDistribution(0.001, 1.0),
        "depth": optuna.distributions.IntDistribution(1, 9),
    }
    settings = [(0.01, 3), (0.05, 3), (0.05, 3), (0.02, 4), (0.5, 3)]
    made.add_trials(
        [
            *(
                optuna.trial.create_trial(
                    value=lr, params={"lr": lr, "depth": depth}, distributions=distributions
                )
                for lr, depth in settings
            ),
            optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL),
            optuna.trial.create_trial(  # it was given up, and has no value
                state=optuna.trial.TrialState.PRUNED,
                params={"lr": 0.09, "depth": 3},
                distributions=distributions,
            ),
        ]
    )


@pytest.fixture(scope="module")
def storages(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return a storage of one study, and one of three: creating one takes half a second."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = tmp_path_factory.mktemp("studies")
    one, several = f"sqlite:///{folder / 'one.db'}", f"sqlite:///{folder / 'several.db'}"
    add_study(one, "old", "maximize")
    add_study(several, "up", "maximize")
    add_study(several, "down", "minimize")
    other = optuna.create_study(study_name="other", storage=several, direction="maximize")
    other.optimize(lambda trial: trial.suggest_float("lr", 0.01, 0.1), n_trials=1)
    return one, several


def test_the_best_different_settings_within_the_ranges_come_first(
    storages: tuple[str, str],
) -> None:
    one, several = storages
    assert points_of_study(campaign(), one, best=2) == [
        {"lr": 0.05, "depth": 3}, {"lr": 0.02, "depth": 4},
    ]  # fmt: skip
    assert len(points_of_study(campaign(), several, "up")) == 3


def test_the_best_of_a_study_that_minimizes_is_its_lowest(storages: tuple[str, str]) -> None:
    found = points_of_study(campaign("Minimize"), storages[1], "down")
    assert found[0] == {"lr": 0.01, "depth": 3}


@pytest.mark.parametrize(
    ("name", "kind", "problem"),
    [
        ("new", "Maximize", "has no study 'new'. It has down, other, up"),
        ("up", "Minimize", "study 'up' does not minimize its objective"),
        ("other", "Maximize", "within the ranges: trial 0: depth is missing"),
        (None, "Maximize", r"has 3 studies \(down, other, up\)\. Name one"),
    ],
)
def test_an_unsuitable_study_is_one_line(
    storages: tuple[str, str], name: str | None, kind: str, problem: str
) -> None:
    with pytest.raises(InvalidPlan, match=problem):
        points_of_study(campaign(kind), storages[1], name)


@pytest.mark.parametrize("made", [None, b"not a database"])
def test_a_file_that_is_no_storage_is_one_line_and_stays_as_it_is(
    made: Any, tmp_path: Path
) -> None:
    file = tmp_path / "study.db"
    if made:
        file.write_bytes(made)
    with pytest.raises(InvalidPlan) as raised:
        points_of_study(campaign(), f"sqlite:///{file}")
    assert "\n" not in str(raised.value)
    if made:
        assert "file is not a database" in str(raised.value)
    assert file.exists() == bool(made)


def test_a_storage_that_does_not_exist_is_named_and_not_created(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'none.db'}"
    with pytest.raises(InvalidPlan) as caught:
        points_of_study(campaign(), storage)
    assert str(caught.value) == f"{storage}: no such file. Name the storage of the study"
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(("kind", "depths"), [("Maximize", [3, 2, 1]), ("Minimize", [1, 2, 3])])
def test_a_value_of_zero_is_between_those_below_and_above_it(
    kind: str, depths: list[int], tmp_path: Path
) -> None:
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(storage=storage, direction=kind.lower())
    distributions: dict[str, Any] = {
        "lr": optuna.distributions.FloatDistribution(0.001, 1.0),
        "depth": optuna.distributions.IntDistribution(1, 9),
    }
    for depth, value in ((2, 0.0), (1, -0.5), (3, 0.5)):
        params = {"lr": 0.01, "depth": depth}
        study.add_trial(
            optuna.trial.create_trial(value=value, params=params, distributions=distributions)
        )
    assert [each["depth"] for each in points_of_study(campaign(kind), storage)] == depths
