from __future__ import annotations

import pytest

from hpo_dispatcher.contract.aws_limits import epochs_of


@pytest.mark.parametrize(
    ("static", "epochs"),
    [
        ({"epochs": "12"}, 12),
        ({"numepochs": "3"}, 3),
        ({"n-epochs": "3"}, 3),
        ({"n_epochs": "3"}, 3),
        ({"num_epochs": "3"}, 3),
        ({"epochs": '"12"'}, 12),  # the SageMaker SDK writes values as JSON
        ({"num_epochs": "4", "epochs": "5"}, 5),
        ({"epochs": "all", "num_epochs": "4"}, 4),
        ({"epochs": "0"}, None),
        ({"epochs": "-1"}, None),
        ({"epochs": "1.5"}, None),
        ({"epochs": ""}, None),
        ({"Epochs": "3", "max_epochs": "3"}, None),
        ({}, None),
    ],
)
def test_hyperband_infers_its_largest_resource_from_these_hyperparameters(
    static: dict[str, str], epochs: int | None
) -> None:
    """The keys of HyperbandStrategyConfig in SageMaker's API reference."""
    assert epochs_of(static) == epochs
