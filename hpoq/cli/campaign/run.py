"""``hpoq campaign run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpoq.cli.campaign.options import Direct, PlanFile, option_of, queued_campaign
from hpoq.cli.exit_status import ExitStatus
from hpoq.cli.options import DeploymentName, Team, client, current_team
from hpoq.cli.output import console, counted, say

if TYPE_CHECKING:
    from hpoq.campaign.running.progress import CampaignProgress
    from hpoq.campaign.running_campaign import RunningCampaign

Role = Annotated[str | None, typer.Option("--role-arn", help="Direct: role of training jobs.")]
Bucket = Annotated[str | None, typer.Option("--bucket", help="Direct: bucket of data and models.")]
Source = Annotated[str | None, typer.Option("--source", help="Direct: s3:// URI of the code.")]
Image = Annotated[str | None, typer.Option("--image", help="Direct: URI of the training image.")]
TemplateFile = Annotated[
    Path | None, typer.Option("--template-file", help="Direct: job template (YAML file).")
]
Every = Annotated[float, typer.Option("--every", min=0.5, help="Seconds between polls.")]
Detach = Annotated[
    bool,
    typer.Option(
        "--detach",
        help="Send the rest of the wave to the queue and return. Slower: its order is fixed.",
    ),
]
IgnoreGoals = Annotated[
    bool, typer.Option("--ignore-goals", help="Exceed the plan's deadline and budget.")
]


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
    detach: Detach = False,
    ignore_goals: IgnoreGoals = False,
) -> None:
    """Run a campaign to its end.

    The command can be interrupted and run again at any time: no trial is lost or repeated.

    Exit status 3: a tuning job did not complete, or the rest was not started because no trial
    has completed or because it would miss the plan's deadline or budget.
    """
    from hpoq.campaign.many_models import plan_files

    own = {"role_arn": role_arn, "bucket": bucket, "source": source}
    files = plan_files(plan)
    campaigns = {
        model: _direct_campaign(file, team, deployment, own, image, template_file)
        if direct
        else queued_campaign(file, team, deployment)
        for model, file in files.items()
    }
    if detach:
        sent = sum(campaign.detach() for campaign in campaigns.values())
        again = f"hpoq campaign run {plan}{option_of(team)}"
        say(f"{counted(sent, 'tuning job')} sent. To run later waves: {again}")
        return
    if "" in campaigns:
        ended = {"": follow(campaigns[""], every, keep_goals=not ignore_goals)}
    else:
        ended = _follow_all(campaigns, every, keep_goals=not ignore_goals)
    for model, last in ended.items():
        say_problems(last, None if direct else option_of(team))
        _say_what_is_left(last, files[model])
    if any(last.problems or not last.ended for last in ended.values()):
        raise typer.Exit(ExitStatus.NOT_COMPLETED)


def follow(campaign: RunningCampaign, every: float, *, keep_goals: bool = True) -> CampaignProgress:
    """Run a campaign and show its progress: live on a terminal, line by line in a pipe."""
    from rich.live import Live

    from hpoq.campaign.running.display import line, panel

    screen = console()
    if not screen.is_terminal:
        latest = ""

        def print_line(progress: CampaignProgress) -> None:
            nonlocal latest
            if (text := line(progress, campaign.began)) != latest:
                say(text)
                latest = text

        return campaign.run(every, print_line, keep_goals=keep_goals)
    with Live(console=screen, auto_refresh=False) as live:
        return campaign.run(
            every,
            lambda progress: live.update(panel(progress, campaign.began), refresh=True),
            keep_goals=keep_goals,
        )


def _follow_all(
    campaigns: dict[str, RunningCampaign], every: float, *, keep_goals: bool
) -> dict[str, CampaignProgress]:
    """Run the campaigns of several models side by side and show each one's progress."""
    from rich.console import Group
    from rich.live import Live

    from hpoq.campaign.many_models import ManyModels
    from hpoq.campaign.running.display import line, panel

    last: dict[str, CampaignProgress] = {}
    updates = ManyModels(campaigns).updates(every, keep_goals=keep_goals)
    screen = console()
    if screen.is_terminal:
        with Live(console=screen, auto_refresh=False) as live:
            for found in updates:
                last = dict(found)
                panels = (panel(each, campaigns[model].began) for model, each in last.items())
                live.update(Group(*panels), refresh=True)
        return last
    printed: dict[str, str] = {}
    for found in updates:
        last = dict(found)
        for model, progress in last.items():
            text = f"{model}: {line(progress, campaigns[model].began)}"
            if printed.get(model) != text:
                say(text)
            printed[model] = text
    return last


def _direct_campaign(
    plan: Path,
    team: str | None,
    deployment: str,
    own: dict[str, str | None],
    image: str | None,
    template_file: Path | None,
) -> RunningCampaign:
    """Return a direct campaign on the user's own role and bucket if given, else a deployment's."""
    from hpoq.campaign.backends.target import deployed_target, own_target
    from hpoq.campaign.campaign_plan import CampaignPlan
    from hpoq.campaign.errors import InvalidPlan
    from hpoq.campaign.running_campaign import RunningCampaign

    loaded = CampaignPlan.load(plan)
    given = {name: value for name, value in own.items() if value}
    if not given:
        deployed = client(deployment)
        target = deployed_target(loaded, deployed, current_team(team, deployed), image)
        return RunningCampaign.direct(plan, target)
    missing = [name for name in own if name not in given]
    if missing:
        options = " and ".join("--" + name.replace("_", "-") for name in missing)
        raise InvalidPlan(f"{options} missing. Without a deployment, all three are needed")
    import boto3

    region = boto3.Session().region_name or ""
    target = own_target(loaded, **given, region=region, template=template_file, image=image)
    return RunningCampaign.direct(plan, target)


def say_problems(last: CampaignProgress, of_team: str | None) -> None:
    """Name the tuning jobs that did not complete, with their reasons.

    Args:
        last: the progress at the end.
        of_team: the option of the command that explains a failure; None without a queue.
    """
    failed = []
    for state in last.problems:
        request_id = last.plan.request_id(last.plan.job(state.number))
        say(f"{request_id} {state.status} {state.reason}".rstrip())
        failed += [request_id] if state.status == "Failed" else []
    if failed and of_team is not None:
        say(f"to see why its training jobs failed: hpoq why {failed[0]}{of_team}")


def _say_what_is_left(last: CampaignProgress, plan: Path) -> None:
    """Explain why tuning jobs of the plan were not started."""
    from hpoq.campaign.running.control import Control

    left = len(last.plan.jobs) - len(last.states)
    if not left:
        return
    if Control(plan).command == "cancel":
        jobs = counted(left, "tuning job")
        say(f"canceled, {jobs} not started. To resume: hpoq campaign resume {plan}")
    elif last.refusal:
        jobs = counted(left, "tuning job")
        say(f"{jobs} not started: {last.refusal}. To start them: add --ignore-goals")
    else:
        jobs = counted(left, "tuning job")
        say(
            f"no trial has completed, so {jobs} did not start. Fix the cause, then "
            "plan the campaign under another name"
        )
