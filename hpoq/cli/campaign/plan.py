"""``hpoq campaign plan``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from hpoq.cli.campaign.further_metrics import Metrics, further_metrics
from hpoq.cli.campaign.limits import account_limits, given_limits, search_of
from hpoq.cli.campaign.options import option_of, queued_campaign
from hpoq.cli.campaign.run import follow, say_problems
from hpoq.cli.campaign.searches import read_points, searches_of, seeds_of
from hpoq.cli.campaign.tables import comparison_values, say_shortfalls, strategies_table
from hpoq.cli.exit_status import ExitStatus
from hpoq.cli.options import AsJson, DeploymentName, Team
from hpoq.cli.output import counted, print_json, say, show

if TYPE_CHECKING:
    import pandas as pd

    from hpoq.campaign.campaign_plan import CampaignPlan
    from hpoq.campaign.planning.compare import Comparison

Request = Annotated[
    Path,
    typer.Argument(
        help="The request that each tuning job varies, without request_id and resource_limits; or "
        "a file of several models.",
        show_default=False,
    ),
]
Limits = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        help="tuning_jobs=100, parallel_training_jobs=10, training_jobs=750, "
        "training_jobs_random=750 or instances=N. Repeatable. Default: read from the account.",
    ),
]


class PlanCommand(TyperCommand):
    """The command, whose help lists the registered strategies."""

    def format_help(self, *arguments: Any) -> None:
        """Write the help. The registry is imported only here, so that other commands start fast."""
        from hpoq.campaign.planning.strategies.registry import STRATEGIES

        option: Any = next(each for each in self.params if each.name == "strategy")
        option.help = f"One of {', '.join(STRATEGIES)}. Default: the recommended one."
        super().format_help(*arguments)


def plan(
    request: Request,
    name: Annotated[str, typer.Option(help="Name of the campaign; part of all job names.")],
    trials: Annotated[
        int | None, typer.Option(min=1, help="Total number of training jobs, of each model.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Expected minutes per trial; --pilot measures them.")
    ] = None,
    spread: Annotated[
        float, typer.Option(help="Sigma of the log of a trial's minutes; 0.5 is usual.")
    ] = 0.5,
    pilot: Annotated[
        int, typer.Option(help="Run this many trials now to measure minutes, spread and start-up.")
    ] = 0,
    instance_type: Annotated[str, typer.Option(help="Of the training jobs.")] = "ml.m5.large",
    instances_per_trial: Annotated[int, typer.Option(min=1)] = 1,
    trials_per_instance: Annotated[
        int, typer.Option(min=1, help="Trials that Ray runs at once on an instance.")
    ] = 1,
    function: Annotated[
        str,
        typer.Option(
            help="Function of the script that Ray calls for each trial, in processes that keep "
            "imports and data."
        ),
    ] = "",
    reports: Annotated[
        int,
        typer.Option(min=1, help="How often a trial prints its objective; Ray stops poor ones."),
    ] = 1,
    startup: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Minutes until a training job runs its script. Default: measured by --pilot, "
            "else 3, which is published for one account.",
        ),
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option(help="File of settings to try first: a list of objects, JSON or YAML."),
    ] = None,
    optuna_study: Annotated[
        str | None,
        typer.Option(help="Try the best settings of this study first, e.g. sqlite:///study.db."),
    ] = None,
    study_name: Annotated[
        str | None, typer.Option(help="Name of the study, if the storage has several.")
    ] = None,
    study_best: Annotated[int, typer.Option(min=1, help="How many settings of the study.")] = 5,
    seeds: Annotated[
        str | None,
        typer.Option(help="Repeat the best settings with these seeds at the end: seed=1,2,3."),
    ] = None,
    seeds_best: Annotated[
        int, typer.Option(min=1, help="How many of the best settings --seeds repeats.")
    ] = 5,
    price: Annotated[float | None, typer.Option(help="USD per instance-hour.")] = None,
    deadline: Annotated[float | None, typer.Option(help="Hours from the start.")] = None,
    budget: Annotated[
        float | None, typer.Option(help="USD; several models have equal parts.")
    ] = None,
    strategy: Annotated[str | None, typer.Option()] = None,
    metric: Metrics = None,
    limit: Limits = None,
    seed: Annotated[int, typer.Option(help="Same seed, same searches.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Plan file. Default: NAME.plan.json")
    ] = None,
    team: Team = None,
    deployment: DeploymentName = "hpoq",
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Save a plan that misses the deadline or the budget.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare strategies, recommend one, and save its plan.

    Exit status 3: the plan misses the deadline or the budget, and was not saved.
    """
    searches = searches_of(request, team, deployment)
    common: dict[str, Any] = {
        "instance_type": instance_type, "instances_per_trial": instances_per_trial,
        "price_per_hour": price, "seed": seed, "trials_per_instance": trials_per_instance,
        "reports_per_trial": reports, "function": function, "spread": spread,
        "deadline_hours": deadline,
    }  # fmt: skip
    common |= {"trials": trials} if trials else {}
    common |= {"minutes_per_trial": minutes} if minutes else {}
    common |= {"startup_minutes": startup} if startup is not None else {}
    common |= {"points": read_points(points)} if points else {}
    common |= {"repeats": seeds_of(seeds, seeds_best)} if seeds else {}
    common |= {"budget": budget / len(searches)} if budget is not None else {}
    for fields in searches.values():
        fields["further_metrics"] = further_metrics(metric or [], fields["request"])
    study = (optuna_study, study_name, study_best) if optuna_study else None
    wanted = _wanted(name, searches, common, limit or [], team, deployment)
    comparisons = {
        model: _compared(fields, pilot, study, team, deployment) for model, fields in wanted.items()
    }
    _check_objectives(comparisons)
    _show(comparisons, as_json=as_json)
    chosen = {model: each.plan(strategy) for model, each in comparisons.items()}
    missed = any(each.option(strategy).shortfalls for each in comparisons.values())
    if missed and not anyway:
        say("not saved, because the plan misses the goals. To save it: add --anyway")
        raise typer.Exit(ExitStatus.NOT_COMPLETED)
    _save_all(chosen, out or Path(f"{name}.plan.json"), option_of(team))
    if missed:
        say("the run starts no tuning job that would miss the goals")


