"""The tuners of the SageMaker SDK, versions 2 and 3: start one, attach one to a tuning job."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import boto3

from hpo_dispatcher.tuning_job.api.schema import on_definitions
from hpoq.errors import NotInstalled, UnusableTuner


def check_tuner(tuner: Any) -> None:
    """Check that an object is a tuner whose tuning jobs SageMaker would run.

    Raises:
        UnusableTuner: it is not.
    """
    if _start_of(tuner) is None or getattr(tuner, "sagemaker_session", None) is None:
        raise UnusableTuner(
            f"{type(tuner).__name__} is not a tuner. Pass a HyperparameterTuner of the SageMaker "
            "SDK, or a dict with a CreateHyperParameterTuningJob request"
        )
    client = getattr(tuner.sagemaker_session, "sagemaker_client", None)
    if client is not None and not hasattr(client, "meta"):  # LocalSession has no API client
        raise UnusableTuner(
            f"{type(tuner).__name__} trains in local mode, without SageMaker. Use an instance type "
            "such as ml.m5.large; `hpoq local up` runs such training jobs on this machine"
        )


def start(tuner: Any, inputs: Any, job_name: str, arguments: dict[str, Any]) -> None:
    """Let a tuner prepare and create its tuning job, without waiting for the end."""
    # The job waits, so `wait` of code that has started the tuner itself has no effect.
    others = {name: value for name, value in arguments.items() if name != "wait"}
    _start_of(tuner)(inputs, job_name=job_name, wait=False, **others)


def _start_of(tuner: Any) -> Any:
    return getattr(tuner, "tune", None) or getattr(tuner, "fit", None)


def emitters(session: Any) -> Iterator[Any]:
    """Yield the events of a session and of the SageMaker clients that it already has.

    A client copies the handlers of its session when it is created.

    Args:
        session: a session of the SDK or of boto3, or a client; None for boto3's default session.
    """
    if hasattr(session, "meta"):  # a client
        yield session.meta.events
        return
    boto_session = boto_session_of(session)
    yield boto_session.events
    client = getattr(session, "sagemaker_client", None)
    if client is not None:
        yield client.meta.events
    resources = sys.modules.get("sagemaker.core.resources")  # version 3 keeps clients by session
    if resources is not None:
        region = getattr(session, "boto_region_name", boto_session.region_name)
        kept = resources.HyperParameterTuningJob.get_sagemaker_client(boto_session, region)
        yield kept.meta.events


def boto_session_of(session: Any) -> Any:
    """Return the boto3 session of a session of the SDK; of boto3's default session for None."""
    if session is None:
        if boto3.DEFAULT_SESSION is None:
            boto3.setup_default_session()
        return boto3.DEFAULT_SESSION
    return getattr(session, "boto_session", session)


def attached(tuning_job_name: str, tuner: Any, boto_session: Any) -> Any:
    """Return a tuner of the SDK that is attached to a tuning job.

    Args:
        tuning_job_name: the name of an existing tuning job.
        tuner: the tuner that prepared the tuning job; None if it is not known.
        boto_session: the session to read the tuning job with.

    Raises:
        NotInstalled: there is no SDK, or it cannot attach without a tuner.
    """
    if hasattr(tuner, "tune"):  # version 3
        from sagemaker.core.resources import HyperParameterTuningJob

        tuner.latest_tuning_job = HyperParameterTuningJob.get(
            tuning_job_name, session=boto_session, region=boto_session.region_name
        )
        return tuner
    try:
        from sagemaker.session import Session
        from sagemaker.tuner import HyperparameterTuner
    except ImportError:
        raise NotInstalled(
            "version 3 of the SageMaker SDK attaches a tuner only to its own tuning job. "
            "Pass a tuner with the same settings: job.tuner(tuner)"
        ) from None
    session = getattr(tuner, "sagemaker_session", None) or Session(boto_session=boto_session)
    details = session.sagemaker_client.describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=tuning_job_name
    )
    return HyperparameterTuner.attach(
        tuning_job_name,
        sagemaker_session=session,
        job_details=on_definitions(details, _with_resource_config),
    )


def _with_resource_config(definition: dict[str, Any]) -> dict[str, Any]:
    """Return a definition with the field that ``attach`` of version 2 reads.

    The tuners of version 2 send ``HyperParameterTuningResourceConfig``, and ``attach`` fails with a
    KeyError without ``ResourceConfig`` (aws/sagemaker-python-sdk, Estimator.attach in 2.257.7).
    """
    resources = definition.get("HyperParameterTuningResourceConfig", {})
    chosen = (resources.get("InstanceConfigs") or [resources])[0]
    return {"ResourceConfig": chosen, **definition} if chosen else definition
