from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest

from benchmarks.fabricated import REQUEST, trials
from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.planning.compare import campaign_of, planned
from hpoq.campaign.report import figures, series, svg, write
from hpoq.campaign.report.page import page
from hpoq.campaign.results.table import frame


def plan_of(count: int, strategy: Any = "narrowing", **request: Any) -> CampaignPlan:
    campaign = campaign_of(
        name="credit", trials=count, minutes_per_trial=5, limits={"instances": 20},
        request={**REQUEST, **request},
    )  # fmt: skip
    return planned(campaign, strategy)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plan = plan_of(1_000)
    path = tmp_path_factory.mktemp("report") / "credit.html"
    return write(plan, frame(plan, trials(plan)), path)


def test_the_report_has_every_section(report: Path) -> None:
    text = report.read_text()
    titles = re.findall(r"<h2>(.*?)</h2>", text)
    assert titles == [
        "Best so far over time", "Best so far over cost", "Best trials", "What next",
        "Importance of hyperparameters", "Slices", "Parallel coordinates", "Waves", "Parallelism",
        "Failures", "All trials",
    ]  # fmt: skip
    assert "CUDA out of memory" in text
    assert "aws s3 cp" in text


def test_the_report_needs_no_other_file(report: Path) -> None:
    text = report.read_text()
    tags = re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=[\"']?([^\"'> ]+)", text)
    assert [tag for tag in tags if tag.startswith("http")] == []


def test_twenty_thousand_trials_make_a_small_report(tmp_path: Path) -> None:
    plan = plan_of(20_000)
    table = frame(plan, trials(plan))
    path = write(plan, table, tmp_path / "credit.html")
    assert path.stat().st_size <= 10_000_000


def test_names_and_reasons_cannot_inject_markup(tmp_path: Path) -> None:
    plan = plan_of(100, "single")
    bad = [
        replace(t, reason="<script>alert(1)</script>", objective=None, status="Failed")
        for t in trials(plan)
    ]
    text = write(plan, frame(plan, bad[:50]), tmp_path / "r.html").read_text()
    assert "<script>alert" not in text
    assert "No trial has a finite objective yet" in text


def test_the_best_so_far_never_gets_worse() -> None:
    for goal in ("Maximize", "Minimize"):
        plan = plan_of(400, objective={"metric": "validation:auc", "type": goal})
        found = series.best_so_far(frame(plan, trials(plan)), plan.campaign)
        steps = found["so_far"].diff().dropna()
        assert (steps >= 0).all() if goal == "Maximize" else (steps <= 0).all()


def test_the_decisive_hyperparameter_is_the_most_important() -> None:
    plan = plan_of(1_000)
    found = series.importances(frame(plan, trials(plan)), series.searched(plan))
    assert sum(each.share for each in found.values()) == pytest.approx(1)
    assert next(iter(found)) == "lr"
    assert found["batch-size"].share < 0.1


def test_parallelism_counts_trials_at_once() -> None:
    plan = plan_of(400)
    table = frame(plan, trials(plan))
    assert series.parallelism(table)["at_once"].max() == plan.slots
    assert 0.8 < series.utilization(table, plan.slots) <= 1


def test_no_more_trials_are_allowed_at_once_than_there_are_whatever_the_account_allows(
    tmp_path: Path,
) -> None:
    plan = plan_of(20, "single")
    limits = plan.campaign.limits.model_copy(update={"instances": None})
    unlimited = plan.campaign.model_copy(update={"limits": limits})
    wide = plan.model_copy(update={"campaign": unlimited})
    text = write(wide, frame(wide, trials(wide)), tmp_path / "r.html").read_text()
    assert "up to 20 trials at once" in text


def test_the_dots_of_few_trials_are_larger() -> None:
    sizes = []
    for count in (40, 4_000):
        plan = plan_of(count, "independent")
        table = frame(plan, trials(plan))
        sizes.append(figures.best_so_far(plan, table, "hours").data[0].marker.size)
    few, many = sizes
    assert few > many


def test_failures_are_grouped_by_reason() -> None:
    plan = plan_of(1_000)
    groups = {reason: count for reason, count, _ in series.failures(frame(plan, trials(plan)))}
    found = list(trials(plan))
    assert groups["AlgorithmError: CUDA out of memory"] == sum(t.status == "Failed" for t in found)
    nan = sum(t.objective is not None and math.isnan(t.objective) for t in found)
    assert groups["no finite objective"] == nan


def test_static_pictures_are_well_formed_and_show_every_usable_trial() -> None:
    plan = plan_of(200)
    table = frame(plan, trials(plan))
    usable = int(table["usable"].sum())
    for picture, dots in (
        (svg.best_so_far(plan, table), usable),
        (svg.slices(plan, table), len(series.searched(plan)) * usable),
    ):
        root = ElementTree.fromstring(picture)
        assert len(root.findall("{http://www.w3.org/2000/svg}circle")) == dots


def test_static_pictures_show_campaigns_of_any_shape() -> None:
    """Few trials, equal objectives, one wave, logarithmic and narrow ranges."""
    for count in (1, 2, 60):
        plan = plan_of(count, "single")
        table = frame(plan, trials(plan, seed=3))
        for same in (False, True):
            shown = table.assign(objective=0.5) if same else table
            ElementTree.fromstring(svg.best_so_far(plan, shown))
            ElementTree.fromstring(svg.slices(plan, shown))


def test_one_diverged_trial_does_not_flatten_the_figures_and_the_best_is_in_them() -> None:
    values = pd.Series([0.7 + i / 1000 for i in range(200)] + [-1e6, 0.95])
    assert series.focus(values, maximize=True) == pytest.approx((0.605, 0.95), abs=0.01)
    assert series.focus(-values, maximize=False) == pytest.approx((-0.95, -0.605), abs=0.01)


