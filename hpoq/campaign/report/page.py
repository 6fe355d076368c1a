"""The HTML page of the report."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.report import all_trials, comparison, figures, learning, pareto, series
from hpoq.campaign.report.advice import advice
from hpoq.campaign.report.parts import cell, table_of
from hpoq.campaign.results.curves import LearningCurves
from hpoq.campaign.results.table import SEARCHED, best
from hpoq.presentation import dollars, duration

if TYPE_CHECKING:
    import pandas as pd

REASONS = 30  # shown one by one
AXIS_WIDTH = 95  # pixels between two parallel coordinates, at least
STYLE = Path(__file__).with_name("page.css")


def write(
    plan: CampaignPlan,
    table: pd.DataFrame,
    path: Path,
    others: comparison.Campaigns = (),
    *,
    curves: LearningCurves | None = None,
    consoles: Mapping[str, str] | None = None,
) -> Path:
    """Write the report of a campaign, finished or not.

    Args:
        plan: plan of the campaign.
        table: from ``hpoq.campaign.results.table.frame``.
        path: path of the HTML file, which is replaced if it exists.
        others: campaigns to compare it with.
        curves: learning curves of some trials; None for no section of them.
        consoles: by target, the address to which the name of a training job is appended; empty for
            no links.

    Returns:
        ``path``.
    """
    text = page(plan, table, others, curves=curves, consoles=consoles)
    path.write_text(text, encoding="utf-8")
    return path


def page(
    plan: CampaignPlan,
    table: pd.DataFrame,
    others: comparison.Campaigns = (),
    *,
    curves: LearningCurves | None = None,
    consoles: Mapping[str, str] | None = None,
) -> str:
    """Return the whole HTML document."""
    from plotly.offline import get_plotlyjs

    name = escape(plan.campaign.name)
    compared = [comparison.section([(plan, table), *others])] if others else []
    sections = [_heading(plan, table), *compared, *_sections(plan, table, curves)]
    if len(table):
        maximize = plan.campaign.maximize
        sections.append(all_trials.section(table, maximize=maximize, consoles=consoles))
    body = "\n".join(sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{name}: campaign report</title><style>{STYLE.read_text()}</style>"
        f"<script>{get_plotlyjs()}</script></head><body><main>\n{body}\n</main></body></html>\n"
    )


def _sections(plan: CampaignPlan, table: pd.DataFrame, curves: LearningCurves | None) -> list[str]:
    if not bool(table["usable"].any()):
        return ["<p>No trial has a finite objective yet.</p>", _failures(table)]
    names = series.searched(plan)
    weights = series.importances(table, names)
    ordered = list(weights) or names
    return [
        *_progress(plan, table),
        _best(plan, table),
        pareto.section(plan, table),
        *_what_next(advice(plan, table, weights)),
        learning.section(plan, curves),
        *_importances(weights),
        *_hyperparameters(plan, table, ordered),
        *_waves(plan, table, ordered),
        _parallelism(plan, table),
        _failures(table),
    ]


def _progress(plan: CampaignPlan, table: pd.DataFrame) -> list[str]:
    over_time = _section(
        "Best so far over time",
        "Each dot is a trial at the time it ended. The line is the best objective so far.",
        figures.best_so_far(plan, table, "hours"),
    )
    if not bool(table["cost"].notna().any()):
        return [over_time]
    figure = figures.best_so_far(plan, table, "spent")
    note = "The same trials over the money spent so far."
    return [over_time, _section("Best so far over cost", note, figure)]


def _importances(weights: Any) -> list[str]:
    if not weights:
        return []
    note = (
        "Share of the objective's variation that a random forest attributes to each "
        "hyperparameter, over the searched ranges. The lines are 80 % intervals."
    )
    return [_section("Importance of hyperparameters", note, figures.importances(weights))]


def _hyperparameters(plan: CampaignPlan, table: pd.DataFrame, ordered: list[str]) -> list[str]:
    usable = int(table["usable"].sum())
    note = "The objective against each hyperparameter. Later waves are darker."
    if usable > figures.SHOWN_IN_PANEL:
        note += f" Shown are {figures.SHOWN_IN_PANEL:,} of {usable:,} trials, with the best ones."
    slices = _panels("Slices", note, figures.slices(plan, table, ordered))
    note = "Each line is one of the best trials. Drag along an axis to select trials."
    shown = ordered[:10]
    drawn = figures.html(figures.parallel_coordinates(plan, table, shown))
    least = AXIS_WIDTH * (len(shown) + 1)
    coordinates = (
        f"<section><h2>Parallel coordinates</h2><p>{note}</p><div class=scroll tabindex=0>"
        f'<div style="min-width:{least}px">{drawn}</div></div></section>'
    )
    return [slices, coordinates]


def _waves(plan: CampaignPlan, table: pd.DataFrame, ordered: list[str]) -> list[str]:
    panels = figures.waves(plan, table, ordered) if plan.waves > 1 else []
    if not panels:
        return []
    note = (
        "Bars: the range that each wave searched, without the jobs that keep the full ranges. "
        "Diamonds: the best trial of each wave."
    )
    return [_panels("Waves", note, panels)]


def _parallelism(plan: CampaignPlan, table: pd.DataFrame) -> str:
    used = series.utilization(table, series.allowed_at_once(plan))
    note = (
        f"{used:.0%} of the allowed parallelism (dashed line) was used between the first start and "
        "the last end."
    )
    return _section("Parallelism", note, figures.parallelism(plan, table))


def _what_next(sentences: list[str]) -> list[str]:
    if not sentences:
        return []
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return [f"<section><h2>What next</h2><ul>{items}</ul></section>"]


def _section(title: str, note: str, figure: Any) -> str:
    drawn = figures.html(figure)
    return f"<section><h2>{escape(title)}</h2><p>{escape(note)}</p>{drawn}</section>"


def _panels(title: str, note: str, panels: list[Any]) -> str:
    drawn = "".join(map(figures.html, panels))
    return (
        f"<section><h2>{escape(title)}</h2><p>{escape(note)}</p>"
        f"<div class=panels>{drawn}</div></section>"
    )


def _heading(plan: CampaignPlan, table: pd.DataFrame) -> str:
    top = best(table)
    cost = float(table["cost"].sum())
    tiles = [
        ("best objective", f"{top['objective']:.6g}" if top else "none yet"),
        (f"trials ended of {plan.campaign.trials:,}", f"{_ended(table):,}"),
        ("without a result", f"{_without_result(table):,}"),
        (f"tuning jobs started of {len(plan.jobs):,}", f"{table['job'].nunique():,}"),
        ("wall clock", _hours(table)),
        ("cost", dollars(cost) if table["cost"].notna().any() else "price unknown"),
    ]
    boxes = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(label)}</span></div>'
        for label, value in tiles
    )
    objective = plan.campaign.template_request.objective
    goal = f"{objective.type.lower()} {objective.metric}" if objective else ""
    allowed = series.allowed_at_once(plan)
    about = f"Strategy {plan.strategy} · {goal} · up to {allowed:,} trials at once"
    return (
        f"<h1>{escape(plan.campaign.name)}</h1><p>{escape(about)}</p>"
        f'<div class="tiles">{boxes}</div>'
    )


def _hours(table: pd.DataFrame) -> str:
    if not bool(table["ended_at"].notna().any()):
        return "none yet"
    span = table["ended_at"].max() - table["created_at"].min()
    return duration(span.total_seconds())


def _ended(table: pd.DataFrame) -> int:
    return int((~table["status"].isin(["InProgress", "Stopping"])).sum())


def _without_result(table: pd.DataFrame) -> int:
    return _ended(table) - int(table["usable"].sum())


def _best(plan: CampaignPlan, table: pd.DataFrame) -> str:
    """Return the best trials, and the commands that download or deploy the best model."""
    first = table[table["usable"]].nsmallest(5, "rank").to_dict("records")
    names = series.searched(plan)
    rows = [
        [str(row["trial"]), str(row["wave"]), cell(row["objective"])]
        + [cell(row[SEARCHED + name]) for name in names]
        for row in first
    ]
    # Ray's trials share a training job, whose model is that of its best trial.
    trial = escape(str(first[0]["trial"]).split("/")[0])
    commands = (
        f"# download the model\n"
        f"aws s3 cp $(aws sagemaker describe-training-job --training-job-name {trial} \\\n"
        f"  --query ModelArtifacts.S3ModelArtifacts --output text) model.tar.gz\n\n"
        f"# or create a deployable model (ROLE: execution role, SERVING_IMAGE: inference image)\n"
        f"aws sagemaker create-model --model-name {trial} --execution-role-arn ROLE \\\n"
        f"  --primary-container Image=SERVING_IMAGE,ModelDataUrl=$(aws sagemaker \\\n"
        f"  describe-training-job --training-job-name {trial} \\\n"
        f"  --query ModelArtifacts.S3ModelArtifacts --output text)"
    )
    listed = table_of(["trial", "wave", "objective", *names], rows)
    return f"<section><h2>Best trials</h2>{listed}<pre tabindex=0>{commands}</pre></section>"


def _failures(table: pd.DataFrame) -> str:
    found = series.failures(table)
    if not found:
        return "<section><h2>Failures</h2><p>Every ended trial has a result.</p></section>"
    rows = "".join(
        f"<tr><td class=n>{count:,}</td><td>{escape(reason)}</td><td>{escape(example)}</td></tr>"
        for reason, count, example in found[:REASONS]
    )
    others = found[REASONS:]
    if others:
        count = sum(each[1] for each in others)
        rows += (
            f"<tr><td class=n>{count:,}</td><td>{len(others):,} other reasons</td><td></td></tr>"
        )
    return (
        "<section><h2>Failures</h2><p>Trials that ended without a finite objective, by reason."
        "</p><div class=scroll tabindex=0><table>"
        f"<tr><th class=n>trials</th><th>reason</th><th>example</th></tr>{rows}"
        "</table></div></section>"
    )
