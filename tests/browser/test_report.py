"""The report of a campaign in a browser."""

from __future__ import annotations

from pathlib import Path

from benchmarks.fabricated import REQUEST, trials
from hpoq.campaign.planning.compare import campaign_of, planned
from hpoq.campaign.report import write
from hpoq.campaign.results.table import frame
from tests.support.browser import headless


def test_the_report_draws_its_figures(tmp_path: Path) -> None:
    campaign = campaign_of(
        name="credit", trials=1_000, minutes_per_trial=5, limits={"instances": 20}, request=REQUEST
    )
    plan = planned(campaign, "narrowing")
    report = write(plan, frame(plan, trials(plan)), tmp_path / "credit.html")
    with headless(tmp_path / "profile") as browser:
        browser.open(report.as_uri())
        browser.wait_for("document.querySelectorAll('.main-svg').length >= 8")
        assert browser.complaints == [f"asks for {report.as_uri()}"]  # and for nothing else
