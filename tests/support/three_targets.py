"""A deployment over home, another account and another Region, in an embedded cloud."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpoq.local.cloud import Cloud
from tests.support import tiny_jobs as tiny
from tests.support.deployed_stack import Deployed

HOME, RESEARCH, WEST = "home", "research", "west"
TARGETS = (HOME, RESEARCH, WEST)
RANGES = {"lr": {"type": "continuous", "min": 0.001, "max": 0.1}}


def places(cloud: Cloud) -> dict[str, dict[str, str]]:
    """Return the account and Region of each target."""
    return {
        HOME: {"account": cloud.running.account, "region": cloud.running.region},
        RESEARCH: {"account": "222222222222", "region": "eu-central-1"},
        WEST: {"account": cloud.running.account, "region": "us-west-2"},
    }


def on(cloud: Cloud, target: str) -> Cloud:
    """Return the cloud as the root user of a target's account sees it."""
    return cloud.within(**places(cloud)[target])


def settings_of_three(cloud: Cloud, tuning_jobs: int) -> dict[str, Any]:
    """Return the settings of three targets, each of which runs so many tuning jobs at once."""
    targets: dict[str, dict[str, object]] = {
        target: {**place} for target, place in places(cloud).items()
    }
    for target in (RESEARCH, WEST):
        targets[target]["tuning_jobs"] = tuning_jobs
    targets[RESEARCH]["replicate"] = ["shared/"]
    return {
        "targets": targets,
        "limits": {"tuning_jobs": tuning_jobs, "creates_per_second": 50},
    }


def deploy_three(
    cloud: Cloud, name: str, folder: Path, *, tuning_jobs: int, teams: Mapping[str, object]
) -> Deployed:
    """Deploy tiny jobs with three targets."""
    return tiny.deploy(cloud, name, folder, teams=teams, **settings_of_three(cloud, tuning_jobs))
