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
    table = frame(plan, trials(plan))
    report = write(plan, table, tmp_path / "credit.html")
    with headless(tmp_path / "profile") as browser:
        browser.open(report.as_uri())
        browser.wait_for("document.querySelectorAll('.main-svg').length >= 8")
        assert browser.complaints == [f"asks for {report.as_uri()}"]  # and for nothing else
        browser.show(390, "dark")
        browser.wait_for("document.documentElement.scrollWidth <= 390")
        assert browser.get("getComputedStyle(document.body).backgroundColor") == "rgb(17, 24, 39)"
        said = "document.querySelector('#all-trials p').textContent"
        assert browser.get(said) == "1,000 of 1,000 trials, page 1 of 20"
        browser.get(
            "(() => { const find = document.getElementById('find-trial');"
            " find.value = 'CUDA memory'; find.dispatchEvent(new Event('input')); })()"
        )
        failed = int((table["reason"].str.contains("CUDA")).sum())
        assert browser.get(said).startswith(f"{failed} of 1,000 trials")
