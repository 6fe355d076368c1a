"""Write the monthly costs of docs/operations.md: units, prices, and their products.

    python -m tools.costs

Units are upper bounds read off the code and the benchmarks (`python -m benchmarks admission`);
prices are those of a list, to be read again before anybody relies on them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "lambdas")]

from hpo_dispatcher.observability.metrics import METRICS  # noqa: E402

PAGE = ROOT / "docs" / "operations.md"
BEGIN, END = "<!-- costs: made by tools/costs.py -->", "<!-- end of costs -->"

HEARTBEATS = 30 * 24 * 6
WAKES_PER_REQUEST = 3  # its submission, and two events of its tuning job's end; most are skipped
SECONDS = 2.0  # of a cycle, at 1 GB
OF_DEPLOYMENT = len([name for name, dimension in METRICS if not dimension])

# Dollars per unit: list prices of us-east-1 as of November 2025, without any free tier.
GB_SECOND, INVOCATION = 0.0000166667, 0.20e-6
SQS_CALL, EVENT = 0.40e-6, 1.00e-6
READ_UNIT, WRITE_UNIT = 0.125e-6, 0.625e-6
METRIC, ALARM, DASHBOARD = 0.30, 0.10, 3.00
LOG_GB, TRACE = 0.50, 5.00e-6


@dataclass(frozen=True, kw_only=True)
class Case:
    """A month."""

    teams: int
    requests: int
    instance_types: int

    @property
    def invocations(self) -> int:
        """Heartbeats and events; each counted as a whole cycle, although most events are not."""
        return HEARTBEATS + WAKES_PER_REQUEST * self.requests

    @property
    def metrics(self) -> int:
        """Of each name and value of a dimension; reasons and services as far as they occur."""
        by_team, by_type = 2 * self.teams, 2 * self.instance_types
        by_service = 2 * 5 if self.requests else 4
        by_reason = 8 if self.requests else 0
        return OF_DEPLOYMENT + by_team + by_type + by_service + by_reason


@dataclass(frozen=True, kw_only=True)
class Line:
    """Units of one kind, how they come about, and what one costs."""

    what: str
    how: str
    units: float
    price: float

    @property
    def dollars(self) -> float:
        """Of a month."""
        return self.units * self.price


def lines(case: Case) -> Iterator[Line]:
    """Everything a deployment without a customer key is billed for."""
    calls, asked, teams = case.invocations, case.requests, case.teams
    seconds = calls * SECONDS
    yield Line(what="Lambda, GB-seconds", how="invocations × 2 s × 1 GB", units=seconds,
               price=GB_SECOND)  # fmt: skip
    yield Line(what="Lambda, invocations", how="4,320 heartbeats + 3 × requests", units=calls,
               price=INVOCATION)  # fmt: skip
    yield Line(what="SQS calls", how="1 × teams a cycle + 4 × requests",
               units=calls * teams + 4 * asked, price=SQS_CALL)  # fmt: skip
    yield Line(what="DynamoDB read units", how="(6 + teams) a cycle + 20 × requests",
               units=calls * (6 + teams) + 20 * asked, price=READ_UNIT)  # fmt: skip
    yield Line(what="DynamoDB write units", how="6 a cycle + 25 × requests",
               units=calls * 6 + 25 * asked, price=WRITE_UNIT)  # fmt: skip
    yield Line(what="EventBridge events", how="4 × requests", units=4 * asked, price=EVENT)
    yield Line(what="CloudWatch Logs, GB", how="8 KB a cycle", units=calls * 8e-6, price=LOG_GB)
    yield Line(what="X-Ray traces", how="one an invocation", units=calls, price=TRACE)
    yield Line(what="CloudWatch metrics", how="names × values of their dimension",
               units=case.metrics, price=METRIC)  # fmt: skip
    yield Line(what="CloudWatch alarms", how="8 + 2 × teams", units=8 + 2 * teams, price=ALARM)
    yield Line(what="CloudWatch dashboard", how="", units=1, price=DASHBOARD)


IDLE = Case(teams=10, requests=0, instance_types=0)
BUSY = Case(teams=10, requests=10_000, instance_types=3)


def table() -> str:
    """Both months side by side, and their sums."""
    rows = ["| | how many | idle | | 10,000 requests | |", "|---|---|---:|---:|---:|---:|"]
    for idle, busy in zip(lines(IDLE), lines(BUSY), strict=True):
        cells = [f"{_count(each.units)} | ${each.dollars:.2f}" for each in (idle, busy)]
        rows.append(f"| {idle.what} | {idle.how} | {' | '.join(cells)} |")
    sums = [sum(line.dollars for line in lines(case)) for case in (IDLE, BUSY)]
    rows.append(f"| **a month** | | | **${sums[0]:.2f}** | | **${sums[1]:.2f}** |")
    return "\n".join(rows)


def _count(units: float) -> str:
    return f"{units:,.2f}" if units < 10 and units != int(units) else f"{units:,.0f}"


def filled(page: str) -> str:
    """The page with its table made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