def test_one_line_is_drawn_for_each_column() -> None:
    table = pd.DataFrame({"Queued": [9, 4, 0], "<Completed>": [0, 5, 9]}, index=[0.0, 2.0, 4.0])
    root = ElementTree.fromstring(svg.lines(table, "requests", "seconds"))
    drawn = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len((line.get("points") or "").split()) for line in drawn] == [3, 3]
    rising, falling = ([float(p.split(",")[1]) for p in (line.get("points") or "").split()]
                       for line in drawn)  # fmt: skip
    assert rising == sorted(rising, reverse=True)  # pixels count from the top
    assert falling == sorted(falling)
    assert "<Completed>" in [text.text for text in root.iter() if text.tag.endswith("text")]


def test_reasons_that_differ_in_a_number_are_one_and_every_failed_trial_is_counted() -> None:
    plan = plan_of(200, "single")
    made = list(trials(plan))
    bad = [
        replace(t, reason=f"tried to allocate {n}.5 GiB at 0x{n:04x}, step {n}", objective=None)
        for n, t in enumerate(made[:100])
    ]
    words = [f"reason {chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(100)]
    bad += [
        replace(t, reason=word, objective=None) for word, t in zip(words, made[100:], strict=True)
    ]
    table = frame(plan, bad)
    found = series.failures(table)
    assert (found[0][1], len(found)) == (100, 101)
    text = page(plan, table)
    counts = re.findall(r"<tr><td class=n>([0-9,]+)</td>", text.split("<h2>Failures")[1])
    assert sum(int(count.replace(",", "")) for count in counts) == 200


def test_a_slot_is_used_from_when_it_was_taken() -> None:
    plan = plan_of(100, "single")
    table = frame(plan, trials(plan))
    before = series.utilization(table, plan.slots)
    late = table.assign(
        started_at=table["started_at"] + (table["ended_at"] - table["started_at"]) / 2
    )
    assert series.utilization(late, plan.slots) == before


def test_the_table_of_all_trials_has_each_with_the_digits_of_small_numbers() -> None:
    plan = plan_of(60, "single")
    found = list(trials(plan))
    found[0] = replace(found[0], hyperparameters=found[0].hyperparameters | {"lr": "1e-07"})
    found[1] = replace(found[1], reason="</script><b>", status="Failed", objective=None)
    text = page(plan, frame(plan, found))
    written = text.split('id="all-trials-data">')[1].split("</script>")[0]
    data = json.loads(written)
    assert [row[0] for row in data["rows"]] == frame(plan, found)["trial"].tolist()
    at = data["titles"].index("lr")
    assert 1e-07 in [row[at] for row in data["rows"]]
    assert "</script><b>" in [row[data["titles"].index("reason")] for row in data["rows"]]


@pytest.mark.parametrize(
    "different",
    [
        "loss is {n} at step {n}",
        "value -{n}.5 and value {n}e-{n}",
        "GPU{n} ran out of memory in layer{n}.weight",
        "request 3f9c2a{n:02x}41 at 0x{n:04x} failed",
        "training job credit-0001-{n:03} failed",
    ],
)
def test_reasons_that_differ_in_numbers_or_identifiers_are_one(different: str) -> None:
    plan = plan_of(12, "single")
    bad = [
        replace(t, reason=different.format(n=n), objective=None, status="Failed")
        for n, t in enumerate(trials(plan), 1)
    ]
    ((_, count, _),) = series.failures(frame(plan, bad))
    assert count == 12


def test_reasons_of_different_words_stay_apart() -> None:
    plan = plan_of(2, "single")
    one, other = trials(plan)
    bad = [
        replace(one, reason="facade missing", objective=None, status="Failed"),
        replace(other, reason="decade missing", objective=None, status="Failed"),
    ]
    assert len(series.failures(frame(plan, bad))) == 2


def test_names_of_trials_link_to_the_console_that_is_given_and_nowhere_else() -> None:
    plan = plan_of(60, "single")
    table = frame(plan, trials(plan))
    address = (
        "https://eu-central-1.console.aws.amazon.com/sagemaker/home?region=eu-central-1#/jobs/"
    )

    def linked(text: str) -> object:
        written = text.split('id="all-trials-data">')[1].split("</script>")[0]
        return json.loads(written)["consoles"]

    assert linked(page(plan, table, consoles={"home": address})) == {"home": address}
    assert linked(page(plan, table)) == {}


def test_a_campaign_without_a_result_lists_its_failed_trials() -> None:
    plan = plan_of(20, "single")
    bad = [replace(t, objective=None, status="Failed", reason="no data") for t in trials(plan)]
    titles = re.findall(r"<h2>(.*?)</h2>", page(plan, frame(plan, bad)))
    assert titles == ["Failures", "All trials"]


def test_an_axis_of_lines_may_begin_at_their_least_value() -> None:
    table = pd.DataFrame({"auc": [0.7, 0.75, 0.8]}, index=[1, 2, 3])

    def heights(zero: bool) -> list[float]:
        root = ElementTree.fromstring(svg.lines(table, "auc", "epochs", zero=zero))
        (line,) = root.findall("{http://www.w3.org/2000/svg}polyline")
        return [float(point.split(",")[1]) for point in (line.get("points") or "").split()]

    assert heights(zero=False) == [
        svg.TOP + svg.PANEL_HEIGHT,
        svg.TOP + svg.PANEL_HEIGHT / 2,
        svg.TOP,
    ]
    assert heights(zero=True)[0] < svg.TOP + svg.PANEL_HEIGHT / 2