def _wanted(
    name: str,
    searches: dict[str, dict[str, Any]],
    common: dict[str, Any],
    limit: list[str],
    team: str | None,
    deployment: str,
) -> dict[str, dict[str, Any]]:
    """Return the fields of the campaign of each model; the models share the limits."""
    from hpoq.campaign.errors import InvalidPlan
    from hpoq.campaign.many_models import shares

    requests = [fields["request"] for fields in searches.values()]
    read = account_limits(
        common["instance_type"], deployment, team, requests, common["instances_per_trial"]
    )
    given = {
        model: read | given_limits(limit, search_of(fields["request"]))
        for model, fields in searches.items()
    }
    if not all("instances" in limits for limits in given.values()):
        say(
            f"the quota of {common['instance_type']} is unknown. "
            "To plan within it: --limit instances=N"
        )
    found = {}
    for index, (model, fields) in enumerate(searches.items()):
        merged = {**common, **fields, "limits": shares(given[model], len(searches))[index]}
        if "trials" not in merged:
            raise InvalidPlan("trials: missing. Give --trials")
        found[model] = {**merged, "name": f"{name}-{model}" if model else name}
    return found


def _compared(
    fields: dict[str, Any],
    pilot: int,
    study: tuple[str, str | None, int] | None,
    team: str | None,
    deployment: str,
) -> Comparison:
    """Return the comparison of strategies for one model."""
    from hpo_dispatcher.contract import aws_limits
    from hpoq.campaign.errors import InvalidPlan
    from hpoq.campaign.planning.compare import campaign_of, compare

    if pilot:
        measured = _measured(fields, pilot, team, deployment)
        fields = {**measured, **fields, **{n: measured[n] for n in ("minutes_per_trial", "spread")}}
    if "minutes_per_trial" not in fields:
        raise InvalidPlan("minutes per trial: missing. Give --minutes, or measure with --pilot 5")
    if "startup_minutes" not in fields:
        fields = {**fields, "startup_minutes": aws_limits.STARTUP_MINUTES}
        say(
            f"start-up of a training job: {aws_limits.STARTUP_MINUTES:g} minutes, a published "
            "figure of another account. To measure yours: --pilot 5"
        )
    campaign = campaign_of(**fields)
    if study:
        from hpoq.campaign.planning.earlier_study import points_of_study

        points = [*fields.get("points", ()), *points_of_study(campaign, *study)]
        say(f"{counted(len(points), 'setting')} will be tried first")
        campaign = campaign_of(**{**fields, "points": points})
    return compare(campaign)


