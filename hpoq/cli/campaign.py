"""``hpoq campaign``: many tuning jobs as one search."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpoq.cli.campaign_tables import best_trials, say_why_not, strategies_table, values_of
from hpoq.cli.exit_status import ExitStatus
from hpoq.cli.options import AsJson, DeploymentName, Team, client, one_team
from hpoq.cli.output import console, print_json, say, show

if TYPE_CHECKING:
    import pandas as pd

    from hpoq.campaign.running.runner import Progress
    from hpoq.campaign.running_campaign import RunningCampaign

app = typer.Typer(
    help="Campaigns: tens of thousands of trials, planned, run, resumed, understood.",
    no_args_is_help=True,
)

PlanFile = Annotated[Path, typer.Argument(help="Plan file.", show_default=False)]
Direct = Annotated[
    bool, typer.Option("--direct", help="Create tuning jobs from here, past any queue.")
]
Role = Annotated[str | None, typer.Option("--role-arn", help="Direct: role of training jobs.")]
Bucket = Annotated[str | None, typer.Option("--bucket", help="Direct: bucket of data and models.")]
Source = Annotated[str | None, typer.Option("--source", help="Direct: s3:// URI of the code.")]
Image = Annotated[str | None, typer.Option("--image", help="Direct: URI of the training image.")]
TemplateFile = Annotated[
    Path | None, typer.Option("--template-file", help="Direct: a job template, YAML.")
]
Every = Annotated[float, typer.Option("--every", min=0.5, help="Seconds between looks.")]
Request = Annotated[
    Path,
    typer.Argument(
        help="What each tuning job searches: a request without request_id and resource_limits.",
        show_default=False,
    ),
]


@app.command("plan")
def plan_campaign(
    request: Request,
    name: Annotated[str, typer.Option(help="Of the campaign; part of all job names.")],
    trials: Annotated[int, typer.Option(min=1, help="Training jobs in all.")],
    minutes: Annotated[
        float | None, typer.Option(help="Expected minutes per trial; or --pilot measures them.")
    ] = None,
    spread: Annotated[
        float, typer.Option(help="Sigma of the log of a trial's minutes; 0.5 is usual.")
    ] = 0.5,
    pilot: Annotated[
        int, typer.Option(help="Run this many trials now to measure minutes and spread.")
    ] = 0,
    instance_type: Annotated[str, typer.Option(help="Of the training jobs.")] = "ml.m5.large",
    instances_per_trial: Annotated[int, typer.Option(min=1)] = 1,
    price: Annotated[float | None, typer.Option(help="USD an instance-hour.")] = None,
    deadline: Annotated[float | None, typer.Option(help="Hours from the start.")] = None,
    budget: Annotated[float | None, typer.Option(help="USD.")] = None,
    strategy: Annotated[
        str | None,
        typer.Option(help="single, independent, warm-waves, narrowing or hyperband."),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            help="tuning_jobs=100, parallel_training_jobs=10, training_jobs=750, "
            "training_jobs_random=10000, instances=N. May be repeated; else read from the account."
        ),
    ] = None,
    seed: Annotated[int, typer.Option()] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Plan file. Default: NAME.plan.json")
    ] = None,
    team: Team = None,
    deployment: DeploymentName = "hpoq",
    as_json: AsJson = False,
) -> None:
    """Compare strategies, recommend one, and save its plan."""
    from hpoq.campaign.errors import InvalidPlan
    from hpoq.campaign.planning.compare import campaign_of, compare
    from hpoq.campaign.running.control import Control

    limits = _limits(limit or [], instance_type, deployment)
    wanted: dict[str, Any] = {
        "name": name, "request": _request(request), "instance_type": instance_type,
        "instances_per_trial": instances_per_trial, "price_per_hour": price, "limits": limits,
        "seed": seed,
    }  # fmt: skip
    if pilot:
        minutes, spread = _measured(wanted, pilot, minutes or 1.0, team, deployment)
    if minutes is None:
        raise InvalidPlan("minutes per trial: give --minutes, or --pilot 5 to measure them")
    goals = {"deadline_hours": deadline, "budget": budget}
    campaign = campaign_of(
        **wanted, **goals, trials=trials, minutes_per_trial=minutes, spread=spread
    )
    comparison = compare(campaign)
    chosen: Any = strategy or comparison.recommended
    if chosen not in [option.strategy for option in comparison.options]:
        raise InvalidPlan(f"strategy {chosen!r} is unknown. See hpoq campaign plan --help")
    file = out or Path(f"{name}.plan.json")
    made = comparison.plan(chosen)
    if as_json:
        print_json(values_of(comparison))
    else:
        show(strategies_table(comparison))
        say(f"recommended: {comparison.recommended}; {comparison.why}")
        say_why_not(comparison)
    before = file.read_bytes() if file.exists() else None
    made.save(file)
    Control(file).say("run")  # a pause or cancel was meant for the plan before
    if before not in (None, file.read_bytes()):
        kept = file.with_name(f"{file.name}.bak")
        kept.write_bytes(before or b"")
        say(f"the plan that was there is kept as {kept}")
    say(f"{chosen}: {len(made.jobs)} tuning jobs saved as {file}. Run it: hpoq campaign run {file}")


@app.command()
def run(
    plan: PlanFile,
    team: Team = None,
    deployment: DeploymentName = "hpoq",
    direct: Direct = False,
    role_arn: Role = None,
    bucket: Bucket = None,
    source: Source = None,
    image: Image = None,
    template_file: TemplateFile = None,
    every: Every = 30.0,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach",
            help="Leave the wave to the queue and return. Slower: the order is fixed beforehand.",
        ),
    ] = False,
) -> None:
    """See a campaign through. Kill it at any time and run it again: no trial is lost or repeated.

    Exit status 3 if a tuning job did not complete, or if none of the trials so far did: then the
    rest is not started.
    """
    own = {"role_arn": role_arn, "bucket": bucket, "source": source}
    running = (
        _direct(plan, deployment, own, image, template_file)
        if direct
        else _queued(plan, team, deployment)
    )
    if detach:
        sent = running.detach()
        say(f"{sent} tuning jobs sent. For what comes after them: hpoq campaign run {plan}")
        return
    last = _follow(running, every)
    for state in last.problems:
        request_id = last.plan.request_id(last.plan.jobs[state.number - 1])
        say(f"{request_id} {state.status} {state.reason}".rstrip())
    _say_what_is_left(last, plan)
    if last.problems or not last.ended:
        raise typer.Exit(ExitStatus.NOT_COMPLETED)


@app.command()
def pause(plan: PlanFile) -> None:
    """Start nothing more; what runs goes on. Needs the runner, or the next one, to see it."""
    _say_to(plan, "pause")
    say(f"paused. Go on: hpoq campaign resume {plan}")


@app.command()
def resume(plan: PlanFile) -> None:
    """Undo a pause or a cancel."""
    _say_to(plan, "run")
    say(f"to go on, a runner is needed: hpoq campaign run {plan}")


@app.command()
def cancel(plan: PlanFile) -> None:
    """Stop everything. The runner does it at its next look; without one, run it once."""
    _say_to(plan, "cancel")
    say(f"a runner stops it at its next look; if none runs: hpoq campaign run {plan}")


@app.command()
def extend(plan: PlanFile, trials: Annotated[int, typer.Argument(help="How many more.")]) -> None:
    """Add trials. A runner takes them up at its next look."""
    from hpoq.campaign.model import Plan
    from hpoq.campaign.planning.compare import extended

    longer = extended(Plan.load(plan), trials)
    longer.save(plan)
    say(f"{longer.campaign.trials:,} trials in {len(longer.jobs)} tuning jobs now")


@app.command()
def results(
    plan: PlanFile,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help=".parquet or .csv; default: a table.")
    ] = None,
    optuna: Annotated[
        str | None, typer.Option(help="Also write an Optuna study, e.g. sqlite:///study.db")
    ] = None,
    top: Annotated[int, typer.Option(help="Rows of the table.")] = 10,
    team: Team = None,
    deployment: DeploymentName = "hpoq",
    direct: Direct = False,
    as_json: AsJson = False,
) -> None:
    """All trials so far, failed ones included."""
    running = _to_read(plan, team, deployment, direct)
    table = running.results()
    if out:
        from hpoq.campaign.results.table import save

        save(table, out)
        say(f"{len(table):,} trials written to {out}")
    if optuna:
        from hpoq.campaign.results.optuna_study import export

        study = export(running.plan, table, optuna)
        say(f"study {study.study_name} holds {len(study.trials):,} trials")
    if as_json:
        sys.stdout.write(table.to_json(orient="records", date_format="iso", indent=2) + "\n")
    elif not out and not optuna:
        show(best_trials(table, top))


@app.command()
def report(
    plan: PlanFile,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Default: NAME.html")] = None,
    team: Team = None,
    deployment: DeploymentName = "hpoq",
    direct: Direct = False,
) -> None:
    """One HTML file that shows what was found. Prints its path."""
    running = _to_read(plan, team, deployment, direct)
    path = running.report(out or Path(f"{running.plan.campaign.name}.html"))
    sys.stdout.write(f"{path}\n")


def _request(file: Path) -> dict[str, Any]:
    from hpoq.campaign.errors import InvalidPlan
    from hpoq.cli.submit import read_requests

    found = [message for _, message in read_requests(file)]
    if len(found) != 1:
        raise InvalidPlan(f"{file}: {len(found)} requests. A campaign varies one")
    return found[0]


def _limits(given: list[str], instance_type: str, deployment: str) -> dict[str, int]:
    """What the account says, and over it what the user says."""
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
        limits[name] = int(value)
    if "instances" not in limits:
        say(f"the quota of {instance_type} is not known: --limit instances=N plans within it")
    return limits


def _measured(
    wanted: dict[str, Any], trials: int, guess: float, team: str | None, deployment: str
) -> tuple[float, float]:
    """Minutes per trial and their spread, by running a few."""
    from hpoq.campaign.planning.pilot import measured

    def run(file: Path) -> pd.DataFrame:
        running = _queued(file, team, deployment)
        _follow(running, every=5.0)
        return running.results()

    found = measured(wanted, trials, run, guess=guess)
    minutes, spread = found["minutes_per_trial"], found["spread"]
    say(f"measured: {minutes:.2f} minutes per trial, spread {spread:.2f}")
    return minutes, spread


def _queued(plan: Path, team: str | None, deployment: str) -> RunningCampaign:
    from hpoq.campaign.model import Plan
    from hpoq.campaign.running_campaign import RunningCampaign

    Plan.load(plan)  # what is wrong with the file is told first
    named = one_team(team, client(deployment))
    return RunningCampaign.queued(plan, named, deployment=deployment)


def _direct(
    plan: Path,
    deployment: str,
    own: dict[str, str | None],
    image: str | None,
    template_file: Path | None,
) -> RunningCampaign:
    """With the means of a deployment, or with the user's own where some are given."""
    from hpoq.campaign.backends.target import deployed_target, own_target
    from hpoq.campaign.errors import InvalidPlan
    from hpoq.campaign.model import Plan
    from hpoq.campaign.running_campaign import RunningCampaign

    loaded = Plan.load(plan)
    given = {name: value for name, value in own.items() if value}
    if not given:
        return RunningCampaign.direct(plan, deployed_target(loaded, client(deployment), image))
    missing = [name for name in ("role_arn", "bucket", "source") if name not in given]
    if missing:
        option = missing[0].replace("_", "-")
        raise InvalidPlan(f"--{option}: needed without a deployment, beside the other two")
    import boto3

    region = boto3.Session().region_name or ""
    target = own_target(loaded, **given, region=region, template=template_file, image=image)
    return RunningCampaign.direct(plan, target)


