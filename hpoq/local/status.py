"""The status of an embedded cloud."""

from __future__ import annotations

from typing import Any

from hpoq.local.lifecycle import processes
from hpoq.local.lifecycle.home import Home, RunningCloud


def read(home: Home) -> dict[str, Any]:
    """Return whether the cloud runs and, if so, its address and contents."""
    running = home.running()
    if running is None:
        return {"running": False, "home": str(home.path), **_remains(home)}
    return {
        "running": True,
        "home": str(home.path),
        "endpoint": running.endpoint,
        "account": running.account,
        "region": running.region,
        "pid": running.pid,
        "processes": len(processes.marked(running.mark)),
        "started_at": running.started_at,
        "functions_run_with": dict(running.function_interpreters),
        "training_runs_with": running.interpreter,
        "log": str(home.log),
        **_contents(running),
    }


def _remains(home: Home) -> dict[str, Any]:
    """Return how many processes a killed cloud left."""
    last = home.last_run()
    return {"killed": True, "processes": len(processes.marked(last.mark))} if last else {}


def _contents(running: RunningCloud) -> dict[str, Any]:
    from hpoq.local.session import CloudSession

    session = CloudSession(running)
    stacks = session.client("cloudformation").describe_stacks()["Stacks"]
    tuning = session.client("sagemaker").list_hyper_parameter_tuning_jobs(
        StatusEquals="InProgress", MaxResults=100
    )
    return {
        "stacks": {stack["StackName"]: stack["StackStatus"] for stack in stacks},
        "tuning_jobs_in_progress": len(tuning["HyperParameterTuningJobSummaries"]),
    }
