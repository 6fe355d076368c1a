"""Checks that the account's quotas allow what the settings and the templates need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.errors import InvalidRequest
from hpo_dispatcher.scheduling.snapshot import with_totals
from hpo_dispatcher.tuning_job.usage import instances_of
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import Finding, fault, ok, warning

CHECK = "quotas"


@dataclass(frozen=True, kw_only=True)
class Quota:
    """A quota of the account, as Service Quotas lists it."""

    name: str
    value: float
    code: str

    def increase(self, wanted: int) -> str:
        """Return the command that requests more."""
        return (
            "`aws service-quotas request-service-quota-increase --service-code "
            f"{aws_limits.QUOTA_SERVICE} --quota-code {self.code} --desired-value {wanted}`"
        )


def instances(examined: Examined) -> Iterator[Finding]:
    """Check that the quotas let each template start: of types and totals, on demand and spot."""
    quotas = _listed(examined)
    yield from _of_one_tuning_job(examined, quotas)
    try:
        needed = _needed(examined.sample)
    except InvalidRequest:  # which is the finding of the check before
        return
    short = {name: n for name, n in needed.items() if _is_short(quotas.get(name), n)}
    for name, count in short.items():
        text = (
            f"the quota {name!r} is {quotas[name].value:g}, and the default template needs {count}"
        )
        yield fault(CHECK, text, f"Run {quotas[name].increase(count)}")
    if not short:
        total = sum(aws_limits.totals_of(instances_of(examined.sample)).values())
        instances = "instance fits" if total == 1 else "instances fit"
        yield ok(CHECK, f"the default template's {total} {instances} the quotas")
    for template, sample in examined.other_samples.items():
        for name, count in _needed(sample).items():
            if _is_short(quotas.get(name), count) and name not in short:
                text = f"the quota {name!r} is {quotas[name].value:g}, and the template {template} "
                fix = f"Its requests wait until you have run {quotas[name].increase(count)}"
                yield warning(CHECK, f"{text}needs {count}", fix)


def _of_one_tuning_job(examined: Examined, quotas: Mapping[str, Quota]) -> Iterator[Finding]:
    """Check that the settings promise no larger tuning jobs than AWS grants."""
    limits = examined.settings.deployment.limits
    for name, setting, value in (
        (
            aws_limits.PARALLEL_TRAINING_JOBS_QUOTA,
            "parallel_training_jobs",
            limits.parallel_training_jobs,
        ),
        (
            aws_limits.RANDOM_TRAINING_JOBS_QUOTA,
            "random_training_jobs",
            limits.random_training_jobs,
        ),
    ):
        if _is_short(quotas.get(name), value):
            text = f"the quota {name!r} is {quotas[name].value:g}, and limits.{setting} is {value}"
            yield fault(CHECK, text, f"Lower the setting, or run {quotas[name].increase(value)}")


def _listed(examined: Examined) -> dict[str, Quota]:
    """Return the quotas of SageMaker by name."""
    pages = examined.client("service-quotas").get_paginator("list_service_quotas")
    return {
        each["QuotaName"]: Quota(
            name=each["QuotaName"], value=each["Value"], code=each.get("QuotaCode", "?")
        )
        for page in pages.paginate(ServiceCode=aws_limits.QUOTA_SERVICE)
        for each in page["Quotas"]
    }


def _needed(api_request: Mapping[str, Any]) -> dict[str, int]:
    """Return what a request needs of each quota, by name."""
    resources = with_totals(instances_of(dict(api_request)))
    return {aws_limits.quota_of(resource): count for resource, count in resources.items()}


def _is_short(quota: Quota | None, needed: int) -> bool:
    """Return whether a quota is known and less than what is needed."""
    return quota is not None and quota.value < needed
