"""Sends requests to the queue of a team, after the checks that the dispatcher would make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.request import API_NAME
from hpoq.client import Client
from hpoq.preview import preview
from hpoq.request_ids import check_ids, named_requests, new_request_id
from hpoq.tuning_queue.hook import HOOK
from hpoq.tuning_queue.job import TuningQueuedJob
from hpoq.tuning_queue.queueing import Queueing
from hpoq.tuning_queue.workspace import ApiRequest

# A field that tells an API request from a message.
_API_FIELD = "HyperParameterTuningJobConfig"


@dataclass(frozen=True, kw_only=True)
class Sender:
    """The sender of one team's requests.

    Args:
        client: the deployment.
        settings: its settings.
        team: the team.
        job_of: returns the job of a request id and its API request, if it has one.
    """

    client: Client
    settings: SettingsDocument
    team: str
    job_of: Callable[[str, ApiRequest | None], TuningQueuedJob]

    def send_fields(
        self, fields: dict[str, Any], job_name: str | None, queueing: Queueing
    ) -> TuningQueuedJob:
        """Send a dict: a message, or a CreateHyperParameterTuningJob request.

        Args:
            fields: the dict.
            job_name: the request id; None for the one in the dict, or a new one.
            queueing: priority, dependencies and tags.
        """
        if _API_FIELD in fields:
            name = job_name or fields.get(API_NAME) or new_request_id(self.team)
            return self.send_api_request({**fields, API_NAME: name}, queueing)
        nested = fields.get("api_request")
        named = nested.get(API_NAME) if isinstance(nested, Mapping) else None
        name = job_name or fields.get("request_id") or named or new_request_id(self.team)
        return self._send({**queueing.over(fields), "request_id": name})

    def send_api_request(self, api_request: ApiRequest, queueing: Queueing) -> TuningQueuedJob:
        """Send an API request; its warm start parents from the queue become dependencies."""
        parents = api_request.get("WarmStartConfig", {}).get("ParentHyperParameterTuningJobs", ())
        asked = [parent[API_NAME] for parent in parents]
        known = self.client.get_all(self.team, asked)
        known_here = [each for each in asked if each in known or HOOK.has_sent(self.team, each)]
        queueing = replace(queueing, warm_start_from=(*queueing.warm_start_from, *known_here))
        return self._send({"api_request": api_request, **queueing.fields()})

    def _send(self, message: dict[str, Any]) -> TuningQueuedJob:
        preview(self.settings, self.team, message)  # reports what would be rejected
        (request,) = named_requests([(self.team, message)])
        check_ids([request], self.client.get_all(self.team, request.names))
        (request_id,) = self.client.submit(self.team, [message])
        return self.job_of(request_id, message.get("api_request"))
