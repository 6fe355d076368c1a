from __future__ import annotations

from hpoq.results.measured import series


def test_metrics_are_read_by_their_expressions_in_the_order_printed() -> None:
    said = ["loss=1 auc=0.5", "nothing", "loss=0.5", "loss=nan", "loss=x"]
    definitions = [
        {"Name": "loss", "Regex": "loss=(\\S+)"},
        {"Name": "auc", "Regex": "auc=(\\S+)"},  # one point is no curve
        {"Name": "broken", "Regex": "("},
    ]
    assert series(definitions, said) == {"loss": (range(1, 3), [1.0, 0.5])}


def test_long_curves_are_thinned() -> None:
    said = [f"loss={n}" for n in range(10_000)]
    numbers, values = series([{"Name": "loss", "Regex": "loss=(\\S+)"}], said)["loss"]
    assert len(numbers) == len(values) == 2_000
    assert values[:2] == [0.0, 5.0]
