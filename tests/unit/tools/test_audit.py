from __future__ import annotations

import pytest

from infra.settings import Settings
from tools import conformance_gaps, costs
from tools.audit import AuditFinding, npm_outcome, weigh
from tools.settings_reference import PAGE, filled, reference

OPEN_PORT = AuditFinding("NET-1", "AWS::EC2::Instance.Door", "a port is open")


def test_a_finding_without_a_reason_is_reported() -> None:
    outcome = weigh([OPEN_PORT], {})
    assert outcome.findings == (OPEN_PORT,)
    assert outcome.verdict == "1 to review; 0 accepted with a reason"


def test_a_reason_only_accepts_its_rule_at_its_places() -> None:
    elsewhere = AuditFinding("NET-1", "AWS::EC2::Instance.Window", "a port is open")
    outcome = weigh([OPEN_PORT, elsewhere], {("NET-1", "*.Door"): "it is a door"})
    assert outcome.findings == (elsewhere,)
    assert outcome.accepted == 1


def test_a_reason_that_accepts_nothing_is_a_finding() -> None:
    (stale,) = weigh([], {("NET-1", "*.Door"): "it is a door"}).findings
    assert stale.rule == "NET-1"
    assert "no longer found" in stale.text


def test_npm_s_report_names_package_severity_and_advisory() -> None:
    # The form of npm 10: auditReportVersion 2.
    report = {
        "auditReportVersion": 2,
        "vulnerabilities": {
            "tar": {"name": "tar", "severity": "high", "via": [{"title": "Path traversal"}]},
            "cdk": {"name": "cdk", "severity": "high", "via": ["tar"]},
        },
        "metadata": {"dependencies": {"total": 120}},
    }
    outcome = npm_outcome(report)
    assert outcome.findings == (
        AuditFinding("high", "package-lock.json: tar", "Path traversal"),
        AuditFinding("high", "package-lock.json: cdk", "tar"),
    )
    assert outcome.checked


def test_a_feed_that_npm_cannot_reach_is_not_a_clean_result() -> None:
    outcome = npm_outcome({"message": "405 Method Not Allowed", "method": "POST"})
    assert outcome.verdict == "NOT CHECKED"
    assert outcome.notes == ("the feed is not reachable: 405 Method Not Allowed",)


def test_the_settings_reference_is_up_to_date_and_complete() -> None:
    page = PAGE.read_text()
    assert filled(page) == page, "run: python -m tools.settings_reference"
    for key in Settings.model_fields:
        assert f"| `{key}` |" in reference()
    rows = reference().splitlines()[2:]
    assert [row for row in rows if row.endswith("|  |")] == [], "each has a description"


def test_the_gaps_of_the_embedded_cloud_are_up_to_date() -> None:
    page = conformance_gaps.PAGE.read_text()
    assert page == conformance_gaps.updated(page)


def test_the_costs_are_up_to_date_on_the_page_and_in_the_readme() -> None:
    page = costs.PAGE.read_text()
    assert costs.filled(page) == page, "run: python -m tools.costs"
    watching = [
        line for line in costs.cost_items(costs.IDLE) if line.what.startswith("CloudWatch ")
    ]
    dollars = sum(line.dollars for line in watching)
    assert f"${dollars:.0f} a month for ten teams" in (costs.ROOT / "README.md").read_text()


def test_a_month_is_the_sum_of_units_times_prices() -> None:
    by_name = {line.what: line for line in costs.cost_items(costs.BUSY)}
    assert by_name["Lambda, invocations"].units == 4320 + 30_000
    assert by_name["Lambda, GB-seconds"].dollars == pytest.approx(34_320 * 2 * 0.0000166667)
    assert by_name["CloudWatch alarms"].units == 28
