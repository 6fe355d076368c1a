"""Requests as text, for the command and the pages."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hpo_dispatcher.contract.targets.resources import HOME

# A cycle starts every ten minutes, and sooner if there is work. Its end is published.
SILENT_AFTER = timedelta(minutes=15)
# Control characters, and those that change the direction of the text after them: with the latter,
# a text reads otherwise than its characters stand ("Trojan Source", CVE-2021-42574).
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

if TYPE_CHECKING:
    from hpo_dispatcher.contract.documents.capacity import CapacityDocument
    from hpo_dispatcher.contract.entry import Entry
    from hpo_dispatcher.scheduling.forecast.outlooks import Outlook
    from hpoq.client.team_queues import LeftBehind


def entry_fields(entry: Entry) -> dict[str, Any]:
    """Return a request as ``--json`` shows it; times in ISO 8601, UTC."""
    fields = {name: getattr(entry, name) for name in entry.__dataclass_fields__}
    fields["status"] = str(entry.status)
    fields["request"] = json.loads(entry.request.to_json()) if entry.request else None
    return {name: value for name, value in fields.items() if value not in (None, "", {})}


def printable(text: str) -> str:
    """Return a text with escaped control characters, which can rewrite what a terminal shows.

    Names, reasons and log lines are written by others. Tabs and line ends stay.
    """
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def on_stdout(text: str) -> str:
    """Return a text as stdout gets it: printable on a terminal, unchanged in a pipe or file."""
    return printable(text) if sys.stdout.isatty() else text


def dollars(cost: float) -> str:
    """Return an amount with enough digits that a small one is not zero."""
    return f"${cost:,.2f}" if cost == 0 or cost >= 0.1 else f"${Decimal(f'{cost:.2g}'):f}"


def duration(seconds: float) -> str:
    """Return a time span at the precision that people use."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{timedelta(seconds=whole).days} days"


def silence(last_cycle: datetime | None, now: datetime) -> str:
    """Return a line about a dispatcher that has fallen silent; empty if it runs.

    Args:
        last_cycle: the end of the last dispatch cycle; None before the first one.
        now: the present.
    """
    where = "The dispatcher runs every ten minutes; see no-cycle in docs/runbook.md"
    if last_cycle is None:
        return f"no dispatch cycle has completed yet. {where}"
    ago = now - last_cycle
    if ago < SILENT_AFTER:
        return ""
    return f"last cycle {duration(ago.total_seconds())} ago, at {at_utc(last_cycle)}. {where}"


def not_taken_in(team: str, messages: int) -> str:
    """Return a line about messages that wait in a team's queue for the next dispatch cycle."""
    those = "1 message" if messages == 1 else f"{messages} messages"
    return (
        f"{those} in the queue of team {team}, not yet taken in by a dispatch cycle. After ten "
        "minutes, let `hpoq doctor` look for the cause"
    )


def left_behind(left: LeftBehind) -> str:
    """Return a line about the queues of a removed team."""
    messages = "1 message" if left.messages == 1 else f"{left.messages} messages"
    rejected = f"{left.dead_letters} rejected message{'' if left.dead_letters == 1 else 's'}"
    return (
        f"team {left.team} is not in the settings, but its queues have {messages} and {rejected}; "
        "docs/operations.md says how to move or delete them"
    )


def at_utc(at: datetime) -> str:
    """Return a moment with its zone, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def short(values: Mapping[str, str], room: int = 60) -> str:
    """Return hyperparameters for one table cell; numbers are rounded to four digits."""
    text = "  ".join(f"{name}={_number(value)}" for name, value in sorted(values.items()))
    return text if len(text) <= room else text[: room - 1] + "…"


def _number(value: str) -> str:
    bare = value.strip('"')
    try:
        return f"{float(bare):.4g}"
    except ValueError:
        return bare


def queue_position(of: Outlook) -> str:
    """Return a request's position in its team's queue and among all teams' requests."""
    if of.position is None:
        return ""
    text = f"{'' if of.exact else 'about '}{of.position} of {of.of_team}"
    return f"{text}, {of.overall} of all teams'" if of.overall else text


def expected(of: Outlook) -> str:
    """Return when a request may start, and the range of the estimate."""
    if of.starts_in is None or of.earliest is None or of.latest is None:
        return ""
    spread = f"{_in_minutes(of.earliest)} to {_in_minutes(of.latest)}"
    return f"in about {_in_minutes(of.starts_in)} ({spread}, by {of.run_times} run times)"


def _in_minutes(seconds: float) -> str:
    """Return a time span of an estimate, which is not known to the second."""
    return duration(seconds) if seconds >= 3600 else f"{math.ceil(seconds / 60)} min"


def estimates_held(document: CapacityDocument) -> str:
    """Return how many starts of the last weeks were within the stated range; empty: unknown."""
    measured = document.estimates
    if measured is None or not measured.starts:
        return ""
    held = measured.within / measured.starts
    starts = "1 start" if measured.starts == 1 else f"{measured.starts} starts"
    return f"estimates of the last 14 days: {held:.0%} of {starts} within their range"


def failed_training_jobs(entry: Entry) -> int:
    """Return how many training jobs failed, whether or not SageMaker ran them again."""
    return entry.counters.get("NonRetryableError", 0) + entry.counters.get("RetryableError", 0)


def training_jobs(entry: Entry) -> str:
    """Return the completed training jobs of all, and how many failed or run."""
    if not entry.counters and not entry.max_training_jobs:
        return ""
    counters = entry.counters
    failed = failed_training_jobs(entry)
    running = counters.get("InProgress", 0)
    notes = [f"{failed} failed"] * bool(failed) + [f"{running} running"] * bool(running)
    done = f"{counters.get('Completed', 0)}/{entry.max_training_jobs}"
    return f"{done} ({', '.join(notes)})" if notes else done


def objective(entry: Entry) -> str:
    """Return the best objective value so far."""
    return f"{entry.best.objective:.4f}" if entry.best else ""


def target(entry: Entry) -> str:
    """Return where the tuning job of a request runs, or may run; empty if that is home only."""
    if entry.tuning_job_name:
        return entry.target if entry.targets != (HOME,) else ""
    return " or ".join(entry.allowed_targets) if entry.allowed_targets != (HOME,) else ""


def waited(entry: Entry) -> str:
    """Return the time from acceptance to the start of the tuning job."""
    start = entry.started_at or entry.ended_at or datetime.now(UTC)
    return duration((start - entry.accepted_at).total_seconds())


def ran(entry: Entry) -> str:
    """Return the time from the start of the tuning job to its end, or until now."""
    if entry.started_at is None:
        return ""
    return duration(((entry.ended_at or datetime.now(UTC)) - entry.started_at).total_seconds())
