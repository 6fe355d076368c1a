"""The report of a campaign in a browser, wide and narrow, light and dark.

``HPOQ_PICTURES=docs/images python -m pytest tests/browser`` makes the screenshots of the docs.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.fabricated import REQUEST, trials
from hpoq.campaign.planning.compare import campaign_of, planned
from hpoq.campaign.report import write
from hpoq.campaign.results.curves import LearningCurves, chosen, curves_frame
from hpoq.campaign.results.table import frame
from tests.support.axe import violations
from tests.support.browser import Browser, headless

TRIALS = 10_000
FURTHER = {
    "momentum": {"type": "continuous", "min": 0.5, "max": 0.9999, "scaling": "ReverseLogarithmic"},
    "weight-decay": {"type": "continuous", "min": 1e-9, "max": 0.01, "scaling": "Logarithmic"},
}
CONSOLE = "https://eu-central-1.console.aws.amazon.com/sagemaker/home?region=eu-central-1#/jobs/"


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Return the trials of a campaign with two objectives and ranges of every scale."""
    return made()[1]


def made() -> tuple[object, pd.DataFrame]:
    draws = random.Random(1)
    ranges = {**REQUEST["hyperparameter_ranges"], **FURTHER}
    campaign = campaign_of(
        name="credit", trials=TRIALS, minutes_per_trial=5, limits={"instances": 20},
        request={**REQUEST, "hyperparameter_ranges": ranges}, price_per_hour=1e-4,
        further_metrics={"latency": "Minimize", "cost": "Minimize"},
    )  # fmt: skip
    plan = planned(campaign, "narrowing")
    found = []
    for trial in trials(plan):
        values = {
            **trial.hyperparameters,
            "momentum": repr(1 - 10 ** -draws.uniform(0.31, 4)),
            "weight-decay": repr(10 ** draws.uniform(-9, -2)),
        }
        latency = draws.lognormvariate(2, 0.6)
        better = None if trial.objective is None else trial.objective + 2e-4 * latency
        metrics = {"latency": latency}
        found.append(replace(trial, hyperparameters=values, metrics=metrics, objective=better))
    found[7] = replace(
        found[7], hyperparameters={**found[7].hyperparameters, "weight-decay": "1e-07"}
    )
    return plan, frame(plan, found)


def learning_curves(table: pd.DataFrame) -> LearningCurves:
    ranks = chosen(table, 20)
    last = table.set_index("trial")["objective"]
    found = {
        name: {
            "validation:auc": (range(1, 13), [last[name] - 0.2 / n for n in range(1, 13)]),
            "train:loss": (range(1, 13), [0.4 + 0.3 / n + rank / 1e5 for n in range(1, 13)]),
        }
        for name, rank in ranks.items()
    }
    return LearningCurves(table=curves_frame(found, ranks))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plan, table = made()
    path = tmp_path_factory.mktemp("report") / "credit.html"
    return write(plan, table, path, curves=learning_curves(table), consoles={"home": CONSOLE})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, report: Path) -> Iterator[Browser]:
    with headless(tmp_path_factory.mktemp("profile")) as started:
        started.open(report.as_uri())
        started.wait_for(f"document.querySelectorAll('.main-svg').length >= {DRAWN}")
        yield started


DRAWN = 20  # two of the progress, two fronts, two curves, the importances, six slices, ...
SAID = "document.querySelector('#all-trials p').textContent"
# Tiles whose text is wider than they are, or takes more than one line.
CUT = """[...document.querySelectorAll('.tile b')]
  .filter(each => each.scrollWidth > each.clientWidth || each.offsetHeight > 40)
  .map(each => each.textContent)"""
# Labels of axes whose boxes overlap with the next one of the same axis.
OVERLAPS = """[...document.querySelectorAll('[class^=xaxislayer-]')].flatMap(axis => {
  const boxes = [...axis.querySelectorAll('.xtick text')].map(t => [t.textContent,
    t.getBoundingClientRect()]).sort((a, b) => a[1].left - b[1].left);
  return boxes.slice(1).filter((box, at) => box[1].left < boxes[at][1].right - 1
    && !/rotate\\((?!0)/.test(axis.innerHTML)).map(box => box[0]);
})"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_fits_and_can_be_read_by_everybody(
    browser: Browser, report: Path, width: int, scheme: str
) -> None:
    browser.show(width, scheme)
    browser.wait_for(f"document.documentElement.scrollWidth <= {width}")
    assert browser.get(CUT) == []
    assert browser.get(OVERLAPS) == []
    assert violations(browser) == []
    if folder := os.environ.get("HPOQ_PICTURES"):
        browser.picture(Path(folder) / f"report-{width}-{scheme}.webp", width)


def test_the_report_asks_for_no_other_file(browser: Browser, report: Path) -> None:
    assert browser.complaints == [f"asks for {report.as_uri()}"]


def test_the_page_is_dark_if_the_reader_wants_it(browser: Browser) -> None:
    browser.show(1280, "dark")
    assert browser.get("getComputedStyle(document.body).backgroundColor") == "rgb(17, 24, 39)"


def test_all_trials_can_be_searched_sorted_and_opened(
    browser: Browser, table: pd.DataFrame
) -> None:
    assert browser.get(SAID) == "10,000 of 10,000 trials, page 1 of 200"
    first = "document.querySelector('#all-trials tbody a')"
    assert browser.get(f"{first}.href").startswith(CONSOLE)
    best = table[table["rank"] == 1].iloc[0]["trial"]
    assert browser.get(f"{first}.textContent") == best

    def find(text: str) -> str:
        browser.get(
            "(() => { const find = document.getElementById('find-trial');"
            f" find.value = {text!r}; find.dispatchEvent(new Event('input')); }})()"
        )
        return str(browser.get(SAID))

    failed = int((table["reason"].str.contains("CUDA")).sum())
    assert find("CUDA memory").startswith(f"{failed:,} of 10,000 trials")
    find(f"1e-07 {table.iloc[7]['trial']}")
    cells = browser.get("[...document.querySelectorAll('#all-trials td')].map(c => c.textContent)")
    assert "1e-07" in cells
    find("")


def test_every_failed_trial_is_accounted_for(browser: Browser, table: pd.DataFrame) -> None:
    counted = browser.get(
        "[...document.querySelectorAll('h2')].find(h => h.textContent === 'Failures')"
        ".parentElement.querySelectorAll('td.n').values().map(c => +c.textContent.replace(',', ''))"
        ".reduce((a, b) => a + b)"
    )
    assert counted == int((~table["usable"]).sum())


def test_small_costs_are_shown_as_amounts(browser: Browser) -> None:
    tiles = browser.get("[...document.querySelectorAll('.tile')].map(each => each.innerText)")
    assert any(each.startswith("$0.0") and each.endswith("cost") for each in tiles), tiles
    assert not any("e-" in each for each in tiles), tiles
