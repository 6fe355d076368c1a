"""The HTML page of the report."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpoq.campaign.campaign_plan import CampaignPlan
from hpoq.campaign.report import all_trials, comparison, figures, series
from hpoq.campaign.report.advice import advice
from hpoq.campaign.results.table import SEARCHED, best
from hpoq.presentation import dollars

if TYPE_CHECKING:
    import pandas as pd

REASONS = 30  # shown one by one
CONFIG = {"displayModeBar": False, "responsive": True}
STYLE = Path(__file__).with_name("page.css")


def write(
    plan: CampaignPlan, table: pd.DataFrame, path: Path, others: comparison.Campaigns = ()
) -> Path:
    """Write the report of a campaign, finished or not.

    Args:
        plan: plan of the campaign.
        table: from ``hpoq.campaign.results.table.frame``.
        path: path of the HTML file, which is replaced if it exists.
        others: campaigns to compare it with.

    Returns:
        ``path``.
    """
    path.write_text(page(plan, table, others), encoding="utf-8")
    return path


def page(plan: CampaignPlan, table: pd.DataFrame, others: comparison.Campaigns = ()) -> str:
    """Return the whole HTML document."""
    from plotly.offline import get_plotlyjs

    name = escape(plan.campaign.name)
    compared = [comparison.section([(plan, table), *others])] if others else []
    body = "\n".join([_heading(plan, table), *compared, *_sections(plan, table)])
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}: campaign report</title><style>{STYLE.read_text()}</style>"
        f"<script>{get_plotlyjs()}</script></head><body>\n{body}\n</body></html>\n"
    )


def _sections(plan: CampaignPlan, table: pd.DataFrame) -> list[str]:
    if not bool(table["usable"].any()):
        note = "<p>No trial has a finite objective yet.</p>"
        return [note, _failures(table)]
    names = series.searched(plan)
    weights = series.importances(table, names)
    ordered = list(weights) or names
    parts = [
        _section(
            "Best so far over time",
            "Each dot is a trial at the time it ended. The line is the best objective so far.",
            figures.best_so_far(plan, table, "hours", "hours since the start"),
        )
    ]
    if bool(table["cost"].notna().any()):
        figure = figures.best_so_far(plan, table, "spent", "USD spent on trials that have ended")
        note = "The same trials over the money spent so far."
        parts.append(_section("Best so far over cost", note, figure))
    parts.append(_best(plan, table))
    parts += _what_next(advice(plan, table, weights))
    if weights:
        note = (
            "Share of the objective's variation that a random forest attributes to each "
            "hyperparameter, over the searched ranges. The lines are 80 % intervals."
        )
        parts.append(_section("Importance of hyperparameters", note, figures.importances(weights)))
    note = "The objective against each hyperparameter. Later waves are darker."
    parts.append(_section("Slices", note, figures.slices(plan, table, ordered)))
    note = "Each line is one of the best trials. Drag along an axis to select trials."
    coordinates = figures.parallel_coordinates(plan, table, ordered[:10])
    parts.append(_section("Parallel coordinates", note, coordinates))
    if plan.waves > 1 and (shrinking := figures.waves(plan, table, ordered)) is not None:
        note = (
            "Bars: the range that each wave searched, without the jobs that keep the full ranges. "
            "Diamonds: the best trial of each wave."
        )
        parts.append(_section("Waves", note, shrinking))
    used = series.utilization(table, plan.slots)
    note = (
        f"{used:.0%} of the allowed parallelism (dashed line) was used between the first start and "
        "the last end."
    )
    parts.append(_section("Parallelism", note, figures.parallelism(plan, table)))
    parts.append(_failures(table))
    parts.append(all_trials.section(table, maximize=plan.campaign.maximize))
    return parts


def _what_next(sentences: list[str]) -> list[str]:
    if not sentences:
        return []
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return [f"<section><h2>What next</h2><ul>{items}</ul></section>"]


def _section(title: str, note: str, figure: Any) -> str:
    div = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        config=CONFIG,
    )
    return f"<section><h2>{escape(title)}</h2><p>{escape(note)}</p>{div}</section>"


def _heading(plan: CampaignPlan, table: pd.DataFrame) -> str:
    top = best(table)
    cost = float(table["cost"].sum())
    tiles = [
        ("best objective", f"{top['objective']:.6g}" if top else "none yet"),
        ("trials ended", f"{_ended(table):,} of {plan.campaign.trials:,}"),
        ("without a result", f"{_without_result(table):,}"),
        ("tuning jobs", f"{table['job'].nunique():,} of {len(plan.jobs):,}"),
        ("wall clock", _hours(table)),
        ("cost", dollars(cost) if table["cost"].notna().any() else "price unknown"),
    ]
    boxes = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(label)}</span></div>'
        for label, value in tiles
    )
    objective = plan.campaign.template_request.objective
    goal = f"{objective.type.lower()} {objective.metric}" if objective else ""
    about = f"Strategy {plan.strategy} · {goal} · up to {plan.slots} trials at once"
    return (
        f"<h1>{escape(plan.campaign.name)}</h1><p>{escape(about)}</p>"
        f'<div class="tiles">{boxes}</div>'
    )


def _hours(table: pd.DataFrame) -> str:
    if not bool(table["ended_at"].notna().any()):
        return "none yet"
    span = table["ended_at"].max() - table["created_at"].min()
    return f"{span.total_seconds() / 3600:.2f} h"


def _ended(table: pd.DataFrame) -> int:
    return int((~table["status"].isin(["InProgress", "Stopping"])).sum())


def _without_result(table: pd.DataFrame) -> int:
    return _ended(table) - int(table["usable"].sum())


def _best(plan: CampaignPlan, table: pd.DataFrame) -> str:
    """Return the best trials, and the commands that download or deploy the best model."""
    first = table[table["usable"]].nsmallest(5, "rank").to_dict("records")
    names = series.searched(plan)
    titles = [escape(title) for title in ("wave", "objective", *names)]
    head = "<th>trial</th>" + "".join(f"<th class=n>{title}</th>" for title in titles)
    rows = "".join(
        "<tr>"
        + f"<td class=id>{escape(str(row['trial']))}</td><td class=n>{row['wave']}</td>"
        + f"<td class=n>{row['objective']:.6g}</td>"
        + "".join(f"<td class=n>{escape(_cell(row[SEARCHED + n]))}</td>" for n in names)
        + "</tr>"
        for row in first
    )
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
    return (
        f"<section><h2>Best trials</h2><div class=scroll><table><tr>{head}</tr>{rows}</table></div>"
        f"<pre>{commands}</pre></section>"
    )


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


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
        "</p><div class=scroll><table>"
        f"<tr><th class=n>trials</th><th>reason</th><th>example</th></tr>{rows}"
        "</table></div></section>"
    )
