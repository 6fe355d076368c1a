"""The section of learning curves."""

from __future__ import annotations

import pandas as pd

from benchmarks.fabricated import REQUEST
from hpoq.campaign.planning.compare import campaign_of, planned
from hpoq.campaign.report.learning import figures, section
from hpoq.campaign.results.curves import LearningCurves, curves_frame

PLAN = planned(campaign_of(name="c", trials=60, minutes_per_trial=5, request=REQUEST), "single")


def curves(trials: int) -> LearningCurves:
    series = {
        f"t{n}": {
            "train:loss": (range(1, 4), [0.9, 0.5, 0.4 + n]),
            "validation:auc": (range(1, 4), [0.5, 0.6, 0.7 - n / 100]),
        }
        for n in range(1, trials + 1)
    }
    ranks = {f"t{n}": n for n in range(1, trials + 1)}
    return LearningCurves(table=curves_frame(series, ranks))


def test_each_metric_has_a_figure_the_objective_first_with_the_best_trial_on_top() -> None:
    drawn = figures(PLAN, curves(4))
    assert [figure.layout.yaxis.title.text for figure in drawn] == ["validation:auc", "train:loss"]
    lines = drawn[0].data
    assert [line.name for line in lines] == ["4. t4", "3. t3", "2. t2", "1. t1"]
    assert list(lines[-1].y) == [0.5, 0.6, 0.69]
    assert len({line.line.color for line in lines}) == 2
    assert "The values that 4 trials printed" in section(PLAN, curves(4))


def test_why_there_are_no_curves_is_said() -> None:
    none = LearningCurves(table=pd.DataFrame(columns=["trial", "rank", "metric"]), note="No <log>.")
    assert "No &lt;log&gt;." in section(PLAN, none)
    assert section(PLAN, None) == ""
