"""Service Quotas, by the names of the quotas: their codes differ and are not documented."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from hpo_dispatcher.aws.clients import unavailable
from hpo_dispatcher.contract import aws_limits
from hpo_dispatcher.contract.names import QUOTAS_DOCUMENT
from hpo_dispatcher.ports import Documents, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_service_quotas import ServiceQuotasClient


class ServiceQuotas:
    """``Quotas``, read when they are too old and kept in the ledger."""

    def __init__(
        self,
        client: Callable[[], ServiceQuotasClient],  # created when needed
        documents: Documents,
        clock: Callable[[], datetime],
        document: str = QUOTAS_DOCUMENT,
    ) -> None:
        self._client = client
        self._documents = documents
        self._clock = clock
        self._document = document
        self._known: tuple[datetime, dict[str, int]] | None = None

    def training_instances(self, max_age: timedelta) -> Mapping[str, int]:
        """Return the quotas of training instances, older only if they cannot be read."""
        if self._known is None:
            self._known = self._kept()
        if self._known is None or self._clock() - self._known[0] > max_age:
            try:
                self._known = self._clock(), self._read()
            except Unavailable:  # SageMaker enforces the quotas; the next cycle retries
                return self._known[1] if self._known else {}
            at, quotas = self._known
            content = {"at": at.isoformat(), "training_instances": quotas}
            self._documents.put(self._document, json.dumps(content))
        return self._known[1]

    def _kept(self) -> tuple[datetime, dict[str, int]] | None:
        document = self._documents.get(self._document)
        if document is None:
            return None
        content = json.loads(document)
        return datetime.fromisoformat(content["at"]), content["training_instances"]

    def _read(self) -> dict[str, int]:
        found: dict[str, int] = {}
        with unavailable("servicequotas:ListServiceQuotas"):
            pages = self._client().get_paginator("list_service_quotas")
            for page in pages.paginate(ServiceCode=aws_limits.QUOTA_SERVICE):
                for quota in page["Quotas"]:
                    resource = aws_limits.resource_of(quota.get("QuotaName", ""))
                    if resource:
                        found[resource] = int(quota["Value"])
        return found
