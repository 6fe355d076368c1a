from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.settings import Settings
from tools import conformance_gaps, costs
from tools.audit import (
    LOCKS,
    ROOT,
    AuditFinding,
    AuditOutcome,
    NotChecked,
    answer,
    audit,
    executable,
    npm_outcome,
    weigh,
)
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


def cannot_run() -> AuditOutcome:
    raise NotChecked("the feed is not reachable")


@pytest.mark.parametrize(("complete", "status"), [(False, 0), (True, 1)])
def test_a_check_that_cannot_run_is_named_and_fails_a_complete_audit_only(
    capsys: pytest.CaptureFixture[str], *, complete: bool, status: int
) -> None:
    checks = {"feed": cannot_run, "sources": lambda: AuditOutcome(accepted=2)}
    assert audit(checks, complete=complete) == status
    assert capsys.readouterr().out == (
        "feed\n    the feed is not reachable\n  NOT CHECKED\n"
        "sources\n  clean; 2 accepted with a reason\n"
        "NOT CHECKED: feed. A release needs every check\n"
    )


@pytest.mark.parametrize("complete", [False, True])
def test_an_audit_fails_with_a_finding_and_succeeds_without(*, complete: bool) -> None:
    clean = {"sources": AuditOutcome, "licenses": AuditOutcome}
    assert audit(clean, complete=complete) == 0
    found = {"sources": lambda: AuditOutcome((OPEN_PORT,)), "licenses": AuditOutcome}
    assert audit(found, complete=complete) == 1


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["-c", "import sys; sys.exit('Traceback\\nConnectionError: no route')"], "no route"),
        (["-c", "print('<html>proxy</html>')"], "failed"),
    ],
)
def test_a_tool_without_json_output_was_not_checked(command: list[str], reason: str) -> None:
    with pytest.raises(NotChecked, match=reason):
        answer(sys.executable, *command)


def test_a_missing_tool_was_not_checked() -> None:
    with pytest.raises(NotChecked, match="No such file"):
        answer("no-such-tool-of-an-audit")


def test_a_tool_that_found_something_is_believed_whatever_its_exit_status() -> None:
    assert answer(sys.executable, "-c", "print('{}'); raise SystemExit(1)") == {}


def test_tools_that_cannot_be_installed_were_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "audit.in").write_text("no-such-package-of-an-audit==1\n")
    monkeypatch.setattr("tools.audit.ROOT", tmp_path)
    monkeypatch.setattr("tools.audit.TOOLS", tmp_path / "audit.in")
    monkeypatch.setattr("tools.audit.ENVIRONMENT", tmp_path / "environment")

    def without_pip(folder: Path, **_: Any) -> None:
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").symlink_to(sys.executable)

    monkeypatch.setattr("venv.create", without_pip)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(NotChecked, match="could not be installed"):
        executable("pip-audit")
    assert not (tmp_path / "environment" / "made-from").exists()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.relative_to(ROOT).as_posix())
def test_every_package_of_a_lock_has_a_version_and_a_hash(lock: Path) -> None:
    packages = [
        each for each in re.split(r"\n(?=\S)", lock.read_text()) if not each.startswith("#")
    ]
    pinned = re.compile(r"[\w.\[\]-]+==\S+ [^\n]*\\\n +--hash=sha256:")
    assert len(packages) > 30
    assert [each for each in packages if not pinned.match(each)] == []


def test_every_package_of_node_has_a_hash() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    assert [name for name, each in packages.items() if name and not each.get("integrity")] == []


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