def _check_objectives(comparisons: dict[str, Comparison]) -> None:
    from hpoq.campaign.many_models import check_comparable

    campaigns = {model: each.campaign for model, each in comparisons.items()}
    check_comparable([(model, each.metric, each.maximize) for model, each in campaigns.items()])


def _show(comparisons: dict[str, Comparison], *, as_json: bool) -> None:
    if as_json:
        values = {model: comparison_values(each) for model, each in comparisons.items()}
        print_json(values.get("", {"models": values}))
        return
    for model, comparison in comparisons.items():
        if model:
            say(f"model {model}:")
        show(strategies_table(comparison))
        say(f"recommended: {comparison.recommended}; {comparison.why}")
        say_shortfalls(comparison)


def _save_all(chosen: dict[str, CampaignPlan], file: Path, of_team: str) -> None:
    """Save the plans; those of several models beside the file that names them."""
    if "" in chosen:
        _save(chosen[""], file, of_team)
        return
    from hpoq.campaign import many_models

    plans = {
        model: file.with_name(f"{plan.campaign.name}.plan.json") for model, plan in chosen.items()
    }
    for model, plan in chosen.items():
        _save(plan, plans[model], of_team)
    many_models.save(file, plans)
    say(f"{counted(len(plans), 'model')} in {file}. Run all: hpoq campaign run {file}{of_team}")


def _save(chosen: CampaignPlan, file: Path, of_team: str) -> None:
    """Save a plan, and keep a different earlier one as a backup."""
    from hpoq.campaign.running.control import Control

    before = file.read_bytes() if file.exists() else None
    chosen.save(file)
    Control(file).send("run")  # a pause or cancel was meant for the earlier plan
    if before not in (None, file.read_bytes()):
        backup = file.with_name(f"{file.name}.bak")
        backup.write_bytes(before or b"")
        say(f"the earlier plan is kept as {backup}")
    jobs = counted(len(chosen.jobs), "tuning job")
    say(f"{chosen.strategy}: {jobs} saved as {file}. Run: hpoq campaign run {file}{of_team}")


def _measured(
    fields: dict[str, Any], trials: int, team: str | None, deployment: str
) -> dict[str, float]:
    """Return fields of the campaign, measured by running a few trials."""
    from hpoq.campaign.planning.pilot import measured

    def run(file: Path) -> pd.DataFrame:
        campaign = queued_campaign(file, team, deployment)
        say_problems(follow(campaign, every=5.0), option_of(team))
        return campaign.results()

    left_out = ("trials", "minutes_per_trial", "deadline_hours", "budget", "points", "repeats")
    wanted = {name: value for name, value in fields.items() if name not in left_out}
    found = measured(wanted, trials, run, guess=fields.get("minutes_per_trial", 1.0))
    minutes, spread = found["minutes_per_trial"], found["spread"]
    startup, reused = found.get("startup_minutes"), found.get("reused_startup_minutes")
    said = "" if startup is None else f", start-up {startup:.2f} minutes"
    said += "" if reused is None else f", {reused:.2f} for later trials"
    say(f"measured: {minutes:.2f} minutes per trial, spread {spread:.2f}{said}")
    return found
