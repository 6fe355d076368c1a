"""A deployment under examination: its clients, and facts that several checks use."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3

from hpo_dispatcher.contract import names
from hpo_dispatcher.contract.documents.settings_document import SettingsDocument
from hpo_dispatcher.contract.errors import InvalidRequest
from hpoq.botocore_config import QUICK
from hpoq.client import Client
from hpoq.data.channels import sample_request


@dataclass(frozen=True, kw_only=True)
class Examined:
    """One deployment in the account and Region of a session."""

    deployment: str
    session: boto3.Session
    _clients: dict[str, Any] = field(default_factory=dict, repr=False)

    def client(self, service: str) -> Any:
        """Return the client of a service that gives up soon."""
        if service not in self._clients:
            self._clients[service] = self.session.client(service, config=QUICK)  # type: ignore[call-overload]
        return self._clients[service]

    @cached_property
    def reader(self) -> Client:
        """The client that teams use."""
        return Client(self.deployment, self.session)

    @cached_property
    def settings(self) -> SettingsDocument:
        """The settings as the dispatcher published them."""
        return self.reader.settings

    @property
    def function(self) -> str:
        """The name of the dispatcher's function."""
        return names.dispatcher_function(self.deployment)

    @cached_property
    def resources(self) -> Mapping[str, tuple[str, str]]:
        """The physical id and the type of each resource of the stack, by logical id."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources")
        return {
            each["LogicalResourceId"]: (each["PhysicalResourceId"], each["ResourceType"])
            for page in pages.paginate(StackName=self.deployment)
            for each in page["StackResourceSummaries"]
        }

    def physical_ids(self, resource_type: str, prefix: str = "") -> list[str]:
        """Return the physical ids of the stack's resources of a type."""
        return [
            physical
            for logical, (physical, kind) in self.resources.items()
            if kind == resource_type and logical.startswith(prefix)
        ]

    @property
    def team(self) -> str:
        """A team, for checks that need any of them."""
        return sorted(self.settings.deployment.teams)[0]

    @cached_property
    def sample(self) -> dict[str, Any]:
        """The API request that the default template makes of a small message.

        Raises:
            InvalidRequest: the default template or the guardrails allow no such request.
        """
        return self._sample(self.settings.deployment.default_template)

    @cached_property
    def other_samples(self) -> Mapping[str, dict[str, Any]]:
        """The same for each other template that the guardrails allow."""
        samples = {}
        for template in sorted(set(self.settings.templates)):
            if template != self.settings.deployment.default_template:
                with suppress(InvalidRequest):
                    samples[template] = self._sample(template)
        return samples

    def _sample(self, template: str) -> dict[str, Any]:
        return sample_request(self.settings, self.team, "hpoq-doctor", template)
