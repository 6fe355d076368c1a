"""The pages of tuning jobs and training jobs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response

from hpo_dispatcher.contract.targets.resources import HOME
from hpoq.errors import NotReachable
from hpoq.presentation import printable
from hpoq.ui.account import RUNNING, TuningJobs
from hpoq.ui.descriptions import Record, at_target, definitions, objective
from hpoq.ui.figures import loading
from hpoq.ui.site import Site

LINES = 5_000  # log lines in one answer; the page asks again for more


def tuning_jobs(site: Site, query: Mapping[str, str]) -> str:
    """Render a page of the list of tuning jobs."""
    containing = query.get("containing", "")
    note = ""
    try:
        listed = site.account.tuning_jobs(containing, query.get("token", ""))
    except NotReachable as error:
        listed, note = TuningJobs(summaries=(), next_token=""), str(error)
    return site.page(
        "tuning_jobs.html",
        containing=containing,
        note=note,
        tuning_jobs=listed.summaries,
        more=listed.next_token,
        running=RUNNING,
    )


def tuning_job(site: Site, query: Mapping[str, str], name: str) -> str:
    """Render the page of a tuning job with its training jobs."""
    target = query.get("target", HOME)
    job = site.account.tuning_job(name, target)
    goals = [objective(job, definition) for definition in definitions(job)]
    trials, trials_note = _trials(site, name, target)
    config = job["HyperParameterTuningJobConfig"]
    return site.page(
        "tuning_job.html",
        target=target,
        there=at_target(target),
        job=job,
        name=name,
        goal=goals[0],
        live=job["HyperParameterTuningJobStatus"] in RUNNING,
        limits=config["ResourceLimits"],
        trials=_best_first(trials),
        trials_note=trials_note,
        definitions=[definition.get("DefinitionName", "") for definition in definitions(job)],
        seconds=_seconds(job["CreationTime"], job.get("HyperParameterTuningEndTime")),
        tuned=sorted({key for each in trials for key in each["TunedHyperParameters"]}),
        parents=job.get("WarmStartConfig", {}).get("ParentHyperParameterTuningJobs", []),
    )


def tuning_job_figures(site: Site, query: Mapping[str, str], name: str) -> Response:
    """Return the figures of a tuning job by definition and name."""
    target = query.get("target", HOME)
    job, (trials, _note) = site.account.tuning_job(name, target), _trials(site, name, target)
    return _json(loading.drawing().of_tuning_job(job, trials))


def training_job(site: Site, query: Mapping[str, str], name: str) -> str:
    """Render the page of a training job: inputs, result, metrics and log."""
    target = query.get("target", HOME)
    job = site.account.training_job(name, target)
    parameters = {
        key: value
        for key, value in job.get("HyperParameters", {}).items()
        if not key.startswith(("sagemaker_", "_tuning_"))
    }
    return site.page(
        "training_job.html",
        target=target,
        there=at_target(target),
        job=job,
        name=name,
        parent=job.get("TuningJobArn", "").rpartition("/")[2],
        live=job["TrainingJobStatus"] in RUNNING,
        parameters=parameters,
        seconds=_seconds(
            job.get("TrainingStartTime") or job["CreationTime"], job.get("TrainingEndTime")
        ),
    )


def log(site: Site, query: Mapping[str, str], name: str) -> Response:
    """Return log lines from number ``first`` on, and the curves of the metrics in them."""
    target = query.get("target", HOME)
    job = site.account.training_job(name, target)
    try:
        first = max(0, int(query.get("first", "0")))
    except ValueError:
        raise BadRequest("first must be a line number") from None
    kept = site.account.log(name, target)
    try:
        lines, note = kept.lines(first), ""
    except NotReachable as error:
        lines, note = [], str(error)
    shown = lines[:LINES]
    answer: dict[str, Any] = {
        "lines": [
            [line.at * 1000, printable(line.text), line.host if kept.several_hosts else ""]
            for line in shown
        ],
        "more": len(lines) > len(shown),
        "live": job["TrainingJobStatus"] in RUNNING,
        "note": note,
    }
    if shown:
        patterns = job["AlgorithmSpecification"].get("MetricDefinitions", ())
        texts = [line.text for line in kept.lines()]
        answer["figure"] = loading.drawing().of_log(patterns, texts)
    return _json(answer)


def _trials(site: Site, name: str, target: str) -> tuple[list[Record], str]:
    """Return the training jobs of a tuning job, or why the reader may not see them."""
    try:
        return site.account.trials(name, target), ""
    except NotReachable as error:
        return [], str(error)


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
