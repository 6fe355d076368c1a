"""The pages of tuning jobs and training jobs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response

from hpoq.ui import figures, measured, render
from hpoq.ui.account import RUNNING, Account, Record
from hpoq.ui.study import definitions, objective, studies

LINES = 5_000  # log lines in one answer; the page asks again for more


def tuning_jobs(account: Account, query: Mapping[str, str]) -> str:
    """Render a page of the list of tuning jobs."""
    containing = query.get("containing", "")
    listed = account.tuning_jobs(containing, query.get("token", ""))
    return render.page(
        "tuning_jobs.html",
        account=account.name,
        containing=containing,
        tuning_jobs=listed.summaries,
        more=listed.next_token,
        running=RUNNING,
    )


def tuning_job(account: Account, _: Mapping[str, str], name: str) -> str:
    """Render the page of a tuning job with its training jobs."""
    job = account.tuning_job(name)
    goals = [objective(job, definition) for definition in definitions(job)]
    trials = account.trials(name)
    config = job["HyperParameterTuningJobConfig"]
    return render.page(
        "tuning_job.html",
        account=account.name,
        job=job,
        name=name,
        goal=goals[0],
        live=job["HyperParameterTuningJobStatus"] in RUNNING,
        limits=config["ResourceLimits"],
        trials=_best_first(trials),
        definitions=[definition.get("DefinitionName", "") for definition in definitions(job)],
        seconds=_seconds(job["CreationTime"], job.get("HyperParameterTuningEndTime")),
        tuned=sorted({key for each in trials for key in each["TunedHyperParameters"]}),
        parents=job.get("WarmStartConfig", {}).get("ParentHyperParameterTuningJobs", []),
    )


def tuning_job_figures(account: Account, _: Mapping[str, str], name: str) -> Response:
    """Return the figures of a tuning job by definition and name."""
    found = studies(account.tuning_job(name), account.trials(name))
    return _json({part: figures.of_study(study) for part, study in found.items()})


def training_job(account: Account, _: Mapping[str, str], name: str) -> str:
    """Render the page of a training job: inputs, result, metrics and log."""
    job = account.training_job(name)
    parameters = {
        key: value
        for key, value in job.get("HyperParameters", {}).items()
        if not key.startswith(("sagemaker_", "_tuning_"))
    }
    return render.page(
        "training_job.html",
        account=account.name,
        job=job,
        name=name,
        parent=job.get("TuningJobArn", "").rpartition("/")[2],
        live=job["TrainingJobStatus"] in RUNNING,
        parameters=parameters,
        seconds=_seconds(
            job.get("TrainingStartTime") or job["CreationTime"], job.get("TrainingEndTime")
        ),
    )


def log(account: Account, query: Mapping[str, str], name: str) -> Response:
    """Return log lines from number ``first`` on, and the curves of the metrics in them."""
    job = account.training_job(name)
    try:
        first = max(0, int(query.get("first", "0")))
    except ValueError:
        raise BadRequest("first must be a line number") from None
    kept = account.log(name)
    lines = kept.lines(first)
    shown = lines[:LINES]
    answer: dict[str, Any] = {
        "lines": [
            [line.at * 1000, line.text, line.host if kept.several_hosts else ""] for line in shown
        ],
        "more": len(lines) > len(shown),
        "live": job["TrainingJobStatus"] in RUNNING,
    }
    if shown:
        patterns = job["AlgorithmSpecification"].get("MetricDefinitions", ())
        series = measured.series(patterns, kept.lines())
        answer["figure"] = figures.curves(series) if series else None
    return _json(answer)


def _best_first(trials: Sequence[Record]) -> list[Record]:
    """Sort running trials first, then the best ended ones, then those without objective."""

    def rank(each: Record) -> tuple[int, float]:
        final = each.get("FinalHyperParameterTuningJobObjectiveMetric")
        if each["TrainingJobStatus"] in RUNNING:
            return 0, 0.0
        if not final:
            return 2, 0.0
        return 1, -final["Value"] if final.get("Type") == "Maximize" else final["Value"]

    return sorted(trials, key=rank)


def _seconds(began: datetime, ended: datetime | None) -> float:
    return ((ended or datetime.now(UTC)) - began).total_seconds()


def _json(value: object) -> Response:
    return Response(json.dumps(value), mimetype="application/json")