def _to_read(plan: Path, team: str | None, deployment: str, direct: bool) -> RunningCampaign:
    """To look at a direct campaign SageMaker is enough."""
    from hpoq.campaign.running_campaign import RunningCampaign

    if direct:
        return RunningCampaign.direct(plan)
    return _queued(plan, team, deployment)


def _follow(running: RunningCampaign, every: float) -> Progress:
    """Live on a terminal, a line a look in a pipe."""
    from rich.live import Live

    from hpoq.campaign.running.progress import line, panel

    screen = console()
    if not screen.is_terminal:
        said = ""

        def tell(progress: Progress) -> None:
            nonlocal said
            if (now := line(progress, running.began)) != said:
                say(now)
                said = now

        return running.run(every, tell)
    with Live(console=screen, auto_refresh=False) as live:
        return running.run(
            every, lambda progress: live.update(panel(progress, running.began), refresh=True)
        )


def _say_what_is_left(last: Progress, plan: Path) -> None:
    """A runner that ended before the campaign did says why."""
    from hpoq.campaign.running.control import Control

    left = len(last.plan.jobs) - len(last.states)
    if not left:
        return
    if Control(plan).word == "cancel":
        say(f"cancelled, {left} tuning jobs not started. Go on: hpoq campaign resume {plan}")
    else:
        say(
            f"no trial has completed, so {left} tuning jobs were not started. Mend the cause, and "
            "plan the campaign under another name"
        )


def _say_to(plan: Path, word: Any) -> None:
    from hpoq.campaign.model import Plan
    from hpoq.campaign.running.control import Control

    Plan.load(plan)
    Control(plan).say(word)
