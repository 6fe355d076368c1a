"""``hpoq campaign plan``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from hpoq.cli.campaign.further_metrics import Metrics, further_metrics
from hpoq.cli.campaign.options import queued_campaign
from hpoq.cli.campaign.run import follow
from hpoq.cli.campaign.tables import comparison_values, say_shortfalls, strategies_table
from hpoq.cli.exit_status import ExitStatus
from hpoq.cli.options import AsJson, DeploymentName, Team, client, current_team
from hpoq.cli.output import counted, print_json, say, show

if TYPE_CHECKING:
    import pandas as pd

    from hpoq.campaign.campaign_plan import CampaignPlan

Request = Annotated[
    Path,
    typer.Argument(
        help="The request that each tuning job varies, without request_id and resource_limits.",
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
    trials: Annotated[int, typer.Option(min=1, help="Total number of training jobs.")],
    minutes: Annotated[
        float | None, typer.Option(help="Expected minutes per trial; --pilot measures them.")
    ] = None,
    spread: Annotated[
        float, typer.Option(help="Sigma of the log of a trial's minutes; 0.5 is usual.")
    ] = 0.5,
    pilot: Annotated[
        int, typer.Option(help="Run this many trials now to measure minutes and spread.")
    ] = 0,
    instance_type: Annotated[str, typer.Option(help="Of the training jobs.")] = "ml.m5.large",
    instances_per_trial: Annotated[int, typer.Option(min=1)] = 1,
    trials_per_instance: Annotated[
        int, typer.Option(min=1, help="Trials that Ray runs at once on an instance.")
    ] = 1,
    reports: Annotated[
        int,
        typer.Option(min=1, help="How often a trial prints its objective; Ray stops poor ones."),
    ] = 1,
    startup: Annotated[
        float, typer.Option(min=0, help="Minutes until a training job runs its script.")
    ] = 3.0,
    price: Annotated[float | None, typer.Option(help="USD per instance-hour.")] = None,
    deadline: Annotated[float | None, typer.Option(help="Hours from the start.")] = None,
    budget: Annotated[float | None, typer.Option(help="USD.")] = None,
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
    from hpoq.campaign.errors import InvalidPlan
    from hpoq.campaign.planning.compare import campaign_of, compare

    message = _with_template(_request(request), request.parent, team, deployment)
    metrics = further_metrics(metric or [], message)
    limits = _limits(limit or [], instance_type, deployment, _search_of(message))
    wanted: dict[str, Any] = {
        "name": name, "request": message, "instance_type": instance_type,
        "instances_per_trial": instances_per_trial, "price_per_hour": price, "limits": limits,
        "seed": seed, "trials_per_instance": trials_per_instance, "reports_per_trial": reports,
        "startup_minutes": startup, "further_metrics": metrics,
    }  # fmt: skip
    if pilot:
        minutes, spread = _measured(wanted, pilot, minutes or 1.0, team, deployment)
    if minutes is None:
        raise InvalidPlan("minutes per trial: missing. Give --minutes, or measure with --pilot 5")
    goals = {"deadline_hours": deadline, "budget": budget}
    comparison = compare(
        campaign_of(**wanted, **goals, trials=trials, minutes_per_trial=minutes, spread=spread)
    )
    chosen = comparison.plan(strategy)
    if as_json:
        print_json(comparison_values(comparison))
    else:
        show(strategies_table(comparison))
        say(f"recommended: {comparison.recommended}; {comparison.why}")
        say_shortfalls(comparison)
    missed = comparison.option(strategy).shortfalls
    if missed and not anyway:
        say("not saved, because the plan misses the goals. To save it: add --anyway")
        raise typer.Exit(ExitStatus.NOT_COMPLETED)
    _save(chosen, out or Path(f"{name}.plan.json"))
    if missed:
        say("the run starts no tuning job that would miss the goals")


def _save(chosen: CampaignPlan, file: Path) -> None:
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
    say(f"{chosen.strategy}: {jobs} saved as {file}. Run: hpoq campaign run {file}")


def _request(file: Path) -> dict[str, Any]:
    from hpoq.campaign.errors import InvalidPlan
    from hpoq.cli.request_files import read_requests

    found = [message for _, message in read_requests(file)]
    if len(found) != 1:
        raise InvalidPlan(f"{file}: {len(found)} requests. A campaign needs exactly one")
    return found[0]


def _with_template(
    message: dict[str, Any], folder: Path, team: str | None, deployment: str
) -> dict[str, Any]:
    """Return the request with what a template in a file or in the team's workspace says.

    The path of a file is relative to the request's folder. The code of a template in a file is
    uploaded. Templates of the deployment are applied later.
    """
    if not isinstance(message.get("template"), str) or "api_request" in message:
        return message
    from hpoq.errors import NotDeployed, NotReachable
    from hpoq.templates.lookup import TemplateLookup, is_file

    deployed, template = client(deployment), message["template"]
    if is_file(template):
        template = str(folder / template)
    try:
        if template in deployed.settings.templates:
            return message
        lookup = TemplateLookup(deployed, current_team(team, deployed))
        wanted = {**message, "template": template, "request_id": "campaign"}
        expanded = lookup.expanded(wanted, None)
    except (NotDeployed, NotReachable):
        if is_file(template):
            raise
        return message
    return {name: value for name, value in expanded.items() if name != "request_id"}


def _search_of(message: dict[str, Any]) -> str:
    """Return the strategy of a request that is not checked yet."""
    config: Any = message.get("api_request", {})
    if isinstance(config, dict) and config:
        config = config.get("HyperParameterTuningJobConfig", {})
        return str(config.get("Strategy")) if isinstance(config, dict) else ""
    return str(message.get("strategy"))


def _limit(name: str, value: int, search: str) -> dict[str, int]:
    """Return a given limit; more than 750 training jobs are possible with Random only."""
    from hpo_dispatcher.contract import aws_limits
    from hpoq.campaign.errors import InvalidPlan

    if name != "training_jobs" or value <= aws_limits.TRAINING_JOBS:
        return {name: value}
    if search != "Random":
        raise InvalidPlan(
            f"--limit training_jobs={value}: SageMaker allows more than "
            f"{aws_limits.TRAINING_JOBS} training jobs in a tuning job with Random only. Leave it "
            "out: the plan uses several tuning jobs"
        )
    return {"training_jobs_random": value}


def _limits(given: list[str], instance_type: str, deployment: str, search: str) -> dict[str, int]:
    """Return the limits read from the account, overridden by those that the user gives."""
    import boto3

    from hpoq.campaign.errors import InvalidPlan
    from hpoq.campaign.planning.account_limits import limits_of

    limits = limits_of(boto3.Session(), instance_type, client(deployment))
    for name, value in limits.items():
        say(f"limit read from the account: {name}={value}")
    for each in given:
        name, _, value = each.partition("=")
        if not value.isdecimal():
            raise InvalidPlan(f"--limit {each}: write NAME=NUMBER, such as instances=40")
        limits |= _limit(name, int(value), search)
    if "instances" not in limits:
        say(f"the quota of {instance_type} is unknown. To plan within it: --limit instances=N")
    return limits


def _measured(
    wanted: dict[str, Any], trials: int, guess: float, team: str | None, deployment: str
) -> tuple[float, float]:
    """Return the minutes per trial and their spread, measured by running a few trials."""
    from hpoq.campaign.planning.pilot import measured

    def run(file: Path) -> pd.DataFrame:
        campaign = queued_campaign(file, team, deployment)
        follow(campaign, every=5.0)
        return campaign.results()

    found = measured(wanted, trials, run, guess=guess)
    minutes, spread = found["minutes_per_trial"], found["spread"]
    say(f"measured: {minutes:.2f} minutes per trial, spread {spread:.2f}")
    return minutes, spread
